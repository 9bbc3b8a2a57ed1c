# SPDX-License-Identifier: Apache-2.0
"""
Which pictures of a result belong to which sources, for `evaluate`.

A result is a folder of fused pictures, or an output folder of `fuse` (fused/, visible/, thermal/,
degradation.jsonl), or a folder of CONDITION/ folders of either kind. With conditions, a folder of
sources holds them too: DIR/CONDITION/visible/STEM.* or DIR/CONDITION/STEM.*; clean sources may be
common to all conditions. Pictures belong together by file stem.
"""

from dataclasses import dataclass
from pathlib import Path

from degfusion_ros.learning.folders import images_in

SIDES = ('visible', 'thermal')


class EvaluationError(RuntimeError):
    """Folders that cannot be evaluated; one line names them, says why and what to do."""


@dataclass(frozen=True)
class Sources:
    """Folders of the inputs that were fused, and of their clean originals where they exist."""

    visible: Path
    thermal: Path
    clean_visible: Path | None = None
    clean_thermal: Path | None = None


@dataclass(frozen=True)
class Case:
    """One fused picture with all that belongs to it; `condition` is '' where there are none."""

    result: str
    condition: str
    name: str
    fused: Path
    visible: Path
    thermal: Path
    clean_visible: Path | None = None
    clean_thermal: Path | None = None
    restored_visible: Path | None = None
    restored_thermal: Path | None = None

    @property
    def where(self) -> str:
        """Name the case in a message."""
        return '/'.join(part for part in (self.result, self.condition, self.name) if part)


def named(words: list[str]) -> dict[str, Path]:
    """Return results by name from folders or NAME=FOLDER words; raises EvaluationError."""
    results: dict[str, Path] = {}
    for word in words:
        name, equals, rest = word.partition('=')
        path = Path(rest) if equals and not Path(word).exists() else Path(word)
        name = name if path != Path(word) else path.resolve().name
        if not path.is_dir():
            raise EvaluationError(f'{path}: no such folder of results')
        if name in results:
            raise EvaluationError(f'{results[name]} and {path} are both named {name!r}: give one '
                                  'as NAME=FOLDER')
        results[name] = path
    return results


def conditions(result: Path) -> list[str]:
    """Return the conditions of a result, [''] for a result without; raises EvaluationError."""
    if (result / 'fused').is_dir() or pictures(result):
        return ['']
    found = [path.name for path in sorted(result.iterdir())
             if path.is_dir() and pictures(_fused(path))]
    if not found:
        raise EvaluationError(f'{result}: no fused pictures; give a folder of them, an output '
                              'folder of fuse, or a folder of CONDITION/ folders of these')
    return found


def find(results: dict[str, Path], sources: Sources) -> tuple[list[Case], list[str]]:
    """
    Return the cases of all results, and a line for everything that has no partner.

    Raises EvaluationError where nothing is left to score.
    """
    cases, problems = [], []
    told = {name: conditions(path) for name, path in results.items()}
    everywhere = sorted(set().union(*told.values()))
    for name, path in results.items():
        problems += [f'{name}: no condition {c}' for c in everywhere if c not in told[name]]
        for condition in told[name]:
            try:
                inputs = {side: _inputs(getattr(sources, side), condition, side)
                          for side in SIDES}
                clean = {side: _clean(getattr(sources, f'clean_{side}'), condition, side)
                         for side in SIDES}
            except EvaluationError as error:
                problems.append(str(error))
                continue
            found, bad = _match(name, condition, path / condition, inputs, clean)
            cases, problems = cases + found, problems + bad
    if not cases:
        raise EvaluationError('; '.join(dict.fromkeys(problems)) or 'nothing to score')
    return cases, list(dict.fromkeys(problems))


def pictures(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by stem; none where there is no such folder."""
    return images_in(folder) if folder.is_dir() else {}


def _fused(folder: Path) -> Path:
    return folder / 'fused' if (folder / 'fused').is_dir() else folder


def _inputs(root: Path, condition: str, side: str) -> dict[str, Path]:
    return _first(root, side, [root / condition / side, root / condition])


def _clean(root: Path | None, condition: str, side: str) -> dict[str, Path] | None:
    if root is None:
        return None
    return _first(root, side, [root / condition / side, root / condition, root / side, root])


def _first(root: Path, side: str, folders: list[Path]) -> dict[str, Path]:
    for folder in folders:
        if found := pictures(folder):
            return found
    raise EvaluationError(f'{root}: no {side} pictures in it or in '
                          f'{" or ".join(str(f) for f in dict.fromkeys(folders) if f != root)}')


def _match(result: str, condition: str, folder: Path, inputs: dict[str, dict[str, Path]],
           clean: dict[str, dict[str, Path] | None]) -> tuple[list[Case], list[str]]:
    fused = pictures(_fused(folder))
    restored = {side: pictures(folder / side) if _fused(folder) != folder else {}
                for side in SIDES}
    needed = [found for found in (*inputs.values(), *clean.values()) if found is not None]
    stems = sorted(set.intersection(*(set(found) for found in needed)))
    where = f'{result}/{condition}' if condition else result
    problems = [f'{where}/{stem}: no fused picture' for stem in stems if stem not in fused]
    problems += [f'{fused[stem]}: not among the source pairs' for stem in fused
                 if stem not in stems]
    of = lambda found, stem: found.get(stem) if found else None  # noqa: E731
    return [Case(result, condition, stem, fused[stem], inputs['visible'][stem],
                 inputs['thermal'][stem], of(clean['visible'], stem), of(clean['thermal'], stem),
                 of(restored['visible'], stem), of(restored['thermal'], stem))
            for stem in stems if stem in fused], problems
