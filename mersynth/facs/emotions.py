"""Emotion labels: the databases' own, the schemes that merge them, and their AU prototypes.

A scheme maps a database's own labels to classes; a label without a class leaves its clips out.

========  ==========================================================================================
scheme    classes
========  ==========================================================================================
native    the database's own labels
seven     CASME II's own labels (Yan et al. 2014); MMEW's (Ben et al. 2021), CAS(ME)^3's (Li et al.
          2022) and CK+'s (Lucey et al. 2010); AffectNet's without contempt, as it is commonly used
eight     SAMM's own labels (Davison et al. 2018, "SAMM"); AffectNet's (Mollahosseini et al. 2017);
          CASME's (Yan et al. 2013)
five      the five largest classes, on which recognizers are compared (Ruan et al. 2022, table 2):
          CASME II disgust, happiness, repression, surprise, others;
          SAMM contempt, happiness, anger, surprise, others
four      positive, negative, surprise, others: the classes of STRCN-A, which no paper at hand
          defines label by label. Chosen here: ``others`` as labelled, and every named negative
          emotion is negative (the list of Zhai et al. 2023, 4.1), so that no clip is left out.
          Only databases with a label ``others`` have this scheme
three     negative, positive, surprise as the challenge MEGC2019 counts them: of CASME II disgust
          and repression are negative (fear and sadness are left out); of SAMM all of anger,
          contempt, disgust, fear, sadness; SMIC's own labels (Li et al. 2013) are these three. The
          databases outside of the challenge follow SAMM: every named negative emotion is negative,
          which makes CK+ the macro-expression domain of NMER (Liu et al. 2019: all its 327 labelled
          sequences fall into the three classes); ``others``, AffectNet's neutral and CASME's tense,
          which names no sign, are left out
========  ==========================================================================================

MEGC2019 also leaves out two of CASME II's 63 disgust clips because there is no movement to measure:
sub04/EP12_01f has no apex and sub05/EP09_05f has its apex on the onset. They are the only clips of
its emotions without an apex after the onset; their labels cannot identify them, so
``mersynth.sources.composite`` drops them by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

SCHEMES = ("native", "three", "four", "five", "seven", "eight")
"""Names of the label schemes."""

_CASME2 = ("happiness", "disgust", "surprise", "fear", "sadness", "repression", "others")
_SAMM = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "other")
_MMEW = ("happiness", "surprise", "anger", "disgust", "fear", "sadness", "others")
_CASME3 = ("happiness", "disgust", "surprise", "fear", "anger", "sadness", "others")
_SMIC = ("negative", "positive", "surprise")
_CASME = (
    *("tense", "disgust", "repression", "surprise", "happiness"),
    *("sadness", "contempt", "fear"),
)
_CKPLUS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
_BASIC = ("happiness", "sadness", "surprise", "fear", "disgust", "anger")
_AFFECTNET = ("neutral", *_BASIC, "contempt")
_NATIVE = {
    "casme2": _CASME2,
    "samm": _SAMM,
    "phantom": _SAMM,
    "smic": _SMIC,
    "casme": _CASME,
    "mmew": _MMEW,
    "casme3": _CASME3,
    "ckplus": _CKPLUS,
    "affectnet": _AFFECTNET,
    "folder": ("unlabelled",),
}
LABELLED = tuple(_NATIVE)
"""The databases whose labels are known."""
_NEGATIVE = ("anger", "contempt", "disgust", "fear", "repression", "sadness")


def _identity(labels: tuple[str, ...]) -> dict[str, str]:
    return {label: label for label in labels}


def _by_sign(negative: tuple[str, ...]) -> dict[str, str]:
    signs = dict.fromkeys(negative, "negative")
    return {**signs, "happiness": "positive", "surprise": "surprise"}


def _with_others(labels: tuple[str, ...], mapping: Mapping[str, str]) -> dict[str, str]:
    others = next(label for label in labels if label in ("other", "others"))
    return {**{k: v for k, v in mapping.items() if k in labels}, others: "others"}


_SAMM_SCHEMES = {
    "eight": _identity(_SAMM),
    "five": _with_others(_SAMM, _identity(("contempt", "happiness", "anger", "surprise"))),
    "four": _with_others(_SAMM, _by_sign(_NEGATIVE)),
    "three": _by_sign(("anger", "contempt", "disgust", "fear", "sadness")),
}
# source -> scheme -> native label -> class; classes come in the order of their first mention.
_SCHEMES: dict[str, dict[str, dict[str, str]]] = {
    "casme2": {
        "seven": _identity(_CASME2),
        "five": _with_others(
            _CASME2, _identity(("disgust", "happiness", "repression", "surprise"))
        ),
        "four": _with_others(_CASME2, _by_sign(_NEGATIVE)),
        "three": _by_sign(("disgust", "repression")),
    },
    "smic": {"three": _identity(_SMIC)},
    "casme": {
        "eight": _identity(_CASME),
        "three": _by_sign(("contempt", "disgust", "fear", "repression", "sadness")),
    },
    "samm": _SAMM_SCHEMES,
    "phantom": _SAMM_SCHEMES,
    "mmew": {
        "seven": _identity(_MMEW),
        "four": _with_others(_MMEW, _by_sign(_NEGATIVE)),
        "three": _by_sign(("anger", "disgust", "fear", "sadness")),
    },
    "casme3": {
        "seven": _identity(_CASME3),
        "four": _with_others(_CASME3, _by_sign(_NEGATIVE)),
        "three": _by_sign(("anger", "disgust", "fear", "sadness")),
    },
    "ckplus": {
        "seven": _identity(_CKPLUS),
        "three": _by_sign(("anger", "contempt", "disgust", "fear", "sadness")),
    },
    "affectnet": {
        "eight": _identity(_AFFECTNET),
        "seven": _identity(("neutral", *_BASIC)),
        "three": _by_sign(("anger", "contempt", "disgust", "fear", "sadness")),
    },
    # Faces without a label; clips synthesised from them get the classes of another database.
    "folder": {scheme: {} for scheme in SCHEMES},
}


def native_labels(source: str) -> tuple[str, ...]:
    """The database's own labels, in lower case.

    Raises:
        ValueError: if the source has no labels here.
    """
    if source not in _NATIVE:
        raise ValueError(f"no emotion labels for source {source!r}; known: {', '.join(_NATIVE)}")
    return _NATIVE[source]


def classes(source: str, scheme: str) -> tuple[str, ...]:
    """The classes of a scheme, in the order of their indices.

    Args:
        source: name of the database.
        scheme: one of :data:`SCHEMES`.

    Raises:
        ValueError: if the source is unknown, or has no such scheme.

    Example:
        >>> classes("samm", "three")
        ('negative', 'positive', 'surprise')
    """
    return tuple(dict.fromkeys(_mapping(source, scheme).values()))


def scheme_with(sources: Iterable[str], names: Iterable[str]) -> str | None:
    """The first label scheme by which all databases have these classes, in any order.

    Args:
        sources: names of databases.
        names: of the classes.

    Returns:
        One of :data:`SCHEMES`; None: no scheme has them.

    Example:
        >>> scheme_with(["casme2", "samm"], ["surprise", "negative", "positive"])
        'three'
    """
    wanted, several = set(names), list(sources)
    fitting = (s for s in SCHEMES if all(_class_names(one, s) == wanted for one in several))
    return next(fitting, None)


def _class_names(source: str, scheme: str) -> set[str]:
    try:
        return set(classes(source, scheme))
    except ValueError:
        return set()


def label(source: str, emotion: str, scheme: str) -> str | None:
    """The class of an emotion under a scheme.

    Args:
        source: name of the database.
        emotion: one of the database's own labels or, in a synthetic clip, the name of a class of
            the scheme, which is returned unchanged.
        scheme: one of :data:`SCHEMES`.

    Returns:
        The class, or None where the scheme leaves the emotion's clips out.

    Raises:
        ValueError: if the source, the scheme or the emotion is unknown.

    Example:
        >>> label("casme2", "repression", "three")
        'negative'
    """
    mapping = _mapping(source, scheme)
    if emotion in mapping:
        return mapping[emotion]
    names = classes(source, scheme)
    if emotion in names:
        return emotion
    if emotion in native_labels(source):
        return None
    if not names and emotion in _classes_anywhere(scheme):
        return emotion
    raise ValueError(
        f"{emotion!r} is neither a label of {source} ({', '.join(native_labels(source))}) "
        f"nor a class of the scheme {scheme!r} ({', '.join(names)})"
    )


def _classes_anywhere(scheme: str) -> set[str]:
    named = {"native": _NATIVE}.get(scheme) or {
        source: tuple(schemes.get(scheme, {}).values()) for source, schemes in _SCHEMES.items()
    }
    return {name for names in named.values() for name in names}


@cache
def _mapping(source: str, scheme: str) -> Mapping[str, str]:
    native = _identity(native_labels(source))
    schemes = {"native": native, **_SCHEMES[source]}
    if scheme not in schemes:
        raise ValueError(
            f"source {source!r} has no label scheme {scheme!r}; it has: {', '.join(schemes)}"
        )
    return schemes[scheme]


@dataclass(frozen=True, slots=True)
class Prototype:
    """A combination of AUs that shows an emotion.

    Attributes:
        aus: the AUs as an annotation table would write them (``facs.parse_au_cell`` reads it).
        source: the publication.
    """

    aus: str
    source: str


_EMFACS = "Ekman, Friesen and Hager, FACS Investigator's Guide (2002), emotion predictions"
_CONTEMPT = "Ekman and Friesen, A new pan-cultural facial expression of emotion (1986)"
_YAN = "Yan et al., CASME II (2014), labelling criteria"
_DAVISON = "Davison, Merghani and Yap, Objective Classes (2018), table 1"

# The micro-expression entries have few AUs: a micro-expression seldom shows a whole prototype.
_PROTOTYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "happiness": {
        _EMFACS: ("6+12", "12"),
        _YAN: ("12", "6+12"),
        _DAVISON: ("6+7+12", "7+12"),
    },
    "surprise": {
        _EMFACS: ("1+2+5+26", "1+2+5", "1+2+26", "5+26"),
        _YAN: ("1+2", "25", "2"),
        _DAVISON: ("5", "1+2+25", "25+26", "5+24"),
    },
    "anger": {
        _EMFACS: ("4+5+7+23", "4+5+7+24", "4+5+7", "4+5", "4+7", "17+24"),
        _DAVISON: ("4", "4+6+7", "T23"),
    },
    "disgust": {
        _EMFACS: ("9", "9+17", "10", "10+17"),
        _YAN: ("9", "10", "4+7"),
        _DAVISON: ("4+9", "4+7+9", "7+10"),
    },
    "fear": {
        _EMFACS: ("1+2+4+5+20+25", "1+2+4+5+25", "1+2+4+5", "5+20"),
        _DAVISON: ("1+2+4", "20"),
    },
    "sadness": {
        _EMFACS: ("1+4+11+15", "1+4+15", "1+4+15+17", "6+15"),
        _DAVISON: ("1", "15", "1+4", "15+17"),
    },
    "contempt": {_CONTEMPT: ("L14", "R14", "L12+L14", "R12+R14")},
    "repression": {_YAN: ("15", "17", "15+17")},
    # These labels say only that the movement fits no other emotion, so they have no prototype.
    "others": {},
    "tense": {},
    # A face at rest shows no AU.
    "neutral": {},
}
_MEMBERS = {"positive": ("happiness",), "negative": _NEGATIVE, "other": ("others",)}


def prototypes(emotion: str) -> tuple[Prototype, ...]:
    """AU combinations that show an emotion, or any emotion of the class positive or negative.

    Args:
        emotion: a native label of any database, or a class of any scheme.

    Returns:
        The combinations, each once, with its first source; empty for ``other`` and ``others``,
        which are not defined by AUs, and for ``neutral``, which shows none.

    Raises:
        ValueError: if the emotion is unknown.
    """
    members = _MEMBERS.get(emotion, (emotion,))
    if not set(members) <= set(_PROTOTYPES):
        known = sorted({*_PROTOTYPES, *_MEMBERS})
        raise ValueError(f"no AU prototypes for {emotion!r}; known emotions: {', '.join(known)}")
    found: dict[str, Prototype] = {}
    for member in members:
        for source, cells in _PROTOTYPES[member].items():
            for cell in cells:
                found.setdefault(cell, Prototype(cell, source))
    return tuple(found.values())
