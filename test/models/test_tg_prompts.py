# SPDX-License-Identifier: Apache-2.0
"""Task prompts."""

import torch

from degfusion_ros.models.tg_prompts import Prompts


@torch.no_grad()
def test_a_prompt_mixes_the_dictionary():
    torch.manual_seed(0)
    prompts = Prompts(words=6, size=10)
    views = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    views[1] //= 8
    told = prompts(views)
    assert told.shape == (3, 10) and told.dtype == torch.float32
    shares = torch.linalg.lstsq(prompts.dictionary.T, told.T).solution.T
    torch.testing.assert_close(shares.sum(1), torch.ones(3), atol=1e-4, rtol=0)
    assert (shares > -1e-4).all()
    assert (told[0] - told[1]).abs().max() > 2 * (told[0] - told[2]).abs().max()
