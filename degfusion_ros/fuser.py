# SPDX-License-Identifier: Apache-2.0
"""The one way in: a checkpoint becomes refresh (slow, cached) and fuse (fast, every frame)."""

from collections.abc import Callable
import copy
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
from degfusion_ros.models.degradation import Degradation, degradation
from degfusion_ros.models.engine import EngineError, OnnxNetwork
from degfusion_ros.models.guidance import Guidance, Judgement, VECTOR_SIZE
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models.network import FusionNetwork, OUTPUTS
from degfusion_ros.models.pictures import as_bytes, as_images, checked, Fusion
from degfusion_ros.models.recorded import Recorded
from degfusion_ros.models.transfers import on, PATIENT, settle, stream, upload, URGENT

__all__ = ['Degradation', 'ENGINES', 'find_model', 'Fuser', 'FuserError', 'Fusion', 'OUTPUTS',
           'THERMAL_LABELS', 'VISIBLE_LABELS']

WARM = (OUTPUTS, ('fused',))      # what is asked for as a rule
# NumPy deals with single images: a step that torch shares out leaves its threads spinning for a
# while, in the way of an engine's.
_LEVEL = np.float32(1 / 255)
_OTHER_SCENE = 0.5     # of a severity, from one judgement to the next
_RAIN = VISIBLE_LABELS.index('rain')
Kept = tuple[torch.Tensor, torch.Tensor]    # d_deg and what steers
Look = tuple[torch.Tensor, torch.Tensor]    # what the guidance sees in an image, and statistics


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
        self._judges, self._fuses = stream(device, PATIENT), stream(device, URGENT)
        self._guidance = guidance.eval().requires_grad_(False).to(device)
        self._swap, self._judging = threading.Lock(), threading.Lock()
        # of the last judgement: of the picture and, where that was judged, of the derained one
        self._kept: list[Kept] = []
        with torch.inference_mode(), on(self._judges):
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
        engine = find_engine(engine, device, precision)
        precision = find_precision(precision, device, engine)
        try:
            network, guidance = checkpoint.load(path)
            if engine == 'onnxruntime':
                network = OnnxNetwork(network, providers, torch.get_num_threads())
        except (checkpoint.CheckpointError, EngineError) as error:
            raise FuserError(str(error)) from error
        return cls(network, guidance, path.stem, device, precision, engine)

    def refresh(self, visible: np.ndarray, thermal: np.ndarray,
                between: Callable[[], None] = lambda: None, keep: float = 0.0,
                outputs: tuple[str, ...] = OUTPUTS) -> Degradation:
        """
        Judge a pair (images as in `fuse`) and steer all later frames by it.

        `between` is called between its steps, which take 4 to 9 ms each: whoever fuses in another
        thread may let them wait for a gap between two frames. `keep`, 0 to 1, is the share of what
        steered before (the vector, or a network's own prompts) that still does, against flicker; a
        scene that is judged to be another (a severity is off by a half) is not mixed with the
        last. `outputs` are those that later frames will be asked for: where it rains and not rain
        alone is wrong, the derained picture is judged, too, for the restored visible one.
        """
        visible, thermal = checked(visible, thermal)
        # One thread: a second pool would outnumber the cores, and OpenMP then puts all waiting
        # threads to sleep at every step, the frames' too: twice as long for every frame.
        _use_threads(1)
        try:
            with on(self._judges):
                return self._refresh(visible, thermal, between, keep, outputs)
        finally:
            _use_threads(self._threads)

    def _refresh(self, visible: np.ndarray, thermal: np.ndarray, between: Callable[[], None],
                 keep: float, outputs: tuple[str, ...]) -> Degradation:
        heat = self._look(as_bytes(thermal), thermal_statistics, between)
        told = self._read(self._look(visible, visible_statistics, between), heat)
        pair = self._tensors(visible, thermal)
        between()
        kept = [self._steadied(told.vector.float(), pair, keep, *self._kept[:1])]
        already = keep > 0 and len(self._kept) > 1      # pictures of their own know no last one
        if 'visible' in outputs and self._network.dries(kept[0][1], already):
            between()
            with torch.inference_mode(), self._autocast():
                dry = self._network.dried(pair[0])
            seen = self._look(*as_images([dry.permute(0, 2, 3, 1)], thermal.shape),
                              visible_statistics, between)
            vector = self._read(seen, heat).vector.float()
            with torch.inference_mode():
                vector[:, _RAIN] = 0
            kept.append(self._steadied(vector, (dry, pair[1]), keep, *self._kept[1:]))
        self._kept = kept
        self._steer(*(gate for _, gate in kept))
        if self._recordable:
            with torch.inference_mode(), self._autocast():
                for state in self._states:
                    self._frames.record_what_pays(state)
        return degradation(told)

    @property
    def steering(self) -> tuple[torch.Tensor, ...] | None:
        """
        What the last judgement left, None before the first, on the CPU.

        d_deg and what steers; both again of the derained picture, where that was judged. Set on
        another Fuser of the same model, that one goes on as this one would.
        """
        return tuple(x.cpu() for kept in self._kept for x in kept) or None

    @steering.setter
    def steering(self, kept: tuple[torch.Tensor, ...]) -> None:
        kept = [x.to(self.device) for x in kept]
        self._kept = list(zip(kept[::2], kept[1::2]))
        self._steer(*kept[1::2])

    def _steadied(self, vector: torch.Tensor, pair: tuple[torch.Tensor, ...], keep: float,
                  before: Kept | None = None) -> Kept:
        """Return d_deg and what steers, mixed with those of `before`."""
        labels = len(VISIBLE_LABELS) + len(THERMAL_LABELS)
        with torch.inference_mode():
            gate = self._network.gate(vector, *pair)
            # the first entries of d_deg are twice the severities
            if before is not None and \
                    (vector - before[0])[:, :labels].abs().max() <= 2 * _OTHER_SCENE:
                vector, gate = (x.lerp(old, keep) for x, old in zip((vector, gate), before))
        return vector, gate

    def _look(self, image: np.ndarray, statistics: Callable[[np.ndarray], np.ndarray],
              between: Callable[[], None] = lambda: None) -> Look:
        """Return what the guidance sees in an image, uint8, and its statistics."""
        between()
        measures = torch.from_numpy(statistics(image)).to(self.device)
        between()
        view = torch.from_numpy(guidance_view(image)).permute(2, 0, 1)[None, None]
        with self._judging, torch.inference_mode(), self._autocast():
            return self._guidance.encode(view.to(self.device)), measures

    def _read(self, *looks: Look) -> Judgement:
        features, measures = (torch.cat(part) for part in zip(*looks))
        with self._judging, torch.inference_mode(), self._autocast():
            return self._guidance.read(features, measures[None])

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
        with self._swap:
            state, *dry = self._states
        apart = ('visible',) if dry and 'visible' in outputs else ()
        with torch.inference_mode(), self._autocast(), on(self._fuses):
            colour, heat = self._tensors(visible, thermal)
            made = {}
            if together := tuple(name for name in outputs if name not in apart):
                made.update(zip(together, self._frames(colour, heat, state, together)))
            if apart:
                made.update(zip(apart, self._frames(self._network.dried(colour), heat, *dry,
                                                    apart)))
            return Fusion(**dict(zip(made, as_images(list(made.values()), thermal.shape))))

    def stages(self, visible: np.ndarray, thermal: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's pictures on the way, if it has any: name -> uint8 HxWx3 or HxW."""
        visible, thermal = checked(visible, thermal)
        size = thermal.shape
        with self._swap:
            state = self._states[0]
        with torch.inference_mode(), self._autocast():
            found = self._network.stages(*self._tensors(visible, thermal), state)
        images = [x.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
                  for x in found.values()]
        return dict(zip(found, as_images(images, size)))

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
        self._read(self._look(visible, visible_statistics),
                   self._look(thermal, thermal_statistics))
        for outputs in WARM:
            self.fuse(visible, thermal, outputs)
            if self._recordable:
                with torch.inference_mode(), self._autocast():
                    self._frames.record(*self._tensors(visible, thermal), self._states[0],
                                        outputs)

    def forget(self) -> None:
        """Let go of what was recorded for sizes so far, as memory runs out."""
        self._network.forget()
        self._frames.forget()       # last: it hands memory back

    @property
    def way(self) -> str:
        """Tell what ran the last frame: openvino, torch, cuda_graph, onnxruntime, operators."""
        return self.engine if self.engine == 'onnxruntime' else self._frames.way

    def _steer(self, *gates: torch.Tensor) -> None:
        with torch.inference_mode(), on(self._judges):
            states = [self._network.decide(gate, self._dtype) for gate in gates]
        settle(self._judges)    # frames go to another stream
        with self._swap:
            self._states = states

    def _tensors(self, visible: np.ndarray, thermal: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Return the pair as the network takes it, its sides grown to what it needs."""
        bottom, right = (-n % self._network.multiple for n in thermal.shape)
        if bottom or right:
            visible, thermal = (cv2.copyMakeBorder(x, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
                                for x in (visible, thermal))
        if thermal.dtype == np.uint8:
            thermal = np.multiply(thermal, _LEVEL, dtype=np.float32)
        colour, heat = (upload(x, self.device) for x in (visible, thermal))
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
