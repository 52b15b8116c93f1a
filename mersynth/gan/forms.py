"""The forms of AU-ICGAN's generator, by their names in configs and checkpoints."""

from __future__ import annotations

from typing import Any

from mersynth.checks import check_choice
from mersynth.gan.generator import Generator
from mersynth.gan.motion_generator import MotionGenerator

PAINT, MOTION = "paint", "motion"
FORMS = (PAINT, MOTION)
"""``paint``: the paper's, colour and mask; ``motion``: moves faces of any size."""

AnyGenerator = Generator | MotionGenerator


def make_generator(image_size: int, form: str = PAINT, **options: Any) -> AnyGenerator:
    """A generator with random weights.

    Args:
        image_size: side in pixels of the frames (``paint``), or working size (``motion``).
        form: one of :data:`FORMS`.
        options: arguments of :class:`Generator` or :class:`MotionGenerator`.

    Raises:
        ValueError: if the form is unknown.
        TypeError: if an option does not belong to the form.
    """
    check_choice("the generator's form", form, FORMS)
    if form == MOTION:
        return MotionGenerator(working_size=image_size, **options)
    return Generator(**options)
