# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up: one clear line, and nothing half-written kept as whole."""

import contextlib
import resource

import cv2
import numpy as np
import pytest
from safetensors import SafetensorError
import torch

from degfusion_ros import bags
from degfusion_ros.__main__ import _line, main
from degfusion_ros.imaging import registration_file
from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.learning import degraded_sets
from degfusion_ros.learning.loop import Loop, TrainingError
from degfusion_ros.models import checkpoint


@contextlib.contextmanager
def room(size):
    """Let no file grow beyond `size` bytes: write() fails midway, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('name', ['drive.mcap', 'drive.db3', 'folder'])
def test_a_bag_that_does_not_fit_is_told_and_leaves_nothing(tmp_path, name):
    rng = np.random.default_rng(0)
    with room(100_000), pytest.raises(bags.BagError) as caught, \
            bags.Writer(tmp_path / name) as writer:
        for stamp in range(200):  # 15 KB of noise each
            noise = rng.integers(0, 255, (64, 80, 3)).astype(np.uint8)
            writer.write('/x', bags.IMAGE, stamp, bags.image_cdr(noise, 'rgb8', stamp, 'camera'))
    assert name in str(caught.value) and 'cannot be written' in str(caught.value)
    assert '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_fused_pictures_that_do_not_fit_are_told_in_one_line(
        pair_root, tmp_path, tiny_model, capsys):
    street, output = pair_root / 'street', tmp_path / 'out'
    noise = np.random.default_rng(0).integers(0, 255, (160, 200, 3)).astype(np.uint8)
    for path in street.glob('*/*'):  # 90 KB a picture
        cv2.imwrite(str(path), noise)
    with room(20_000):
        assert main([
            'fuse', '--visible', str(street / 'visible'), '--thermal', str(street / 'thermal'),
            '--output', str(output), '--model', str(tiny_model), '--device', 'cpu']) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(output) in told and 'File too large' in told
    assert not any(path.is_file() for path in output.rglob('*'))


def test_a_model_that_does_not_fit_leaves_the_old_one_whole(tmp_path, tiny_model):
    network, guidance = checkpoint.load(tiny_model)
    path = tmp_path / 'model.safetensors'
    path.write_bytes(before := tiny_model.read_bytes())
    with room(10_000), pytest.raises((OSError, SafetensorError)):
        checkpoint.save(path, network.kind, network.state_dict(), guidance.state_dict(),
                        network.config, 1, guidance.clip_name)
    assert path.read_bytes() == before


def test_an_average_that_does_not_fit_leaves_the_old_one_whole(tmp_path, tiny_model, capsys):
    path = tmp_path / 'mean.safetensors'
    path.write_bytes(before := tiny_model.read_bytes())
    with room(10_000):
        assert main(['average', str(tiny_model), '--output', str(path)]) == 1
    assert 'mean.safetensors: cannot be written' in capsys.readouterr().err
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_small_files_that_do_not_fit_are_named_and_leave_nothing(tmp_path):
    with room(10), pytest.raises(OSError) as caught:
        registration_file.save(tmp_path / 'r.yaml', Plane(np.eye(3)), 0.0)
    assert _line(caught.value) == f'{tmp_path}/r.yaml: File too large'
    assert list(tmp_path.iterdir()) == []
    manifest = degraded_sets.Manifest(tmp_path, {})
    with room(10), pytest.raises(OSError) as caught:
        manifest.add({('train', 'fog', 'a.png'): 'more than ten bytes'})
    assert _line(caught.value) == f'{tmp_path}/manifest.jsonl.part: File too large'


def test_a_training_checkpoint_that_does_not_fit_is_told_and_the_last_one_stays(tmp_path):
    loop = Loop(torch.nn.Linear(100, 100), tmp_path, lr=1e-3, steps=1)
    loop.save()
    before = (tmp_path / 'last.pt').read_bytes()
    with room(10_000), pytest.raises(TrainingError, match=r'last\.pt: cannot be written'):
        loop.save()
    assert (tmp_path / 'last.pt').read_bytes() == before
    assert not list(tmp_path.glob('*.part'))
