# SPDX-License-Identifier: Apache-2.0
"""On a CPU pictures stay where they are; to a GPU and back they are what they were."""

import numpy as np
import pytest
import torch

from degfusion_ros.models.transfers import download, on, PATIENT, settle, stream, upload, URGENT


def test_on_a_cpu_there_are_no_streams_and_no_copies():
    image = np.zeros((4, 5, 3), np.uint8)
    lane = stream('cpu', URGENT)
    with on(lane):
        there = upload(image, 'cpu')
        here, = download([there])
    settle(lane)
    image[1, 2] = 7
    assert there[1, 2].tolist() == [7, 7, 7] and here[1, 2].tolist() == [7, 7, 7]
    assert download([]) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_pictures_come_back_from_a_gpu_and_frames_go_before_judgements():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(2)]
    urgent, patient = stream('cuda', URGENT), stream('cuda', PATIENT)
    assert urgent.priority < patient.priority
    with on(urgent):
        found = download([upload(image, 'cuda') + 1 for image in images])
    settle(urgent)
    for image, other in zip(images, found):
        assert np.array_equal(image + 1, other)
