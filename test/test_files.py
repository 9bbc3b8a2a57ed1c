# SPDX-License-Identifier: Apache-2.0
import pytest

from degfusion_ros.files import write_whole


def test_what_is_written_is_there_whole_and_alone(tmp_path):
    write_whole(tmp_path / 'a.json', 'Δt')
    write_whole(tmp_path / 'b.bin', b'\0\1')
    assert (tmp_path / 'a.json').read_text(encoding='utf-8') == 'Δt'
    assert (tmp_path / 'b.bin').read_bytes() == b'\0\1'
    assert {path.name for path in tmp_path.iterdir()} == {'a.json', 'b.bin'}


def test_a_failure_names_the_file_and_leaves_what_was_there(tmp_path):
    path = tmp_path / 'folder'
    path.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError) as caught:
        write_whole(path, 'text')
    assert caught.value.filename == str(path) and caught.value.strerror
    assert path.is_dir() and [p.name for p in tmp_path.iterdir()] == ['folder']
