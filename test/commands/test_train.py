# SPDX-License-Identifier: Apache-2.0
"""What `train` says of a file that is not its own."""

from pathlib import Path

from degfusion_ros.__main__ import main

CONFIG = Path(__file__).parents[2] / 'config' / 'train'


def test_a_file_of_another_stage_is_refused_in_one_line(tmp_path, capsys):
    assert main(['train', 'guidance', '--config', str(CONFIG / 'fusion.yaml'), '--data',
                 str(tmp_path), '--output', str(tmp_path / 'out')]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and 'fusion.yaml' in told[0] and 'clip' in told[0]
    assert not (tmp_path / 'out').exists()
