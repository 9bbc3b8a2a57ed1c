# SPDX-License-Identifier: Apache-2.0
"""Result files: whole under their name, or not there at all."""

from collections.abc import Iterable
import os
from pathlib import Path


def write_whole(path: Path, data: bytes | str) -> None:
    """
    Write a file, text as UTF-8, beside its place and move it there once it is whole.

    Raises OSError naming the file, on a full disk for instance; what stood there before stays.
    """
    part = path.with_name(f'{path.name}.part')
    try:
        part.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def overlap(written: Iterable[Path], read: Iterable[Path]) -> Path | None:
    """Return the first folder of `written` that is one of `read`, by whatever path; else None."""
    inputs = {Path(folder).resolve() for folder in read}
    return next((folder for folder in written if folder.resolve() in inputs), None)
