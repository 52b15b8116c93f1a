"""The form of maps of motion: their scale, and the part of the face that they show.

Published flow images are cut tightly, each channel of each clip stretched to 0..1. What a system
learns from beside them must have the same form.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mersynth.checks import check_choice
from mersynth.config import ConfigError
from mersynth.face.template import AUTO, FRAMINGS, HEAD, TIGHT, Framing, FramingChoice
from mersynth.motion.maps import SCALES, Scale, scale_of, scaled
from recognizers.models.base import InputSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MapForm:
    """The form of maps of motion.

    Attributes:
        scale: what each channel of each clip was brought to.
        framing: the part of the face that they show; None: not known.
    """

    scale: Scale
    framing: Framing | None = None

    @classmethod
    def told(cls, arrays: Mapping[str, np.ndarray], maps: np.ndarray) -> MapForm:
        """The form that a feature file's arrays tell; without a word of the scale, its values.

        Raises:
            ValueError: if they tell something impossible.
        """
        scale: Scale = scale_of(maps)
        if "scale" in arrays:
            said = str(arrays["scale"])
            check_choice("scale", said, SCALES)
            scale = next(name for name in SCALES if name == said)
        if "framing" not in arrays:
            return cls(scale)
        numbers = np.asarray(arrays["framing"])
        if numbers.shape != (3,) or numbers.dtype.kind not in "fiu":
            raise ValueError(
                f"framing must be three numbers, eyes, apart and aspect, got {numbers.tolist()}"
            )
        return cls(scale, Framing(*map(float, numbers)))

    def of(self, specs: Mapping[str, InputSpec]) -> dict[str, InputSpec]:
        """The specs of maps in this form."""
        return {
            name: replace(spec, scale=self.scale, framing=self.framing)
            for name, spec in specs.items()
        }


def choose_form(
    specs: Mapping[str, InputSpec],
    tested: Sequence[MapForm],
    scale: Scale | None,
    framing: FramingChoice,
) -> MapForm | None:
    """The form in which a system reads all clips of a run.

    Args:
        specs: ``Recognizer.inputs``.
        tested: the forms of the feature files under test.
        scale: wanted; None: that of the files under test, else none.
        framing: wanted; auto: that of the files under test. Stretched ones that do not tell theirs
            are taken as ``TIGHT``, as published flow images are.

    Returns:
        The form; None if the system does not read maps of motion alone.

    Raises:
        ConfigError: if a form is wanted for such a system, or the scale is unknown.
    """
    if scale is not None:
        check_choice("scale", scale, SCALES, ConfigError)
    if any(spec.range is not None for spec in specs.values()):
        if scale is not None or framing != AUTO:
            raise ConfigError(
                "scale and framing are for systems that read maps of motion alone, such as "
                f"ststnet; this one reads {', '.join(specs)}"
            )
        return None
    own = next((form.scale for form in tested if form.scale != "none"), "none")
    chosen: Scale = own if scale is None else scale  # type: ignore[assignment]
    told = next((form.framing for form in tested if form.framing is not None), None)
    if framing != AUTO:
        return MapForm(chosen, framing.framing(told or HEAD))
    if told is None and own != "none":
        logger.info(
            "the clips under test are stretched (scale %s) and do not tell their framing: taken as "
            "%s; framing=head, or numbers such as framing.eyes=0.3, change it",
            own,
            TIGHT,
        )
        told = TIGHT
    return MapForm(chosen, told)


def brought(maps: np.ndarray, held: MapForm, spec: InputSpec) -> np.ndarray:
    """Maps (N, ..., C, H, W) of one form in that of a spec, which has a scale.

    Raises:
        ValueError: if that is not possible, with the command that makes them anew.
    """
    assert spec.scale is not None
    options = [f"scale={spec.scale}"]
    if spec.framing is not None:
        named = [name for name, known in FRAMINGS.items() if known == spec.framing]
        numbers = [f"framing.{key}={value:g}" for key, value in spec.framing.as_dict().items()]
        options += [f"framing={named[0]}"] if named else numbers
    again = f"`mersynth export --layout npz {' '.join(options)}` of its store makes it anew"
    if None not in (spec.framing, held.framing) and spec.framing != held.framing:
        raise ValueError(
            f"the maps show faces framed {held.framing}; wanted is {spec.framing}, and what was "
            f"made small is not cut again: {again}"
        )
    if held.scale == spec.scale:
        return maps
    if spec.scale == "none":
        raise ValueError(
            f"the maps have the scale {held.scale}, by which lengths in pixels are lost; wanted is "
            f"none. {again}, or bring all clips of the run to it: scale={held.scale}"
        )
    return scaled(maps, spec.scale)
