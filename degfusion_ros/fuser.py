# SPDX-License-Identifier: Apache-2.0
"""The one way in: a checkpoint becomes refresh (slow, cached) and fuse (fast, every frame)."""

from collections.abc import Callable
import copy
from dataclasses import dataclass
from pathlib import Path
import threading

import cv2
import numpy as np
import torch

from degfusion_ros.imaging.statistics import thermal_statistics, visible_statistics
from degfusion_ros.imaging.views import guidance_view
from degfusion_ros.models import checkpoint
from degfusion_ros.models.choice import (
    ENGINES,
    find_device,
    find_engine,
    find_model,
    find_precision,
    FuserError,
    PRECISIONS,
)
from degfusion_ros.models.compiled import Compiler
from degfusion_ros.models.engine import EngineError, OnnxNetwork
from degfusion_ros.models.guidance import Guidance, Judgement, VECTOR_SIZE
from degfusion_ros.models.labels import LABELS, THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models.network import FusionNetwork, OUTPUTS
from degfusion_ros.models.pictures import as_bytes, as_image, checked
from degfusion_ros.models.recorded import Recorded

__all__ = ['Degradation', 'ENGINES', 'find_model', 'Fuser', 'FuserError', 'Fusion', 'OUTPUTS',
           'THERMAL_LABELS', 'VISIBLE_LABELS']

WARM = (OUTPUTS, ('fused',))      # what is asked for as a rule
# NumPy deals with single images: a step that torch shares out leaves its threads spinning for a
# while, in the way of an engine's.
_LEVEL = np.float32(1 / 255)
# A label is active from even odds on; all labels below even odds, with one near it, is 'unsure'.
_ACTIVE, _DOUBT = 0.5, 0.35
_OTHER_SCENE = 0.5     # of a severity, from one judgement to the next


@dataclass(frozen=True)
class Degradation:
    """
    What is wrong with a pair.

    `visible` and `thermal` map every label to a severity in 0..1; `*_labels` are the active ones,
    most severe first, or ('clean',), or ('unsure',); `vector` is d_deg, float32 (512,).
    """

    visible: dict[str, float]
    thermal: dict[str, float]
    visible_labels: tuple[str, ...]
    thermal_labels: tuple[str, ...]
    unsure: dict[str, bool]
    vector: np.ndarray


@dataclass(frozen=True)
class Fusion:
    """Results of one pair, None where not asked for: uint8 HxWx3 RGB, HxWx3 RGB and HxW."""

    fused: np.ndarray | None = None
    visible: np.ndarray | None = None
    thermal: np.ndarray | None = None


class Fuser:
    """
    Fuse aligned visible and thermal images under degradation.

    `refresh` judges a pair and steers the network by it, which folds its experts into plain
    convolutions; `fuse` runs the steered network. They may be called from different threads: what
    steers is swapped in between two frames. Until the first refresh a neutral vector steers.
    """

    def __init__(self, network: FusionNetwork, guidance: Guidance, name: str, device: str,
                 precision: str, engine: str = 'torch'):
        self.name, self.device, self.precision, self.engine = name, device, precision, engine
        self._dtype = PRECISIONS[precision]
        self._threads = torch.get_num_threads()
        compiler = Compiler(copy.deepcopy(network), self._dtype, self._threads) \
            if engine == 'openvino' else None
        self._network = network.eval().requires_grad_(False).at(self._dtype).to(
            device, memory_format=torch.channels_last)
        self._frames = Recorded(self._network, compiler)
        self._recordable = network.recordable
        self._guidance = guidance.eval().requires_grad_(False).to(device)
        self._swap, self._judging = threading.Lock(), threading.Lock()
        # d_deg and what steers, of the last judgement
        self._vector: torch.Tensor | None = None
        self._gate: torch.Tensor | None = None
        with torch.inference_mode():
            self._steer(self._network.gate(torch.zeros(1, VECTOR_SIZE, device=device), None, None))

    @classmethod
    def load(cls, model: str | Path = 'dgmoe', device: str = 'auto', precision: str = 'auto',
             engine: str = 'auto', providers: str = 'cpu') -> 'Fuser':
        """
        Load a shipped model by name, or a .safetensors file by path.

        `device`: auto, cpu, cuda or cuda:N. `precision`: auto (the fastest that the device
        multiplies natively), float32, bfloat16 or float16. `engine`, which computes the frames:
        torch; openvino on a CPU, once it has compiled a size (see warm_up); onnxruntime in float32
        on its `providers` cpu, cuda or tensorrt, steered from the CPU; auto, openvino where it is
        installed and was found faster, else torch. Raises FuserError.
        """
        path = find_model(model)
        device = find_device(device, engine)
        engine = find_engine(engine, device)
        precision = find_precision(precision, device, engine)
        try:
            network, guidance = checkpoint.load(path)
            if engine == 'onnxruntime':
                network = OnnxNetwork(network, providers, torch.get_num_threads())
        except (checkpoint.CheckpointError, EngineError) as error:
            raise FuserError(str(error)) from error
        return cls(network, guidance, path.stem, device, precision, engine)

    def refresh(self, visible: np.ndarray, thermal: np.ndarray,
                between: Callable[[], None] = lambda: None, keep: float = 0.0) -> Degradation:
        """
        Judge a pair (images as in `fuse`) and steer all later frames by it.

        `between` is called between its steps, which take 4 to 9 ms each: whoever fuses in another
        thread may let them wait for a gap between two frames. `keep`, 0 to 1, is the share of what
        steered before (the vector, or a network's own prompts) that still does, against flicker; a
        scene that is judged to be another (a severity is off by a half) is not mixed with the
        last.
        """
        visible, thermal = checked(visible, thermal)
        # One thread: a second pool would outnumber the cores, and OpenMP then puts all waiting
        # threads to sleep at every step, the frames' too: twice as long for every frame.
        _use_threads(1)
        try:
            told = self._judge(visible, thermal, between)
            pair = self._tensors(visible, thermal)
            between()
            self._steer(self._steadied(told.vector.float(), *pair, keep))
            if self._recordable:
                with torch.inference_mode(), self._autocast():
                    self._frames.record_what_pays(*pair, self._state)
        finally:
            _use_threads(self._threads)
        return _degradation(told)

    @property
    def steering(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """
        What the last judgement left, None before the first: d_deg and what steers, on the CPU.

        Set on another Fuser of the same model, that one goes on as this one would.
        """
        return None if self._vector is None else (self._vector.cpu(), self._gate.cpu())

    @steering.setter
    def steering(self, kept: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._vector, self._gate = (x.to(self.device) for x in kept)
        self._steer(self._gate)

    def _steadied(self, vector: torch.Tensor, visible: torch.Tensor, thermal: torch.Tensor,
                  keep: float) -> torch.Tensor:
        before, labels = self._vector, len(VISIBLE_LABELS) + len(THERMAL_LABELS)
        with torch.inference_mode():
            gate = self._network.gate(vector, visible, thermal)
            # the first entries of d_deg are twice the severities
            if before is not None and \
                    (vector - before)[:, :labels].abs().max() <= 2 * _OTHER_SCENE:
                vector, gate = vector.lerp(before, keep), gate.lerp(self._gate, keep)
        self._vector, self._gate = vector, gate
        return gate

    def _judge(self, visible: np.ndarray, thermal: np.ndarray,
               between: Callable[[], None] = lambda: None) -> Judgement:
        thermal = as_bytes(thermal)
        between()
        measures = [visible_statistics(visible)]
        between()
        measures.append(thermal_statistics(thermal))
        measures = torch.from_numpy(np.concatenate(measures))[None].to(self.device)
        features = []
        for image in (visible, thermal):
            between()
            view = torch.from_numpy(guidance_view(image)).permute(2, 0, 1)[None, None]
            with self._judging, torch.inference_mode(), self._autocast():
                features.append(self._guidance.encode(view.to(self.device)))
        with self._judging, torch.inference_mode(), self._autocast():
            return self._guidance.read(torch.cat(features), measures)

    def fuse(self, visible: np.ndarray, thermal: np.ndarray,
             outputs: tuple[str, ...] = ('fused',)) -> Fusion:
        """
        Fuse one pair; only `outputs` (of 'fused', 'visible', 'thermal') are computed.

        `visible` is uint8 HxWx3 RGB; `thermal`, of the same height and width, is uint8, float32 in
        0..1, or uint16 raw counts (stretched between its own 1st and 99th percentile). Height and
        width are at least 32. Raises FuserError.
        """
        unknown = set(outputs) - set(OUTPUTS)
        if unknown or not outputs:
            raise FuserError(f'outputs {tuple(outputs)}: choose from {OUTPUTS}')
        visible, thermal = checked(visible, thermal)
        _use_threads(self._threads)
        with torch.inference_mode():
            with self._swap:
                state = self._state
            with self._autocast():
                made = self._frames(*self._tensors(visible, thermal), state, tuple(outputs))
            return Fusion(**{name: as_image(image, thermal.shape)
                             for name, image in zip(outputs, made)})

    def stages(self, visible: np.ndarray, thermal: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's pictures on the way, if it has any: name -> uint8 HxWx3 or HxW."""
        visible, thermal = checked(visible, thermal)
        size = thermal.shape
        with self._swap:
            state = self._state
        with torch.inference_mode(), self._autocast():
            found = self._network.stages(*self._tensors(visible, thermal), state)
        return {name: as_image(x.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1), size)
                for name, x in found.items()}

    def warm_up(self, height: int, width: int) -> None:
        """
        Judge and fuse at this size, so that the first real frames are not slow.

        It also makes the frame one program for each of the outputs in WARM, a second or two each:
        frames of this size are then faster, and don't wait for Python's lock.
        Sizes and outputs that come up later are recorded by `refresh`, once many frames had them.
        Raises FuserError for a size that cannot be fused.
        """
        rng = np.random.default_rng(0)
        visible, thermal = checked(rng.integers(0, 256, (height, width, 3), np.uint8),
                                   rng.integers(0, 256, (height, width), np.uint8))
        self._judge(visible, thermal)
        for outputs in WARM:
            self.fuse(visible, thermal, outputs)
            if self._recordable:
                with torch.inference_mode(), self._autocast():
                    self._frames.record(*self._tensors(visible, thermal), self._state, outputs)

    def _steer(self, gate: torch.Tensor) -> None:
        with torch.inference_mode():
            state = self._network.decide(gate, self._dtype)
        with self._swap:
            self._state = state

    def _tensors(self, visible: np.ndarray, thermal: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Return the pair as the network takes it, its sides grown to what it needs."""
        bottom, right = (-n % self._network.multiple for n in thermal.shape)
        if bottom or right:
            visible, thermal = (cv2.copyMakeBorder(x, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
                                for x in (visible, thermal))
        if thermal.dtype == np.uint8:
            thermal = np.multiply(thermal, _LEVEL, dtype=np.float32)
        colour, heat = (torch.from_numpy(x).to(self.device) for x in (visible, thermal))
        return colour.permute(2, 0, 1)[None], heat[None, None]

    def _autocast(self):
        return torch.autocast(torch.device(self.device).type, self._dtype,
                              enabled=self._dtype != torch.float32)


def _use_threads(count: int) -> None:
    """
    Let torch use so many threads for what the calling thread asks for.

    At its first parallel step a thread takes over what any thread has set last; asking for the
    number is such a step, setting it is not.
    """
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def _degradation(told: Judgement) -> Degradation:
    severities, active, unsure = {}, {}, {}
    for modality, names in LABELS.items():
        presence = getattr(told, modality)[0].float().sigmoid().tolist()
        severity = getattr(told, f'{modality}_severity')[0].float().tolist()
        severities[modality] = {n: p * s if p < _ACTIVE else s
                                for n, p, s in zip(names, presence, severity)}
        found = sorted((n for n, p in zip(names, presence) if p >= _ACTIVE),
                       key=lambda n: -severities[modality][n])
        unsure[modality] = not found and max(presence) >= _DOUBT
        active[modality] = tuple(found) or (('unsure',) if unsure[modality] else ('clean',))
    return Degradation(severities['visible'], severities['thermal'], active['visible'],
                       active['thermal'], unsure, told.vector[0].float().cpu().numpy())
