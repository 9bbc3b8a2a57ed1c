# SPDX-License-Identifier: Apache-2.0
"""A small result with its inputs and clean sources on disk, for tests of the evaluation."""

import json

import cv2
from samples import A, AVERAGE, B, noisy

NAMES = ('000', '001', '002')
SMALL = (slice(0, 60), slice(0, 72))


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def build(root, conditions=('',)):
    """Write clean/, in/ and out/[CONDITION/]; out is laid out as `fuse` does. Return root."""
    for i, name in enumerate(NAMES):
        a, b, mixed = (x[i:i + 60, :72] for x in (A, B, AVERAGE))
        save(root / 'clean/visible' / f'{name}.png', a)
        save(root / 'clean/thermal' / f'{name}.png', b)
        for condition in conditions:
            given, made = root / 'in' / condition, root / 'out' / condition
            save(given / 'visible' / f'{name}.png', noisy(a, 20))
            save(given / 'thermal' / f'{name}.png', b)
            save(made / 'fused' / f'{name}.png', mixed)
            save(made / 'visible' / f'{name}.png', noisy(a, 5))
            save(made / 'thermal' / f'{name}.png', b)
            with open(made / 'degradation.jsonl', 'a') as lines:
                row = {'name': name, 'visible': {'noise': 0.6, 'fog': 0.1}, 'thermal': {}}
                lines.write(json.dumps(row) + '\n')
    return root
