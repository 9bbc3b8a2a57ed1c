# SPDX-License-Identifier: Apache-2.0
"""Heat maps of which experts every layer picks under every condition, and their mean curves."""

import io
import math

from matplotlib.figure import Figure
import numpy as np

_COLUMNS = 3


def plot(activations: dict[str, np.ndarray], layers: list[str]) -> bytes:
    """
    Draw layers x experts (0..1) of every condition, after Fig. 19 of the paper; return a PNG.

    Below, each expert's mean over all layers, a line a condition.
    """
    rows = math.ceil(len(activations) / _COLUMNS)
    tall = 0.9 + 0.17 * len(layers)
    figure = Figure(figsize=(4.2 * _COLUMNS, rows * tall + 3.2), layout='constrained')
    axes = figure.add_gridspec(rows + 1, _COLUMNS, height_ratios=[tall] * rows + [3.2])
    experts = np.arange(next(iter(activations.values())).shape[1])
    shown = []
    for i, (condition, strength) in enumerate(activations.items()):
        panel = figure.add_subplot(axes[divmod(i, _COLUMNS)])
        shown.append(panel)
        image = panel.imshow(strength, vmin=0, vmax=1, aspect='auto', cmap='magma')
        panel.set_title(condition, fontsize=10)
        panel.set_xticks(experts, experts + 1, fontsize=8)
        panel.set_yticks(range(len(layers)), layers if i % _COLUMNS == 0 else [], fontsize=7)
    figure.colorbar(image, ax=shown, shrink=0.6, pad=0.02, label='mean weight of the gates')
    curves = figure.add_subplot(axes[rows, :])
    for condition, strength in activations.items():
        curves.plot(experts + 1, strength.mean(axis=0), marker='o', markersize=3, label=condition)
    curves.set(xlabel='expert', ylabel='mean over layers', ylim=(0, None))
    curves.set_xticks(experts + 1)
    curves.grid(alpha=0.3)
    figure.legend(*curves.get_legend_handles_labels(), loc='outside lower center', ncols=5,
                  fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=110)
    return data.getvalue()
