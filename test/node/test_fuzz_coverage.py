# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

from degfusion_ros.imaging.encodings import decode
from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.node.fuzz_coverage import Coverage


def test_a_new_step_is_seen_once_in_this_thread_and_in_those_it_starts():
    with Coverage() as coverage:
        decode(b'1234', 2, 2, 2, 'mono8', False)
        assert coverage.grown()
        decode(b'5678', 2, 2, 2, 'mono8', False)
        assert not coverage.grown()
        with pytest.raises(FrameError):
            decode(b'', 2, 2, 2, 'mono8', False)
        assert coverage.grown()
        thread = threading.Thread(target=lambda: decode(b'12345678', 2, 2, 4, 'mono16', True))
        thread.start()
        thread.join()
        assert coverage.grown()
    before = len(coverage.arcs)
    decode(b'123', 1, 1, 3, 'rgb8', False)
    assert len(coverage.arcs) == before
    assert {code.co_filename.split('degfusion_ros/')[-1] for code, _, _ in coverage.arcs} == {
        'imaging/encodings.py', 'imaging/errors.py'}
