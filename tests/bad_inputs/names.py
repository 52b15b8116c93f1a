"""Good inputs whose names look odd: all of them must be accepted."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial

from omegaconf import OmegaConf

from mersynth import config
from tests.bad_inputs.case import Case
from tests.bad_inputs.world import QUICK

NAMES = {
    "blanks": "a b  c",
    "a quote": "it's",
    "double quotes": 'say "yes"',
    "commas": "a,b,c",
    "brackets": "[a] (b) {c}",
    "half a bracket": "a[b(c{d",
    "a dollar": "$HOME ${x} $",
    "equals": "a=b==c",
    "Unicode": "Müller_表情",
    "an emoji": "😀",
    "a line break": "a\nb",
    "a tab": "a\tb",
    "a backslash": "a\\b",
    "wildcards": "a*b?c",
    "signs": "a#b;c&d|e%f@g!h~i^j`k",
    "colons": "a:b",
    "a dash in front": "./-a",
    "dots": "a..b.",
    "markup": "[red]a<b>",
    "240 characters": "n" * 240,
    "a number": "5",
    "null": "null",
    "true": "true",
}


def name_cases() -> Iterator[Case]:
    for what, name in NAMES.items():
        for how, (need, words, ending) in COMMANDS.items():
            if what == "240 characters" and ending:
                place = name[: 240 - len(ending)] + ending
            else:
                place = name + ending
            spoil = partial(_renamed, need, place) if need else None
            act = tuple(word.replace("NAME", place) for word in words)
            needs = {need, *FURTHER.get(how, ())} - {""}
            yield Case(f"named with {what}: {how}", tuple(sorted(needs)), act, None, spoil)
        yield Case(f"named with {what}: in train", (), partial(_set, name), None)


def _set(place: str) -> None:
    for key, literal in itertools.product(("gan.init_from", "macro_store"), (False, True)):
        override = config.literal(key, place) if literal else f"{key}={place}"
        found = OmegaConf.select(config.load("train", [override]), key)
        if found != place and (place != "null" or literal):
            raise AssertionError(override)


def _renamed(need: str, place: str) -> None:
    os.rename(need, place)


COMMANDS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "--store": ("store", ("mersynth", "doctor", "--store", "NAME"), ""),
    "--checkpoint": ("generator", ("mersynth", "doctor", "--checkpoint", "NAME"), ""),
    "--root": (
        "tree",
        (*("mersynth", "prepare", "--source", "samm", "--root", "NAME", "--out", "s"),
         *("--image-size", "16", "geometry=resize")),
        "",
    ),
    "--image": (
        "photos/anna.png",
        (*("mersynth", "prepare", "--source", "folder", "--image", "NAME", "--out", "s"),
         *("--image-size", "16", "geometry=resize")),
        ".png",
    ),
    "--video": (
        "film.mp4",
        (*("mersynth", "prepare", "--source", "folder", "--video", "NAME", "--out", "s"),
         *("--image-size", "16", "geometry=resize")),
        ".mp4",
    ),
    "--intensities": (
        "openface",
        (*("mersynth", "prepare", "--source", "samm", "--root", "tree", "--out", "s"),
         *("--image-size", "16", "geometry=resize", "--intensities", "openface=NAME")),
        "",
    ),
    "export --out": (
        "",
        (*("mersynth", "export", "--store", "store", "--layout", "imagefolder"),
         *("--out", "NAME")),
        "",
    ),
    "--data": (
        "data.npz",
        ("recognizers", "fit", "--model", "ststnet_tiny", "--data", "NAME", "--out", "f", *QUICK),
        ".npz",
    ),
    "fit --out": (
        "",
        (*("recognizers", "fit", "--model", "ststnet_tiny", "--data", "data.npz"),
         *("--out", "NAME", *QUICK)),
        "",
    ),
    "loso": (
        "data.npz",
        (*("recognizers", "loso", "--model", "ststnet_tiny", "--data", "NAME", "--groups", "2"),
         *("--out", "l", *QUICK)),
        ".npz",
    ),
    "--model": ("model", ("recognizers", "doctor", "--model", "NAME"), ""),
    "--run": ("run", ("recognizers", "doctor", "--run", "NAME"), ""),
    "report": ("run", ("recognizers", "report", "NAME"), ""),
    "KEY=VALUE": (
        "openface",
        (*("mersynth", "prepare", "--source", "samm", "--root", "tree", "--out", "s"),
         *("--image-size", "16", "geometry=resize", "intensities=openface=NAME")),
        "",
    ),
}  # fmt: skip
FURTHER = {
    "--intensities": ("tree",),
    "KEY=VALUE": ("tree",),
    "export --out": ("store",),
    "fit --out": ("data.npz",),
    "--image": ("photos",),
}
