# SPDX-License-Identifier: Apache-2.0
"""How the C library deals with what a frame frees."""

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of malloc.h


def keep_freed_memory() -> None:
    """
    Let the C library keep what a frame frees for the next one (glibc), for the whole process.

    By default it hands large blocks back to the system, which faults them in again page by page:
    thousands of faults, a tenth of a frame's time.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((M_ARENA_MAX, 1), (M_TRIM_THRESHOLD, 1 << 30),
                              (M_MMAP_THRESHOLD, 32 << 20)):
            mallopt(option, value)


def give_back() -> None:
    """Hand what is free now back to the system (glibc): compiling a frame takes 100 MB, once."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
