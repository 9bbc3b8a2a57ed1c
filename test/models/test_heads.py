# SPDX-License-Identifier: Apache-2.0
import pytest
from steered import network_of, OUTPUTS, pair, steer
import torch
from torch import nn

from degfusion_ros.models.compiled import Compiler
from degfusion_ros.models.heads import COLOUR, GREY, told
from degfusion_ros.models.layers import portable


@pytest.mark.parametrize('pictures', [1, 2])
def test_an_engine_is_told_the_same_in_convolutions_of_their_own(pictures):
    channels = pictures * GREY + sum(COLOUR)
    head, own = nn.Conv2d(6, channels, 3, padding=1), nn.Conv2d(8, channels, 1, bias=False)
    x, tint = torch.randn(2, 6, 5, 7), torch.randn(2, 8, 5, 7)
    wanted = (head(x) + own(tint)).split([GREY] * pictures + list(COLOUR), dim=1)
    together = told(x, head, tint, own)
    with portable(torch.float32):
        apart = told(x, head, tint, own)
    for found in (together, apart):
        for part, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(part, other, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_compiled_frame_splits_no_picture():
    pytest.importorskip('openvino')
    network = network_of('dgmoe')
    program = Compiler(network, torch.float32, 1)(*pair(0), steer(network, 0), OUTPUTS)
    graph = program._request.get_compiled_model().get_runtime_model()
    split = [op.get_input_shape(0) for op in graph.get_ordered_ops()
             if op.get_rt_info()['layerType'].value == 'Split']
    cells = [pair(0)[1].shape[i] // 4 for i in (2, 3)]
    assert split and not any(c >= GREY and size == cells for _, c, *size in map(list, split))
