# SPDX-License-Identifier: Apache-2.0
"""What every training run shares: devices, progress, TensorBoard, checkpoints and resuming."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
import math
import os
from pathlib import Path
import pickle
import sys
import time

from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file
import torch
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from degfusion_ros.models.choice import multiplies_bfloat16

SPOILT = 20     # steps in a row without finite gradients that end a run
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, LookupError, ValueError, EOFError)


class TrainingError(RuntimeError):
    """A run that cannot start or go on; the message says why in one line."""


def processes() -> PartialState:
    """Return who takes part; the first call settles it, so that it must tell of CPUs as Loop's."""
    return PartialState(cpu=not torch.cuda.is_available())     # else several are taken for one each


def own_seed(seed: int) -> int:
    """Return a seed of this process's own: several take part, each with other samples."""
    return seed + 100_003 * processes().process_index


def steps_done(folder: Path) -> int:
    """Return the step of a folder's last checkpoint, 0 without one; raises TrainingError."""
    path = Path(folder) / 'last.pt'
    if not path.exists():
        return 0
    try:
        return torch.load(path, map_location='cpu', weights_only=True, mmap=True)['step']
    except _UNREADABLE as error:
        raise _cannot_resume(path, error) from error


def _cannot_resume(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f'{path}: cannot resume from it ({type(error).__name__}); delete it to '
                         'start again')


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what fails while `path` is written into a TrainingError; no part of it stays behind."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        with suppress(OSError):
            path.with_suffix('.part').unlink()
        raise TrainingError(f'{path}: cannot be written ({error}): is the disk full? What stood '
                            'there before is whole, and so is the last checkpoint') from error


def start_from(file: Path, network: torch.nn.Module) -> None:
    """Load the weights of a fusion network's checkpoint; raises TrainingError."""
    if not file.is_file():
        raise TrainingError(f'start_from: {file}: no such weights; train them first (config/train '
                            'tells the order), or set it to null')
    try:
        network.load_state_dict({k.removeprefix('network.'): v for k, v in load_file(file).items()
                                 if k.startswith('network.')})
    except (SafetensorError, RuntimeError) as error:
        raise TrainingError(f'start_from: {file}: no weights of this `network`; use those of the '
                            'same widths') from error


def cosine(step: int, total: int, warm_up: int = 50, floor: float = 0.02) -> float:
    """Return the learning-rate factor: linear warm-up, then half a cosine down to `floor`."""
    if step < warm_up:
        return (step + 1) / warm_up
    t = min((step - warm_up) / max(total - warm_up, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * t))


class Loop:
    """
    One resumable run of optimiser steps.

    `later` are the folders of phases that go on from this one: new steps of it make their
    checkpoints void, and its next one removes them. Several GPUs or machines take part through
    `accelerate launch`, several processors through `torchrun`; the first process writes.
    """

    def __init__(self, model: torch.nn.Module, folder: Path, lr: float, steps: int,
                 weight_decay: float = 0.01, checkpoint_s: float = 120.0, max_norm: float = 1.0,
                 ema: float = 0.0, warm_up: int = 50, later: Sequence[Path] = ()):
        # a stage may leave some weights alone
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),      # as `processes`
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
        self.folder, self.steps, self.step = Path(folder), steps, 0
        self.later, self._found = later, 0      # _found: the step that the run began with
        self.lr = lr
        self._spoilt = 0
        self.checkpoint_s, self.max_norm, self.ema_decay = checkpoint_s, max_norm, ema
        self.folder.mkdir(parents=True, exist_ok=True)
        trainable = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trainable, lr=lr, weight_decay=weight_decay,
                                           fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: cosine(step, steps, warm_up))
        self.raw = model
        self.model, self.optimizer = self.accelerator.prepare(model, self.optimizer)
        self.ema = {k: v.detach().clone() for k, v in model.state_dict().items()} if ema else None
        self.log = SummaryWriter(str(self.folder)) if self.accelerator.is_main_process else None

    @property
    def device(self) -> torch.device:
        """Where batches belong."""
        return self.accelerator.device

    def autocast(self) -> torch.autocast:
        """bfloat16 where the processor multiplies it faster, as a context."""
        fast = self.device.type == 'cuda' or multiplies_bfloat16()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=fast)

    def resume(self) -> bool:
        """
        Take up the last checkpoint of the folder; False when there is none.

        Raises TrainingError where it cannot be read, or where machines do not find the same one.
        """
        found = self._take_up(self.folder / 'last.pt')
        if self.step > self.steps and self.log:
            print(f'train: {self.folder}: has made {self.step} steps, {self.steps} are asked for: '
                  'makes none, and goes on with what it is', file=sys.stderr)
        steps = self.accelerator.gather(torch.tensor([self.step], device=self.device))
        if len(set(steps.tolist())) > 1:
            raise TrainingError(f'{self.folder}: processes found checkpoints of steps '
                                f'{sorted(set(steps.tolist()))}; give all machines one --output '
                                'folder, or copy its last.pt to each')
        return found

    def _take_up(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location='cpu', weights_only=True)
            self.raw.load_state_dict(state['model'])
            self.optimizer.load_state_dict(state['optimizer'])
            self.schedule.load_state_dict(state['schedule'])
            self.schedule.base_lrs = [self.lr] * len(self.schedule.base_lrs)     # may be new
        except _UNREADABLE as error:
            raise _cannot_resume(path, error) from error
        self.step = self._found = state['step']
        if self.ema is not None:    # a run that kept no mean begins one with what it has made
            kept = state['ema'] or state['model']
            self.ema = {k: v.to(self.ema[k].device) for k, v in kept.items()}
        return True

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        if not self.accelerator.is_main_process:
            return
        part, path = self.folder / 'last.pt.part', self.folder / 'last.pt'
        try:
            torch.save({'model': self.raw.state_dict(), 'optimizer': self.optimizer.state_dict(),
                        'schedule': self.schedule.state_dict(), 'step': self.step,
                        'processes': self.accelerator.num_processes, 'ema': self.ema}, part)
            for phase in self.later if self.step > self._found else ():
                (phase / 'last.pt').unlink(missing_ok=True)
            os.replace(part, path)
        except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
            part.unlink(missing_ok=True)
            raise TrainingError(f'{path}: cannot be written ({type(error).__name__}): is the disk '
                                'full? The checkpoint before it is whole') from error

    def run(self, loss_of: Callable[[int], dict[str, torch.Tensor]], title: str,
            every: dict[int, Callable[[], None]] | None = None) -> None:
        """
        Step until done; `loss_of(step)` returns named losses whose 'total' is minimised.

        `every` maps a period in steps to what the first process calls then (evaluation, pictures);
        after the last step it calls all, also where that was made before.
        """
        calls, saved = (every or {}) if self.log else {}, time.monotonic()
        for _ in self._progress(title):
            losses = loss_of(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(losses['total'])
            norm = self.accelerator.clip_grad_norm_(self.raw.parameters(), self.max_norm)
            if self._sound(norm):
                self.optimizer.step()
            self.schedule.step()
            self.step += 1
            self._average()
            if self.log and self.step % 20 == 0:
                for name, value in losses.items():
                    self.log.add_scalar(f'loss/{name}', value.item(), self.step)
            if time.monotonic() - saved > self.checkpoint_s:
                self.save()
                saved = time.monotonic()
            for period, call in calls.items():
                if self.step % period == 0 and self.step < self.steps:
                    call()
        self.save()
        for call in calls.values():
            call()
        if self.log:
            self.log.close()                    # else its thread stays as long as the process
        self.accelerator.wait_for_everyone()    # a phase that follows looks for checkpoints

    def _sound(self, norm: torch.Tensor) -> bool:
        """Tell whether a step may be taken: one that is not finite would spoil all weights."""
        self._spoilt = 0 if torch.isfinite(norm) else self._spoilt + 1
        if self._spoilt == SPOILT:
            raise TrainingError(f'{self.folder}: gradients not finite in {SPOILT} steps running, '
                                f'the last of them step {self.step}; lower the learning rate')
        return self._spoilt == 0

    def averaged(self) -> dict[str, torch.Tensor]:
        """Return the weights to ship: their running mean where one is kept."""
        return self.raw.state_dict() if self.ema is None else self.ema

    @torch.no_grad()
    def _average(self) -> None:
        if self.ema is None:
            return
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        for key, value in self.raw.state_dict().items():
            if value.is_floating_point():
                self.ema[key].lerp_(value, 1 - decay)
            else:
                self.ema[key].copy_(value)

    def _progress(self, title: str) -> Iterator[int]:
        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not self.accelerator.is_main_process) as bar:
            task = bar.add_task(title, total=self.steps, completed=self.step)
            while self.step < self.steps:
                yield self.step
                bar.update(task, completed=self.step)


def stream_loader(dataset, workers: int = 1) -> DataLoader:
    """Iterate a sample stream in background processes, one sample at a time."""
    return DataLoader(dataset, batch_size=None, num_workers=workers,
                      prefetch_factor=8 if workers else None)
