# SPDX-License-Identifier: Apache-2.0
"""Which file, device, engine and precision a model runs with."""

from pathlib import Path
import re

import torch

from degfusion_ros.models import compiled

ENGINES = ('auto', 'torch', 'openvino', 'onnxruntime')
ON_CPU = ('openvino', 'onnxruntime')    # the network is there, wherever its frames are computed
PRECISIONS = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
_WEIGHTS = Path(__file__).parents[1] / 'weights'


class FuserError(RuntimeError):
    """A model, device or image that cannot be used; one line says which, why and what to do."""


def find_model(model: str | Path) -> Path:
    """Return the file of a shipped model's name, a path as it is; FuserError for a wrong name."""
    path = Path(model) if str(model).endswith('.safetensors') else \
        _WEIGHTS / f'{model}.safetensors'
    if path.parent == _WEIGHTS and not path.is_file():
        shipped = ', '.join(sorted(p.stem for p in _WEIGHTS.glob('*.safetensors'))) or 'none'
        raise FuserError(f'model {str(model)!r}: not a shipped model (there are: {shipped}); '
                         'give one of these or the path of a .safetensors file')
    return path


def find_device(device: str, engine: str = 'auto') -> str:
    """
    Return the torch device of auto, cpu, cuda or cuda:N; FuserError for one not there.

    auto is the cpu for an `engine` of ON_CPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == 'auto':
        return 'cuda' if count and engine not in ON_CPU else 'cpu'
    asked = re.fullmatch('cuda(?::([0-9]+))?', device)
    if device == 'cpu' or (asked and int(asked[1] or 0) < count):
        return device
    there = f', or cuda:0 to cuda:{count - 1}' if count else ''
    raise FuserError(f'device {device!r}: not there (torch {torch.__version__} sees {count} CUDA '
                     f'devices); use auto or cpu{there}')


def find_engine(engine: str, device: str, precision: str = 'auto') -> str:
    """Return the engine; auto is the fastest that is there for the device and the precision."""
    if engine not in ENGINES:
        raise FuserError(f'engine {engine!r}: choose from {", ".join(ENGINES)}')
    if engine == 'auto':
        return 'openvino' if device == 'cpu' and precision != 'float16' \
            and compiled.available() else 'torch'
    if engine in ON_CPU and device != 'cpu':
        raise FuserError(f'engine {engine!r}: with a network on the cpu, not {device}; use device '
                         'auto or cpu, or engine torch')
    if engine == 'openvino' and compiled.fault():
        raise FuserError(f'engine {engine!r}: {compiled.fault()}')
    return engine


def multiplies_bfloat16() -> bool:
    """Tell whether this processor multiplies bfloat16 by itself; an older torch says no."""
    return getattr(torch.cpu, '_is_avx512_bf16_supported', bool)()


def find_precision(precision: str, device: str, engine: str) -> str:
    """Return the precision; auto is the fastest that the device multiplies natively."""
    if engine == 'onnxruntime':
        if precision not in ('auto', 'float32'):
            raise FuserError(f'precision {precision!r}: the engine onnxruntime takes float32 only')
        return 'float32'
    if precision == 'auto':
        if device != 'cpu':
            return 'float16'
        return 'bfloat16' if multiplies_bfloat16() else 'float32'
    if precision not in PRECISIONS:
        raise FuserError(f'precision {precision!r}: choose from auto, {", ".join(PRECISIONS)}')
    if engine == 'openvino' and precision == 'float16':
        raise FuserError("precision 'float16': the engine openvino takes float32 or bfloat16; "
                         'choose one of these, or engine torch')
    return precision
