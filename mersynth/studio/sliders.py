"""The 20 AUs as sliders, folded by the region of the face that they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS

if TYPE_CHECKING:
    import gradio as gr

REGIONS: dict[str, tuple[int, ...]] = {
    "Brows": (1, 2, 4),
    "Eyes and cheeks": (5, 6, 7, 43),
    "Nose and upper lip": (9, 10, 11),
    "Corners of the mouth": (12, 14, 15, 20),
    "Lips, chin and jaw": (17, 23, 24, 25, 26, 28),
}
_OPEN = ("Brows", "Corners of the mouth")


@dataclass(frozen=True, eq=False)
class Sliders:
    """The sliders of the page, in the order in which their values go to and fro.

    Attributes:
        apart: the box that shows both sides of the AUs that have them.
        left: one of each AU, of the left side, or of both as long as they are not apart.
        right: one of each AU that has sides.
    """

    apart: gr.Checkbox
    left: dict[int, gr.Slider]
    right: dict[int, gr.Slider]

    @property
    def every(self) -> list[gr.Slider]:
        """All sliders: left ones, then right ones."""
        return [*self.left.values(), *self.right.values()]

    @property
    def all(self) -> list[Any]:
        """The box, then all sliders."""
        return [self.apart, *self.every]


def add_sliders(peaks: np.ndarray) -> Sliders:
    """Lay out the sliders where the page is being built, at intensities (20, 2) of equal sides."""
    import gradio as gr

    apart = gr.Checkbox(
        label="Left and right apart",
        info="The person's own left, on the right of the picture",
        elem_id="apart",
    )
    left, right = {}, {}
    for region, numbers in REGIONS.items():
        with gr.Accordion(region, open=region in _OPEN):
            for number in numbers:
                value = float(peaks[CONDITION_AUS.index(number), 0])
                with gr.Row(elem_classes="au"):
                    left[number] = _slider(number, "left", value)
                    if ACTION_UNITS[number].lateral:
                        right[number] = _slider(number, "right", value)
    return Sliders(
        apart,
        {n: left[n] for n in CONDITION_AUS},
        {n: right[n] for n in CONDITION_AUS if n in right},
    )


def _slider(number: int, side: str, value: float) -> gr.Slider:
    import gradio as gr

    return gr.Slider(
        0,
        1,
        value,
        step=0.01,
        label=_label(number, side, apart=False),
        visible=side == "left",
        elem_id=f"au{number}-{side}",
        min_width=100,
    )


def _label(number: int, side: str, apart: bool) -> str:
    unit = ACTION_UNITS[number]
    return f"{number} {unit.name}{f', {side}' if apart and unit.lateral else ''}"


def peaks_from(values: Sequence[Any]) -> np.ndarray:
    """(20, 2) intensities of the values of :attr:`Sliders.all`."""
    apart, *numbers = values
    count = len(CONDITION_AUS)
    peaks = np.repeat(np.array(numbers[:count], np.float32)[:, None], 2, axis=1)
    if apart:
        lateral = [i for i, n in enumerate(CONDITION_AUS) if ACTION_UNITS[n].lateral]
        peaks[lateral, 1] = numbers[count:]
    return np.clip(peaks, 0, 1)


def values_of(peaks: np.ndarray, apart: bool) -> list[Any]:
    """What :attr:`Sliders.all` become to show intensities (20, 2); apart where sides differ."""
    import gradio as gr

    apart = apart or bool((peaks[:, 0] != peaks[:, 1]).any())
    rounded = [[round(float(v), 2) for v in pair] for pair in peaks]
    updates: list[Any] = [apart]
    for number, (value, _) in zip(CONDITION_AUS, rounded, strict=True):
        updates.append(gr.update(value=value, label=_label(number, "left", apart)))
    for number, (_, value) in zip(CONDITION_AUS, rounded, strict=True):
        if ACTION_UNITS[number].lateral:
            label = _label(number, "right", apart)
            updates.append(gr.update(value=value, visible=apart, label=label))
    return updates


def parted(values: Sequence[Any]) -> list[Any]:
    """What :attr:`Sliders.all` become when the box was ticked, or no more."""
    apart, *numbers = values
    # Until now the left ones stood for both sides, and from now on they do again.
    return values_of(peaks_from([False, *numbers]), bool(apart))
