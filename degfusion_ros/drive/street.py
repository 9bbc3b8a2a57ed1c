# SPDX-License-Identifier: Apache-2.0
"""What stands along the street: houses, trees, hedges, lamps, signs and parked cars."""

from dataclasses import dataclass, replace

import numpy as np

from degfusion_ros.drive import plants
from degfusion_ros.drive.buildings import House
from degfusion_ros.drive.cars import CarModel
from degfusion_ros.drive.texture import Texture
from degfusion_ros.drive.traffic import CROSSINGS, ego_position

LENGTH = 640.0  # metres of street
COLOURS = [(168, 32, 34), (186, 190, 194), (34, 36, 40), (34, 64, 112), (232, 232, 228),
           (96, 104, 108), (52, 84, 62)]


@dataclass(frozen=True)
class Standing:
    """One thing on its spot: a picture of so many metres' height, facing the camera."""

    s: float
    d: float
    height: float
    texture: Texture
    flip: bool = False


@dataclass(frozen=True)
class Parked:
    """A parked car."""

    s: float
    d: float
    model: CarModel


@dataclass
class Street:
    """Everything that does not move."""

    houses: list[House]
    standing: list[Standing]
    hedges: list[tuple[float, float, Texture]]
    parked: list[Parked]
    tree_shadows: list[tuple[float, float, float]]


def build(rng: np.random.Generator) -> Street:
    """Lay the street out; the same generator state gives the same street."""
    zebras = [ego_position(t) for t in CROSSINGS]
    trees = [plants.tree(rng) for _ in range(7)]
    hedges = [plants.hedge(rng) for _ in range(3)]
    standing, shadows = _trees(trees, rng)
    lamp, signs = plants.lamp_post(), [plants.sign(0), plants.sign(1)]
    standing += [Standing(s, 6.15, 7.0, lamp) for s in np.arange(12, LENGTH, 31.0)]
    standing += [Standing(s - 14.0, 6.2, 2.8, signs[1]) for s in zebras]
    standing += [Standing(s, 6.25, 2.7, signs[0]) for s in (26.0, 150.0, 262.0, 370.0)]
    right = [(s, 8.9, hedges[int(rng.integers(3))]) for s in np.arange(0, LENGTH, 4.0)
             if _gap(s) or rng.random() < 0.25]
    left = [(s, -7.2, hedges[int(rng.integers(3))]) for s in np.arange(0, LENGTH, 4.0)
            if s % 160 > 84]
    return Street(_houses(rng), standing, right + left, _parked(zebras, rng), shadows)


def _gap(s: float) -> bool:
    return s % 118 < 26


def _houses(rng: np.random.Generator) -> list[House]:
    drawn = [House.build(0, 9.8, float(length), floors, style, rng)
             for style, (length, floors) in enumerate(
                 ((12, 3), (15, 2), (9, 3), (18, 4), (12, 2), (15, 3), (10, 2)))]
    found, s = [], -6.0
    while s < LENGTH:
        if _gap(s) and s > 0:
            s += 26.0 - s % 118
        house = drawn[int(rng.integers(len(drawn)))]
        found.append(replace(house, s=s, d=9.8 + rng.uniform(0, 1.2)))
        s += house.length + (rng.uniform(2.5, 6.0) if rng.random() < 0.4 else 0.0)
    for s in (70.0, 86.0, 225.0, 243.0, 262.0, 390.0, 405.0):  # a few on the left, set back
        house = drawn[int(rng.integers(len(drawn)))]
        found.append(replace(house, s=s, d=-16.0 - rng.uniform(0, 4)))
    return found


def _trees(trees: list[Texture],
           rng: np.random.Generator) -> tuple[list[Standing], list[tuple[float, float, float]]]:
    standing, shadows, s = [], [], 6.0
    while s < LENGTH:
        d, height = -7.6 - rng.uniform(0, 1.8), rng.uniform(6.0, 8.5)
        standing.append(Standing(s, d, height, trees[int(rng.integers(7))], rng.random() < 0.5))
        shadows.append((s, d, height))
        s += rng.uniform(8, 15)
    for s in np.arange(4, LENGTH + 60, 7.0):  # a wood behind
        for d in (-24.0, -33.0):
            standing.append(Standing(s + rng.uniform(-3, 3), d - rng.uniform(0, 6),
                                     rng.uniform(8, 12), trees[int(rng.integers(7))]))
    for s in np.arange(17, LENGTH, 26.0):
        standing.append(Standing(s, 8.7, rng.uniform(4.2, 5.6), trees[int(rng.integers(7))]))
    return standing, shadows


def _parked(zebras: list[float], rng: np.random.Generator) -> list[Parked]:
    models = [CarModel.build(colour, van=i == 4, driven=False) for i, colour in enumerate(COLOURS)]
    found, s = [], 8.0
    while s < LENGTH:
        free = all(not -9.0 < s - zebra < 6.0 for zebra in zebras)
        if free and rng.random() < 0.55:
            found.append(Parked(s, 4.68 + rng.uniform(-0.1, 0.1), models[int(rng.integers(7))]))
        s += 6.14
    return found
