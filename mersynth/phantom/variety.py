"""The distributions from which the looks of people and their recordings are drawn.

Each trait has its own random generator, seeded with the person's number and the trait's name: a
person's look does not depend on who else is drawn, and changing one share leaves all other traits
unchanged. Heads, AU gains and expressiveness are the same in every population.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mersynth.phantom.look import Colour, Fringe, Glasses, Look
from mersynth.phantom.settings import Range, Settings
from mersynth.phantom.subject import PhantomSubject, colouring, direction

_RIMS: tuple[Colour, ...] = ((0.012, 0.012, 0.014), (0.06, 0.03, 0.015), (0.16, 0.14, 0.12),
                             (0.03, 0.04, 0.09), (0.3, 0.2, 0.12))  # fmt: skip
_GREY_HAIR = np.array([0.36, 0.35, 0.34])


@dataclass(frozen=True, slots=True, kw_only=True)
class Population(Settings):
    """Shares and ranges; the defaults are those of ``configs/population/wide.yaml``.

    ``None`` leaves a trait as :meth:`PhantomSubject.sample` draws it; :data:`PLAIN` does so with
    all of them.

    Args:
        skin: melanin, uniform, 0 the palest to 1 the darkest.
        age: strength of the lines at rest, uniform in [0, 1]; from 0.5 on hair turns grey.
        beards: share of people with short hair who have a beard or stubble.
        glasses: share who wear glasses.
        fringes: share of people with hair who have a fringe over the forehead.
        parted_lips: share whose lips are slightly apart at rest.
        hard_light: share lit by a lamp from one side; the others have large soft lights. None: in
            between, as in the plain population.
        grey_cameras: share recorded in grey.
        tint: standard deviation of the logarithm of red and blue, as of a white balance.
        furnished: share with a curtain or shelves behind them instead of a grey wall.
        shot_noise: of the sensor, standard deviation in image values, uniform.
        read_noise: of the sensor, as a share of full scale in linear light, uniform.
        metering: how far exposure evens out light and skin, uniform.
        blur: of the optics, standard deviation in cm on the face, uniform.
        jpeg_share: share whose frames are compressed.
        jpeg_quality: quality of the compression, uniform.

    Raises:
        ValueError: if a share lies outside [0, 1], or a range is not two allowed numbers, the lower
            first.
    """

    skin: Range | None = (0.0, 1.0)
    age: Range | None = (0.0, 1.0)
    beards: float | None = 0.5
    glasses: float = 0.3
    fringes: float = 0.3
    parted_lips: float = 0.25
    hard_light: float | None = 0.25
    grey_cameras: float = 0.33
    tint: float = 0.05
    furnished: float = 0.3
    shot_noise: Range | None = (0.003, 0.012)
    read_noise: Range = (0.001, 0.006)
    metering: Range = (0.25, 0.6)
    blur: Range = (0.0, 0.06)
    jpeg_share: float = 0.5
    jpeg_quality: Range = (75.0, 95.0)

    group: ClassVar = "population"
    numbers: ClassVar = {
        **dict.fromkeys(
            ("beards", "glasses", "fringes", "parted_lips", "hard_light", "grey_cameras",
             "furnished", "jpeg_share"), (0, 1)
        ),
        "tint": (0, 0.3),
    }  # fmt: skip
    ranges: ClassVar = {
        "skin": (0, 1),
        "age": (0, 1),
        "shot_noise": (0, 0.1),
        "read_noise": (0, 0.1),
        "metering": (0, 1),
        "blur": (0, 0.5),
        "jpeg_quality": (1, 100),
    }
    optional: ClassVar = frozenset({"skin", "age", "beards", "hard_light", "shot_noise"})

    def person(self, number: int) -> PhantomSubject:
        """The subject with a number, in this population.

        Raises:
            ValueError: if the number is negative.
        """
        subject = PhantomSubject.sample(number)
        if self == PLAIN:
            return subject
        draw = _Draws(number)
        subject = _coloured(subject, self.skin, draw("skin"))
        subject = _aged(subject, self.age, draw("age"))
        subject = _lit(subject, self.hard_light, draw("light"))
        shot = draw("shot_noise")
        if self.shot_noise is not None:
            subject = replace(subject, noise=float(shot.uniform(*self.shot_noise)))
        return self._dressed(subject, draw)

    def _dressed(self, subject: PhantomSubject, draw: _Draws) -> PhantomSubject:
        """The subject with a beard, a look, a room and a camera."""
        beard = subject.beard
        rng = draw("beard")
        has, thick = rng.random() < (self.beards or 0), rng.uniform(0.2, 1.0)
        if self.beards is not None:
            beard = thick if has and subject.hair_length < 2 else 0.0
        rng = draw("fringe")
        fringe = None
        if rng.random() < self.fringes and subject.hair_length:
            fringe = _fringe(rng)
        rng = draw("lips")
        apart, parted = rng.random() < self.parted_lips, rng.uniform(0.05, 0.18)
        rng = draw("balance")
        red, blue = np.exp(self.tint * rng.normal(size=2))
        rng = draw("jpeg")
        compressed, quality = rng.random() < self.jpeg_share, rng.uniform(*self.jpeg_quality)
        backdrop, accent, wall = _backdrop(subject, self.furnished, draw("backdrop"))
        rng = draw("glasses")
        look = Look(
            glasses=_glasses(rng) if rng.random() < self.glasses else None,
            fringe=fringe,
            beard_cut=("full", "goatee", "moustache")[draw("cut").choice(3, p=[0.6, 0.2, 0.2])],
            parted=float(parted) if apart else 0.0,
            softness=subject.look.softness,
            backdrop=backdrop,
            accent=accent,
            grey=bool(draw("grey").random() < self.grey_cameras),
            balance=(float(red), 1.0, float(blue)),
            read_noise=float(draw("read_noise").uniform(*self.read_noise)),
            metering=float(draw("metering").uniform(*self.metering)),
            blur=float(draw("blur").uniform(*self.blur)),
            jpeg=round(float(quality)) if compressed else None,
        )
        return replace(subject, beard=float(beard), background=wall, look=look)


WIDE = Population()
"""As wide as real recordings."""

PLAIN = Population(
    skin=None, age=None, beards=None, glasses=0.0, fringes=0.0, parted_lips=0.0, hard_light=None,
    grey_cameras=0.0, tint=0.0, furnished=0.0, shot_noise=None, read_noise=(0.0, 0.0),
    metering=(0.6, 0.6), blur=(0.0, 0.0), jpeg_share=0.0,
)  # fmt: skip
"""Bare faces and one kind of camera: what the shipped generator was trained on."""


class _Draws:
    """A separate random generator for each of a person's traits."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, trait: str) -> np.random.Generator:
        return np.random.default_rng([self.number, zlib.crc32(trait.encode())])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _coloured(
    subject: PhantomSubject, melanin: Range | None, rng: np.random.Generator
) -> PhantomSubject:
    """The subject with skin, hair and eyes of a melanin, and lips and brows to match."""
    if melanin is None:
        return subject
    level = rng.uniform(*melanin)
    skin, hair, eyes = colouring(level, rng)
    skin = skin * (1 + np.array([0.03, 0.0, -0.05]) * rng.uniform(-1, 1))  # its undertone
    return replace(
        subject,
        skin=_colour(skin),
        lips=_colour(skin * np.array(subject.lips) / np.array(subject.skin)),
        hair=_colour(hair * rng.uniform(0.8, 1.2)),
        brow=_colour(hair * 0.6 + 0.004),
        eyes=_colour(eyes * rng.uniform(0.8, 1.2)),
        freckles=subject.freckles * float(level < 0.4),
        blush=subject.blush * (1 - 0.4 * level),
    )


def _aged(subject: PhantomSubject, age: Range | None, rng: np.random.Generator) -> PhantomSubject:
    """The subject with the lines, grey hair and receding hairline of an age."""
    if age is None:
        return subject
    years = float(rng.uniform(*age))
    grey = float(np.clip(2 * (years - 0.5) + rng.normal(0.0, 0.25), 0.0, 1.0)) * (years > 0.4)
    hair, brow = np.array(subject.hair), np.array(subject.brow)
    recede = 1.3 * max(0.0, years - 0.4) * rng.random() if subject.hair_length < 2 else 0.0
    return replace(
        subject,
        age=years,
        hair=_colour(hair + grey * (_GREY_HAIR - hair)),
        brow=_colour(brow + 0.5 * grey * (0.6 * _GREY_HAIR - brow)),
        hairline=subject.hairline + recede,
    )


def _lit(subject: PhantomSubject, hard: float | None, rng: np.random.Generator) -> PhantomSubject:
    """The subject lit by a lamp from one side, or by large lights."""
    if hard is None:
        return subject
    if rng.random() < hard:
        return replace(
            subject,
            light=direction(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.15, 0.8))),
            key=float(rng.uniform(1.0, 1.2)),
            fill=float(rng.uniform(0.03, 0.12)),
            ambient=float(rng.uniform(0.08, 0.16)),
        )
    return replace(
        subject,
        light=direction(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.1, 0.7))),
        key=float(rng.uniform(0.45, 0.7)),
        fill=float(rng.uniform(0.25, 0.45)),
        ambient=float(rng.uniform(0.3, 0.45)),
        look=replace(subject.look, softness=float(rng.uniform(0.4, 1.0))),
    )


def _fringe(rng: np.random.Generator) -> Fringe:
    cut = ("straight", "swept", "parted")[rng.choice(3, p=[0.4, 0.35, 0.25])]
    tips = rng.uniform(5.0, 6.2)
    slant = rng.uniform(0.1, 0.22) * rng.choice([-1, 1]) if cut == "swept" else rng.normal(0, 0.02)
    return Fringe(cut, float(tips), float(slant))  # type: ignore[arg-type]


def _glasses(rng: np.random.Generator) -> Glasses:
    """Thin metal or thick plastic, round to rectangular, some without rims below."""
    half = (rng.uniform(2.2, 2.6), rng.uniform(1.35, 1.9))
    thin = rng.random() < 0.4
    colour = np.array(_RIMS[rng.integers(len(_RIMS))]) * rng.uniform(0.7, 1.3)
    brow = rng.choice([0.0, 0.5, 0.95], p=[0.6, 0.25, 0.15])
    return Glasses(
        half=(float(half[0]), float(half[1])),
        corners=float(rng.uniform(2.2, 4.0)),
        rim=float(rng.uniform(0.1, 0.16) if thin else rng.uniform(0.2, 0.4)),
        brow=float(brow),
        colour=_colour(colour),
        glare=float(rng.uniform(0.0, 0.06) * (rng.random() < 0.5)),
    )


def _backdrop(
    subject: PhantomSubject, furnished: float, rng: np.random.Generator
) -> tuple[Any, Colour, Colour]:
    """The background, its second colour, and the wall's colour."""
    kind = ("curtain", "shelves")[rng.integers(2)]
    level, hue = rng.uniform(0.04, 0.4), rng.uniform(0.75, 1.25, 3)
    accent = _colour(np.clip(level * hue, 0.01, 0.8))
    if rng.random() >= furnished:
        return "wall", accent, subject.background
    painted = np.array(subject.background) * rng.uniform(0.7, 1.2, 3)
    return kind, accent, _colour(np.clip(painted, 0.02, 0.75))


def _colour(rgb: np.ndarray) -> Colour:
    r, g, b = (float(v) for v in rgb)
    return r, g, b
