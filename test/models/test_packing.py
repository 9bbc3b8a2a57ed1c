# SPDX-License-Identifier: Apache-2.0
"""Packing moves pixels and loses none, by torch as by NumPy."""

from hypothesis import given
import hypothesis.strategies as st
import numpy as np
import torch

from degfusion_ros.models.packing import pack, pack_array, Packed, pixels, unpack, unpack_array


@given(factor=st.sampled_from([1, 2, 4]), channels=st.sampled_from([1, 3]),
       cells=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_unpack_undoes_pack(factor, channels, cells):
    image = torch.rand(2, channels, cells[0] * factor, cells[1] * factor)
    packed = pack(image, factor)
    assert packed.shape == (2, channels * factor ** 2, *cells)
    assert torch.equal(unpack(packed, factor), image)


def test_colour_is_innermost():
    image = torch.rand(1, 3, 4, 4)
    packed = pack(image, 2)[0, :, 0, 0]
    assert torch.equal(packed[3:6], image[0, :, 0, 1])       # dy 0, dx 1


@given(factor=st.sampled_from([1, 2, 4]), channels=st.sampled_from([1, 3]),
       kind=st.sampled_from([np.uint8, np.float32]),
       cells=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)))
def test_numpy_packs_as_torch_does(factor, channels, kind, cells):
    b, h, w = cells
    image = np.random.default_rng(0).integers(
        0, 256, (b, h * factor, w * factor, channels)).astype(kind)
    found = np.zeros((b, h, w, channels * factor ** 2), kind)
    pack_array(image, factor, found)
    wanted = pack(torch.from_numpy(image).permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(found, wanted.numpy())
    np.testing.assert_array_equal(unpack_array(found, factor), image)


def test_what_is_packed_already_is_taken_as_it_is():
    image = torch.rand(1, 3, 8, 12)
    there = Packed(pack(image, 4), 4)
    assert pack(there, 4) is there.cells
    assert torch.equal(pixels(there), image) and pixels(image) is image
    assert torch.equal(pack(there, 2), pack(image, 2))
