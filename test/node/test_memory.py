# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out, told by torch, NumPy, OpenCV or Python, costs the frame in hand alone."""

import threading
import weakref

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from flow import accounted, FUSED, send
import numpy as np
import pytest
from rig import diagnosed, EchoFuser, frame, PERIOD, wait_for
from sensor_msgs.msg import Image
import torch

from degfusion_ros.node.memory import Frugal, is_out_of_memory


class Hungry(EchoFuser):
    """Finds memory for pictures up to `room` pixels."""

    room: int = 96 * 128 // 4

    def fuse(self, visible, thermal, outputs=('fused',)):
        if thermal.size > self.room:
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
        return super().fuse(visible, thermal, outputs)


def pair(height=96, width=128):
    rng = np.random.default_rng(0)
    return (rng.integers(0, 255, (height, width, 3)).astype(np.uint8),
            rng.random((height, width), np.float32))


@pytest.mark.parametrize('error, expected', [
    (torch.OutOfMemoryError('CUDA out of memory'), True), (MemoryError(), True),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
    (cv2.error('OpenCV: (-4:Insufficient memory) Failed to allocate 9 bytes'), True),
    (RuntimeError('Exception from src/inference: std::bad_alloc'), True),
    (RuntimeError('CUDA error: out of memory\nCUDA kernel errors might be reported later'), True),
    (RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`'), True),
    (RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'), True),
    (RuntimeError('[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for buffer'), True),
    (RuntimeError('CUDA error: an illegal memory access was encountered'), False),
    (RuntimeError('shape mismatch'), False), (KeyError('memory'), False)])
def test_want_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) == expected


def test_pictures_keep_their_size_when_fused_smaller():
    warnings = []
    frugal = Frugal(fuser := Hungry(), warnings.append)
    visible, thermal = pair()
    with pytest.raises(torch.OutOfMemoryError):
        frugal.fuse(visible, thermal)
    fusion = frugal.fuse(visible, thermal, outputs=('fused', 'thermal'))
    assert fuser.fused[-1][1].shape == (48, 64) and frugal.divisor == 2
    assert fusion.fused.shape == (96, 128, 3) and fusion.thermal.shape == (96, 128)
    assert fusion.visible is None
    assert len(warnings) == 1 and fuser.forgot == 1


def test_the_judge_steps_down_too_and_judges_what_is_fused():
    class Wet(Hungry):
        def refresh(self, visible, thermal, between, keep, outputs):
            self.fuse(visible, thermal)
            return super().refresh(visible, thermal, between, keep, outputs)

    frugal, rest = Frugal(fuser := Wet(), lambda text: None), (lambda: None, 0.5, ('visible',))
    with pytest.raises(torch.OutOfMemoryError):
        frugal.refresh(*pair(), *rest)
    assert frugal.refresh(*pair(), *rest).visible['fog'] == 0.0
    assert fuser.fused[-1][1].shape == (48, 64) and fuser.judged_for == ('visible',)


def test_two_threads_that_run_out_together_step_down_once():
    class Meeting(Hungry):
        def fuse(self, visible, thermal, outputs=('fused',)):
            both.wait(10)
            return super().fuse(visible, thermal, outputs)

    both, warnings = threading.Barrier(2), []
    frugal = Frugal(Meeting(), warnings.append)

    def work():
        with pytest.raises(torch.OutOfMemoryError):
            frugal.fuse(*pair())
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frugal.divisor == 2 and len(warnings) == 1


def test_what_finds_no_memory_to_warm_up_warms_up_smaller():
    class Heavy(Hungry):
        def warm_up(self, height, width):
            self.fuse(*pair(height, width))
            super().warm_up(height, width)

    frugal = Frugal(fuser := Heavy(), lambda text: None)
    with pytest.raises(torch.OutOfMemoryError):
        frugal.warm_up(96, 128)
    frugal.warm_up(96, 128)
    assert fuser.warmed == [(48, 64)]


def test_pictures_are_not_made_smaller_than_the_network_takes():
    fuser = Hungry()
    fuser.room = 0
    warnings = []
    frugal = Frugal(fuser, warnings.append)
    for _ in range(5):
        with pytest.raises(torch.OutOfMemoryError):
            frugal.fuse(*pair())
    assert frugal.divisor == 2  # 96 / 4 is below 32
    assert 'cannot be made smaller' in warnings[-1]


@pytest.mark.parametrize('size, taken', [
    ((512, 640), (64, 80)), ((240, 320), (60, 80)), ((64, 640), (32, 320)), ((60, 80), (60, 80))])
def test_smaller_pictures_that_come_later_are_left_as_large_as_the_network_needs(size, taken):
    frugal = Frugal(fuser := EchoFuser(), print)
    frugal.divisor = 8
    assert frugal.fuse(*pair(*size)).fused.shape == (*size, 3)
    frugal.warm_up(*size)
    judged = []
    fuser.refresh = lambda visible, thermal, *rest: judged.extend([visible.shape, thermal.shape])
    frugal.refresh(*pair(*size))
    assert [fuser.fused[-1][1].shape, *fuser.warmed, *judged] == [taken, taken, (*taken, 3), taken]


@pytest.mark.parametrize('fails', [False, True])
def test_what_torch_keeps_on_the_gpu_is_given_back_once_the_model_is_gone(
        start, monkeypatch, fails):
    loaded, given_back = [], []

    class Knotted(EchoFuser):
        def warm_up(self, height, width):
            if fails:
                raise RuntimeError('no such size')

    def load(*_):
        fuser = Knotted()
        fuser.myself = fuser
        loaded.append(weakref.ref(fuser))
        return fuser

    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(
        torch.cuda, 'empty_cache', lambda: given_back.append([ref() for ref in loaded]))
    spun = start(EchoFuser(), autostart=False)
    spun.node._load = load
    spun.do(spun.node.trigger_configure)
    assert (spun.node._fuser is None) == fails
    if not fails:
        spun.do(spun.node.trigger_cleanup)
    assert given_back == [[None]]


def one_lost_one_fused(peer):
    """Send two pairs, of which the first finds no memory; return the diagnostics."""
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    big = {'visible': frame(size=(96, 128), stamp=PERIOD),
           'thermal': frame(size=(96, 128), stamp=PERIOD, encoding='mono16')}
    peer.send_pair(1, **big)
    wait_for(lambda: diagnosed(reports).get('dropped.pairs.out_of_memory') == '1', 'the loss')
    for message in big.values():
        message.header.stamp.sec += 1
    send(peer, fused, 2, 2, **big)
    assert (fused[0].height, fused[0].width) == (96, 128)
    return reports


def test_a_node_that_cannot_warm_up_for_want_of_memory_finds_a_smaller_size_at_its_first_pair(
        start, peer, capfd):
    warmed = []

    class Cold(Hungry):
        def warm_up(self, height, width):
            warmed.append((height, width))
            if height * width > self.room:
                raise torch.OutOfMemoryError('CUDA out of memory')
    start(Cold(), {'model.warm_up_size': '128x96'})
    one_lost_one_fused(peer)
    assert warmed == [(96, 128), (96, 128), (48, 64)]
    said = capfd.readouterr().err
    assert 'out of memory for model.warm_up_size: 128x96' in said and 'fuses at 1/2' in said


def test_the_node_goes_on_smaller_says_so_and_counts_the_frame(start, peer):
    start(Hungry())
    reports = one_lost_one_fused(peer)
    values = wait_for(lambda: (v := diagnosed(reports)).get('fused') == '1' and v, 'a report')
    assert 'fuses at 1/2 of the size' in values['message'] and values['level'] == b'\x01'
    accounted(values)
