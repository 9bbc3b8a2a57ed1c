# SPDX-License-Identifier: Apache-2.0
"""Visible-thermal fusion that keeps seeing under degradation."""

__version__ = '0.1.0'

__all__ = ['Degradation', 'Fuser', 'FuserError', 'Fusion', '__version__']


def __getattr__(name: str):
    # torch takes seconds to import: pairing, bags and --help must not pay for it.
    if name in __all__:
        from degfusion_ros import fuser
        return getattr(fuser, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
