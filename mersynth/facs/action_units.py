"""The Action Units of FACS, and the notations in which databases write them."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

import numpy as np

from mersynth.checks import check_number

Half = Literal["eyes", "mouth", "other"]

CONDITION_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
"""The 20 AUs that py-feat measures; the column order of every intensity array."""

SIDES = ("left", "right")
"""The subject's own sides, in the order of the last axis of arrays that hold both."""

LETTER_INTENSITY = {"A": 0.2, "B": 0.4, "C": 0.6, "D": 0.8, "E": 1.0}
"""FACS intensity letters, trace to maximum, at equal steps of the scale [0, 1]."""


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One code of FACS.

    Attributes:
        number: the code's number.
        name: its name in the FACS manual.
        muscles: the muscles that produce it; empty where the code names none (gaze, head).
        half: the half of the face that it moves. ``eyes`` and ``mouth`` follow the dual-branch
            recognizer (Ruan et al. 2022): eyes 1-9, 41-44, 61-64, mouth 10-28, 38. Codes that the
            paper does not list are placed by their muscles; head and posture codes are ``other``.
        lateral: whether one side can show it alone, because its muscles come in pairs, one on each
            side. AUs of the ring muscle around the mouth, the chin, the jaw, the tongue and the
            whole head are not lateral: they are equally strong on both sides.
    """

    number: int
    name: str
    muscles: tuple[str, ...]
    half: Half
    lateral: bool


# number | name | muscles | half | lateral or middle (Ekman, Friesen and Hager, FACS manual, 2002).
# FACS has no AU 3. AU 8 moves the lips and is an "eyes" AU only by the paper's range.
_TABLE = """
1|inner brow raiser|frontalis (medial)|eyes|lateral
2|outer brow raiser|frontalis (lateral)|eyes|lateral
4|brow lowerer|depressor glabellae, depressor supercilii, corrugator supercilii|eyes|lateral
5|upper lid raiser|levator palpebrae superioris|eyes|lateral
6|cheek raiser|orbicularis oculi (orbital)|eyes|lateral
7|lid tightener|orbicularis oculi (palpebral)|eyes|lateral
8|lips toward each other|orbicularis oris|eyes|middle
9|nose wrinkler|levator labii superioris alaeque nasi|eyes|lateral
10|upper lip raiser|levator labii superioris|mouth|lateral
11|nasolabial deepener|zygomaticus minor|mouth|lateral
12|lip corner puller|zygomaticus major|mouth|lateral
13|sharp lip puller|levator anguli oris|mouth|lateral
14|dimpler|buccinator|mouth|lateral
15|lip corner depressor|depressor anguli oris|mouth|lateral
16|lower lip depressor|depressor labii inferioris|mouth|lateral
17|chin raiser|mentalis|mouth|middle
18|lip pucker|incisivii labii superioris, incisivii labii inferioris|mouth|middle
19|tongue show||mouth|middle
20|lip stretcher|risorius|mouth|lateral
21|neck tightener|platysma|mouth|lateral
22|lip funneler|orbicularis oris|mouth|middle
23|lip tightener|orbicularis oris|mouth|middle
24|lip presser|orbicularis oris|mouth|middle
25|lips part|depressor labii inferioris, mentalis (relaxed), orbicularis oris (relaxed)|mouth|middle
26|jaw drop|masseter (relaxed), temporalis (relaxed), internal pterygoid (relaxed)|mouth|middle
27|mouth stretch|pterygoids, digastric|mouth|middle
28|lip suck|orbicularis oris|mouth|middle
29|jaw thrust||mouth|middle
30|jaw sideways||mouth|middle
31|jaw clencher|masseter|mouth|middle
32|lip bite||mouth|middle
33|cheek blow||mouth|lateral
34|cheek puff||mouth|lateral
35|cheek suck||mouth|lateral
36|tongue bulge||mouth|middle
37|lip wipe||mouth|middle
38|nostril dilator|nasalis (alar)|mouth|lateral
39|nostril compressor|nasalis (transverse), depressor septi nasi|mouth|lateral
40|sniff||other|middle
41|lid droop|levator palpebrae superioris (relaxed)|eyes|lateral
42|slit|orbicularis oculi|eyes|lateral
43|eye closure|levator palpebrae superioris (relaxed), orbicularis oculi (palpebral)|eyes|lateral
44|squint|orbicularis oculi (palpebral)|eyes|lateral
45|blink|levator palpebrae superioris (relaxed), orbicularis oculi (palpebral)|eyes|lateral
46|wink|levator palpebrae superioris (relaxed), orbicularis oculi (palpebral)|eyes|lateral
50|speech||other|middle
51|head turn left||other|middle
52|head turn right||other|middle
53|head up||other|middle
54|head down||other|middle
55|head tilt left||other|middle
56|head tilt right||other|middle
57|head forward||other|middle
58|head back||other|middle
61|eyes turn left||eyes|middle
62|eyes turn right||eyes|middle
63|eyes up||eyes|middle
64|eyes down||eyes|middle
65|walleye||eyes|middle
66|cross-eye||eyes|middle
80|swallow||other|middle
82|shoulder shrug||other|lateral
84|head shake||other|middle
85|head nod||other|middle
"""


def _read_table() -> dict[int, ActionUnit]:
    units = {}
    for line in _TABLE.strip().splitlines():
        number, name, muscles, half, place = line.split("|")
        named = tuple(muscle for muscle in muscles.split(", ") if muscle)
        units[int(number)] = ActionUnit(
            int(number),
            name,
            named,
            half,  # type: ignore[arg-type]
            lateral=place == "lateral",
        )
    return units


ACTION_UNITS: dict[int, ActionUnit] = _read_table()
"""Every known code by its number."""


@dataclass(frozen=True, slots=True)
class AUEvent:
    """One AU as annotated.

    Attributes:
        number: a key of :data:`ACTION_UNITS`.
        side: the subject's side that moves alone or, where ``asymmetric``, moves more.
        asymmetric: both sides move, one of them more (``A12``). ``A/L12`` reads "asymmetric or
            left alone"; either way the left moves more, which is how it is kept.
        part: the lip or lid that moves alone: top (``T``) or bottom (``B``).
        letters: intensity letters; two where the coder was undecided (``10A/B``).
        reflex: whether it is a reflex or by-product of another movement, ``ref(...)``.
    """

    number: int
    side: Literal["left", "right"] | None = None
    asymmetric: bool = False
    part: Literal["top", "bottom"] | None = None
    letters: tuple[str, ...] = ()
    reflex: bool = False

    @property
    def intensity(self) -> float | None:
        """Mean of the letters' intensities in [0, 1]; None where no letter was given."""
        if not self.letters:
            return None
        return sum(LETTER_INTENSITY[letter] for letter in self.letters) / len(self.letters)

    @property
    def shares(self) -> tuple[float, float]:
        """Shares of the intensity that left and right show, in [0, 1].

        A side that is not named shows none, or half where ``asymmetric``. Both sides show all of it
        if no side is named, or if the AU is not :attr:`ActionUnit.lateral`.
        """
        if self.side is None or not ACTION_UNITS[self.number].lateral:
            return 1.0, 1.0
        other = 0.5 if self.asymmetric else 0.0
        return (1.0, other) if self.side == "left" else (other, 1.0)


@dataclass(frozen=True, slots=True)
class AUCell:
    """The contents of an AU cell of an annotation table.

    Attributes:
        groups: one group per AU; a group of several events holds alternatives (``R14A or 17A``), of
            which the coder saw one.
        remarks: words that name no AU, for instance ``soft focus``.
        unclear: whether the cell holds a ``?``: the coder could not name an AU or its end.
        unread: fragments that could not be read; nothing in a cell is dropped.
    """

    groups: tuple[tuple[AUEvent, ...], ...] = ()
    remarks: tuple[str, ...] = ()
    unclear: bool = False
    unread: tuple[str, ...] = ()

    @property
    def events(self) -> tuple[AUEvent, ...]:
        """One event per group: the first of alternatives, as the coder's first choice."""
        return tuple(group[0] for group in self.groups)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The certain AUs: those of groups without alternatives, in the cell's order."""
        certain = [group[0].number for group in self.groups if len(group) == 1]
        return tuple(dict.fromkeys(certain))


def parse_au_cell(cell: str | float | None) -> AUCell:
    """Read an AU cell of CASME II, SAMM or a database with the same notation.

    ``+``, ``,`` or ``;`` joins AUs, ``or`` separates alternatives. An AU is a prefix, a number and
    a suffix: ``L``/``R`` the side, ``A`` asymmetric, ``T``/``B`` top and bottom; after the number
    the intensity ``A``..``E``. The letters ``AU`` may precede it (``AU4+AU7``), and blanks alone
    may join whole AUs (``4 7``). Numbers that FACS does not have, commas together with ``or``
    (``4, 7 or 12`` is ambiguous), and whatever else cannot be read are returned in ``unread``;
    :func:`why_unread` gives the reason.

    Args:
        cell: the table's value: text, a number, or None or NaN for an empty cell. Texts of more
            than 500 characters are unread.

    Raises:
        ValueError: if it is none of these.

    Example:
        >>> parse_au_cell("L12 + 15A").events[1].intensity
        0.2
        >>> [event.number for event in parse_au_cell("R14A or 17A").groups[0]]
        [14, 17]
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return AUCell()
    if not isinstance(cell, str | Real):
        raise ValueError(f"an AU cell is a text, a number or None, got {cell!r}")
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    groups: list[tuple[AUEvent, ...]] = []
    remarks, unread = [], []
    text = unicodedata.normalize("NFKC", str(cell))
    if len(text) > _LONGEST:
        return AUCell(unread=(text.strip(),))
    for written in _fragments(text):
        fragment = written.replace("?", " ").strip()
        # A question mark may stand for a lost character, so it joins nothing.
        found = _read_joined(fragment) if fragment == written else [_read_group(fragment)]
        if not fragment:
            continue
        if found and all(found):
            groups += found
        elif _REMARK.fullmatch(fragment):
            remarks.append(fragment)
        else:
            unread.append(fragment)
    return AUCell(tuple(groups), tuple(remarks), "?" in text, tuple(unread))


def why_unread(fragment: str) -> str:
    """Why a fragment of an AU cell (``AUCell.unread``) cannot be read, and what to write instead.

    Example:
        >>> why_unread("99")
        "'99' cannot be read: FACS has no AU 99"
    """
    reason = ""
    if len(fragment) > _LONGEST:
        return f"{fragment[:40]!r} and {len(fragment) - 40} further characters cannot be read"
    if re.fullmatch(r"\d+\.\d+", fragment):
        reason = ": a decimal number; spreadsheets turn AUs joined by a comma into one; write 4+7"
    elif re.match(r"\d{4}-\d\d-\d\d", fragment):
        reason = ": a date; spreadsheets turn numbers such as 4-7 into one; write 4+7 as text"
    elif re.search(r"[,;]", fragment) and re.search(r"\bor\b", fragment, re.IGNORECASE):
        reason = ": with both commas and `or` the alternatives are unclear; write 4+(7 or 12)"
    elif (number := _EVENT.fullmatch(_without_au(fragment).upper())) is not None:
        reason = f": FACS has no AU {int(number['number'])}"
    return f"{fragment!r} cannot be read{reason}"


def condition_vector(cell: AUCell, *, unlettered: float) -> np.ndarray:
    """Intensities of the 20 condition AUs at the apex, from the coder's letters.

    The first of alternatives counts; of an AU that occurs twice, the stronger on each side.
    :attr:`AUEvent.shares` gives each side's share. A cell that names no AU (empty, ``?``) counts as
    not measured.

    Args:
        cell: the parsed cell.
        unlettered: intensity in [0, 1] of an AU that has no letter.

    Returns:
        (20, 2) float32 in [0, 1], rows as :data:`CONDITION_AUS`, then :data:`SIDES`; all NaN if no
        AU is named.

    Raises:
        ValueError: if ``unlettered`` lies outside [0, 1].

    Example:
        >>> vector = condition_vector(parse_au_cell("L14B"), unlettered=0.5)
        >>> vector[CONDITION_AUS.index(14)].round(1).tolist()
        [0.4000000059604645, 0.0]
    """
    check_number("unlettered", unlettered, "0..1")
    if not cell.groups:
        return np.full((len(CONDITION_AUS), len(SIDES)), np.nan, np.float32)
    vector = np.zeros((len(CONDITION_AUS), len(SIDES)), np.float32)
    for event in cell.events:
        if event.number in CONDITION_AUS:
            row = CONDITION_AUS.index(event.number)
            intensity = unlettered if event.intensity is None else event.intensity
            vector[row] = np.maximum(vector[row], intensity * np.array(event.shares))
    return vector


def stronger_side(intensities: np.ndarray) -> np.ndarray:
    """The stronger side (..., 20) of AU intensities (..., 20, 2), for uses without sides."""
    return intensities.max(-1)


def on_both_sides(intensities: np.ndarray) -> np.ndarray:
    """(..., 20, 2) of AU intensities (..., 20) that were measured without sides; a view."""
    return np.broadcast_to(intensities[..., None], (*intensities.shape, len(SIDES)))


_LONGEST = 500  # characters of a cell; those of the databases have 60 at most
_EVENT = re.compile(
    r"(?P<asymmetric>A(?:/(?=[LR]))?)?(?P<side>[LR])?(?P<part>[TB])?(?P<number>\d+)(?:\.0+)?"
    r"(?P<letters>[A-E](/[A-E])*)?"
)
_AU = re.compile(r"(?:\b|(?<=\b[LR]))AU\s*(?=[LRATB]?/?[LR]?[TB]?\d)", re.IGNORECASE)
_OR = re.compile(r"\bor\b", re.IGNORECASE)
_REFLEX = re.compile(r"ref\s*\((?P<inner>.*)\)", re.IGNORECASE)
_REMARK = re.compile(r"[^\W\d_]{3,}([\s-]+[^\W\d_]+)*")
_SIDES: dict[str, Literal["left", "right"]] = {"L": "left", "R": "right"}
_PARTS: dict[str, Literal["top", "bottom"]] = {"T": "top", "B": "bottom"}


def _fragments(text: str) -> list[str]:
    """The pieces of a cell between joining signs; a cell with both commas and ``or`` is one."""
    listed = _split(text, "+,;、")
    if len(listed) > len(_split(text, "+")) and len(_split(_OR.sub("|", text), "|")) > 1:
        return [text.strip()]
    return listed


def _split(text: str, separators: str) -> list[str]:
    """Split outside parentheses; empty pieces are left out."""
    pieces, depth, start = [], 0, 0
    for match in re.finditer(rf"[(){re.escape(separators)}]", text):
        if match[0] in "()":
            depth += 1 if match[0] == "(" else -1
        elif depth == 0:
            pieces.append(text[start : match.start()])
            start = match.end()
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if piece.strip()]


def _read_joined(text: str) -> list[tuple[AUEvent, ...]]:
    """One group, or several AUs joined by blanks; an empty group for what cannot be read."""
    whole = _read_group(text)
    if whole:
        return [whole]
    events = [_read_event(piece) for piece in _without_au(text).split()]
    return [() if event is None else (event,) for event in events]


def _read_group(text: str) -> tuple[AUEvent, ...]:
    """The alternatives of a group; empty if any of them cannot be read."""
    choices = _split(_OR.sub("|", text), "|")
    if len(choices) > 1:
        groups = [_read_group(choice) for choice in choices]
        return tuple(event for group in groups for event in group) if all(groups) else ()
    if reflex := _REFLEX.fullmatch(text):
        return tuple(replace(event, reflex=True) for event in _read_group(reflex["inner"]))
    if text.startswith("(") and text.endswith(")"):
        return _read_group(text[1:-1])
    event = _read_event(text.strip())
    return (event,) if event else ()


def _without_au(text: str) -> str:
    """Drop the letters AU before a number or its prefix, and the blank after L or R."""
    text = _AU.sub("", text)
    return re.sub(r"\b([LR])\s+(?=\d)", r"\1", text, flags=re.IGNORECASE)


def _read_event(text: str) -> AUEvent | None:
    match = _EVENT.fullmatch(_without_au(text).upper())
    if match is None or int(match["number"]) not in ACTION_UNITS:
        return None
    return AUEvent(
        number=int(match["number"]),
        side=_SIDES.get(match["side"]),
        asymmetric=match["asymmetric"] is not None,
        part=_PARTS.get(match["part"]),
        letters=tuple((match["letters"] or "").replace("/", "")),
    )
