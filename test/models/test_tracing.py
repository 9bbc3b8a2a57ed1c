# SPDX-License-Identifier: Apache-2.0
import gc
import weakref

import torch
from torch import nn

from degfusion_ros.models.tracing import traced


def test_a_program_does_as_the_function_does_with_other_tensors():
    layer, given = nn.Linear(3, 2).requires_grad_(False), torch.rand(4, 3)

    def function(x, y):
        return layer(x).relu(), x * y
    program = traced(function, given, given)
    for x, y in torch.randn(5, 2, 6, 3):
        for found, wanted in zip(program(x, y), function(x, y), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_program_goes_and_takes_its_weights_along():
    given = torch.rand(4, 3)

    def made():
        layer = nn.Linear(3, 2).requires_grad_(False)
        return traced(lambda x: (layer(x),), given), layer(given), weakref.ref(layer.weight)
    program, wanted, weight = made()
    torch.testing.assert_close(program(given)[0], wanted)   # it holds them meanwhile
    gc.collect()
    assert weight() is not None
    del program
    gc.collect()
    assert weight() is None
