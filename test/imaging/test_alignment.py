# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from scenes import scene

from degfusion_ros.imaging.alignment import Alignment

SIZE = 640, 480


def watch(moved, frames=4, degrade=lambda visible, thermal: (visible, thermal), seed=0):
    """Return what is told after some scenes whose thermal picture is moved by a 2x3 matrix."""
    rng, alignment = np.random.default_rng(seed), Alignment()
    for _ in range(frames):
        visible, thermal = scene(rng, SIZE)
        thermal = cv2.warpAffine(thermal, moved, SIZE, borderMode=cv2.BORDER_REPLICATE)
        visible, thermal = degrade(visible, thermal)
        found = alignment.update(cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB),
                                 thermal.astype(np.float32) / 255)
    return found


def shift(dx, dy):
    return np.float32([[1, 0, dx], [0, 1, dy]])


@pytest.mark.parametrize('dx, dy', [(0, 0), (20, 0), (-14, 9), (50, -30)])
def test_a_shift_is_told_in_pixels(dx, dy):
    found = watch(shift(dx, dy))
    assert (found.dx, found.dy) == pytest.approx((dx, dy), abs=1.5)
    assert found.px == pytest.approx(np.hypot(dx, dy), abs=2)


@pytest.mark.parametrize('angle, scale', [(3, 1.0), (0, 1.06), (-2, 0.96)])
def test_rotation_and_scale_are_told_though_the_middle_is_right(angle, scale):
    moved = cv2.getRotationMatrix2D((319.5, 239.5), angle, scale)
    grid = np.stack(np.meshgrid((0, 320, 640), (0, 240, 480)), -1).reshape(-1, 2)
    wanted = np.linalg.norm(grid @ moved[:, :2].T + moved[:, 2] - grid, axis=1)
    found = watch(moved)
    assert found.px == pytest.approx(np.sqrt((wanted ** 2).mean()), rel=0.2)
    assert abs(found.dx) < 3 and abs(found.dy) < 3


def test_pictures_of_different_scenes_tell_nothing():
    rng, alignment = np.random.default_rng(3), Alignment()
    for _ in range(6):
        (visible, _), (_, thermal) = scene(rng, SIZE), scene(rng, SIZE)
        assert alignment.update(cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB), thermal) is None


@pytest.mark.parametrize('hide', [
    lambda visible, thermal: (np.full_like(visible, 200), thermal),
    lambda visible, thermal: (visible, np.full_like(thermal, 90)),
    lambda visible, thermal: (np.random.default_rng(1).integers(0, 255, visible.shape, np.uint8),
                              thermal),
    lambda visible, thermal: (visible // 64, (np.arange(640) % 8 * 30)[None].repeat(480, 0))],
    ids=['fog', 'shutter', 'noise', 'stripes'])
def test_pictures_that_show_nothing_tell_nothing(hide):
    found = watch(shift(0, 0), degrade=hide)
    assert found is None


def test_light_degradation_is_looked_through():
    rng = np.random.default_rng(5)

    def degrade(visible, thermal):
        visible = 150 + 0.3 * visible + rng.normal(0, 8, visible.shape)
        return visible.clip(0, 255).astype(np.uint8), thermal // 3 + 80
    assert watch(shift(0, 0), degrade=degrade).px < 2
    assert watch(shift(24, 0), degrade=degrade).px == pytest.approx(24, abs=2)


def test_it_follows_a_camera_that_was_knocked():
    rng, alignment = np.random.default_rng(6), Alignment()
    for number in range(16):
        visible, thermal = scene(rng, SIZE)
        if number >= 6:
            thermal = cv2.warpAffine(thermal, shift(18, 0), SIZE)
        found = alignment.update(cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB), thermal)
        if number == 5:
            assert found.px < 2
    assert found.px == pytest.approx(18, abs=2)


def test_sizes_may_change_and_small_pictures_are_left_alone():
    alignment = Alignment()
    for side in (64, 640, 320, 20):
        picture = np.random.default_rng(0).integers(0, 255, (side * 3 // 4, side), np.uint8)
        found = alignment.update(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), picture)
        assert (found is None) == (side < 160)
    strip = np.zeros((30, 640), np.uint8)
    assert alignment.update(cv2.cvtColor(strip, cv2.COLOR_GRAY2RGB), strip) is None
