"""Mean movements of classes and first components of sets of flow images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring.flow_sets import FlowSet
from measuring.flow_statistics import class_contrasts, components

SHOWN = 3  # components


def draw_flow_maps(sets: Sequence[FlowSet], path: Path) -> None:
    """Write a picture (.png), one row per set: contrasts of classes, then components of u and v."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    classes = sets[0].classes
    columns = 3 * len(classes) + 2 * SHOWN
    figure, panels = pyplot.subplots(
        len(sets), columns, figsize=(0.95 * columns, 1.15 * len(sets) + 0.3), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    names = [f"{name}\n{channel}" for name in classes for channel in ("u", "v", "strain")]
    names += [f"{n + 1}.\n{channel}" for n in range(SHOWN) for channel in ("u", "v")]
    for line, each in zip(panels, sets, strict=True):
        contrasts = class_contrasts(each.images, each.labels, len(classes))
        axes, _ = components(each.images, SHOWN)
        side = each.images.shape[-1]
        maps = [*contrasts.reshape(-1, side, side), *_upright(axes).reshape(-1, side, side)]
        for panel, image in zip(line, maps, strict=True):
            most = np.abs(image).max()
            panel.imshow(image, cmap="RdBu_r", vmin=-most, vmax=most)
            panel.set(xticks=[], yticks=[])
        line[0].set_ylabel(each.name, fontsize="small")
    for panel, name in zip(panels[0], names, strict=True):
        panel.set_title(name, fontsize="x-small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _upright(axes: np.ndarray) -> np.ndarray:
    """Fix a component's arbitrary sign so that its largest value of v is positive."""
    v = axes[:, axes.shape[1] // 2 :]
    largest = np.take_along_axis(v, np.abs(v).argmax(1)[:, None], 1)
    return axes * np.where(largest < 0, -1, 1)
