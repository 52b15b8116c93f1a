"""Regions of an aligned face image."""

from __future__ import annotations

from typing import Literal

from mersynth.checks import check_choice


def half_rows(half: Literal["eyes", "mouth"], height: int) -> slice:
    """Rows of the eyes half or the mouth half of an aligned face image.

    The upper half of the image is the eyes half, the rest the mouth half (Ruan et al. 2022, 3.1.2);
    the middle row of an odd height belongs to the mouth. ``ActionUnit.half`` says which AUs a half
    shows.

    Args:
        half: ``"eyes"`` or ``"mouth"``.
        height: height of the image, in pixels.

    Raises:
        ValueError: if ``half`` is neither, or the image is less than two rows high.

    Example:
        >>> half_rows("mouth", 128)
        slice(64, 128, None)
    """
    if height < 2:
        raise ValueError(f"an image of {height} rows has no halves")
    check_choice("half", half, ("eyes", "mouth"))
    return slice(0, height // 2) if half == "eyes" else slice(height // 2, height)
