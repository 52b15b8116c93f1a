"""Different spellings of one name, which would count a person, clip or data set twice.

People and clips are identified by their ids. If a spreadsheet turns ``006`` into ``6``, one person
becomes two, and a fold that tests one learns from the other. :func:`reconcile` finds spellings that
look alike among all clips that are used together, and refuses them until the user says whether they
are the same. Look-alikes differ only by

- blanks, case, and whether ``-``, ``_`` or a blank separates two parts;
- leading zeros of a number, and the ``.0`` of a number that was read as a float;
- for people, a word before the number: ``sub01``, ``s1``, ``subject-1``, ``p1``, ``spNO.1``, ``1``;
- for data sets, all hyphens and underscores, and a Roman numeral (``CASME II``, ``casme2``).

People are compared within a data set, clips within a person: subject 1 of two data sets is two
people.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from mersynth.checks import check_choice, listed, listed_lines
from mersynth.clips import Clip

if TYPE_CHECKING:
    from mersynth.store.clip_store import ClipStore

logger = logging.getLogger(__name__)

NameChoice = Literal["same", "distinct"]
"""What look-alikes are: one person or clip, joined under the first spelling, or really two."""

_SHOWN = 10  # clips and places that a message names; people and data sets are never cut short
_JOINTS = re.compile(r"[\s\u200b\ufeff_-]+")
_FLOAT = re.compile(r"(?<=\d)\.0+$")
_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")  # not those of a fraction
_PERSON = re.compile(r"(?:subject|subj|sub|spno|sp|s|participant|person|patient|p)[._]*(\d+)")
_ROMAN = {"ii": "2", "iii": "3"}


class NamesError(ValueError):
    """Names look alike, and the user has not said whether they are the same.

    Attributes:
        alike: all of them; the message names the first ten clips.
    """

    def __init__(self, message: str, alike: Sequence[Alike] = ()) -> None:
        self.alike = tuple(alike)
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Named:
    """Clips to compare with others, and where they come from.

    Attributes:
        where: their origin, as messages show it, for instance a path.
        clips: its clips, with the people and clips that their provenance names.
        people: ids of further people, such as those whom a generator saw.
    """

    where: str
    clips: Sequence[Clip] = ()
    people: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Alike:
    """Spellings that look like one name.

    Attributes:
        kind: ``"data sets"``, ``"people"`` or ``"clips"``.
        of: the data set of people, the person of clips; empty for data sets.
        spellings: where each spelling occurs; the others are changed to the first.
    """

    kind: Literal["data sets", "people", "clips"]
    of: str
    spellings: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        spelled = ", ".join(f"{name!r} ({listed(at, 3)})" for name, at in self.spellings.items())
        return f"{self.kind} of {self.of}: {spelled}" if self.of else f"{self.kind}: {spelled}"


@dataclass(frozen=True, slots=True)
class Spelling:
    """The spelling to use for each name.

    Attributes:
        alike: the look-alikes that were found.
        people_of: new spelling of each person's id that changes.
        clip_names: new spelling of a clip's name, by its person (new spelling) and old name.
    """

    alike: tuple[Alike, ...] = ()
    people_of: Mapping[str, str] = field(default_factory=dict)
    clip_names: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def people(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Ids of people in the new spelling, each once."""
        return tuple(dict.fromkeys(self.people_of.get(name, name) for name in ids))

    def clips(self, clips: Sequence[Clip]) -> tuple[Clip, ...]:
        """All clips of one store or file, with every name in the new spelling.

        A person counts as unseen by a clip's generator only if all of the person's spellings in
        this store do: a generator trained without one of them may have seen another.

        Raises:
            NamesError: if two of them become one clip.
        """
        if not self.people_of and not self.clip_names:
            return tuple(clips)
        here: dict[str, set[str]] = {}
        for name, _ in _people_in(clips):
            here.setdefault(self.people_of.get(name, name), set()).add(name)
        unseen: dict[tuple[str, ...], tuple[str, ...]] = {}
        for given in {clip.unseen for clip in clips}:
            known = set(given)
            unseen[given] = tuple(p for p in self.people(given) if here.get(p, set()) <= known)
        spelled = tuple(self._clip(clip, unseen[clip.unseen]) for clip in clips)
        first: dict[str, Clip] = {}
        for old, new in zip(clips, spelled, strict=True):
            if (other := first.setdefault(new.id, old)) is not old:
                raise NamesError(
                    f"{other.id} and {old.id} are one clip once their names are joined; leave one "
                    "of them out, or rename it"
                )
        return spelled

    def _clip(self, clip: Clip, unseen: tuple[str, ...]) -> Clip:
        source, _, subject = self.people_of.get(clip.subject_id, clip.subject_id).partition("/")
        name = self.clip_names.get((f"{source}/{subject}", clip.name), clip.name)
        template = clip.template and self._clip_id(clip.template)
        return replace(
            clip, source=source, subject=subject, name=name, template=template, unseen=unseen
        )

    def _clip_id(self, clip_id: str) -> str:
        if (parts := _split(clip_id)) is None:
            return clip_id
        person = self.people_of.get(parts[0], parts[0])
        return f"{person}/{self.clip_names.get((person, parts[1]), parts[1])}"


def reconcile(
    named: Sequence[Named], choice: NameChoice | None = None, strict: bool = True
) -> Spelling:
    """Find spellings that look alike, and decide whether they are the same.

    Args:
        named: everything whose people and clips are compared; the first spelling found is kept.
        choice: ``"same"`` joins look-alikes, ``"distinct"`` keeps them apart; None: no choice was
            made.
        strict: without a choice, refuse look-alikes; False: keep them apart, with a warning.

    Returns:
        The spelling to use for every name.

    Raises:
        NamesError: if names look alike and no choice was made; lists each spelling and where it
            occurs.
        ValueError: if the choice is unknown.
    """
    check_choice("names", choice, (*get_args(NameChoice), None))
    book = _Book(named)
    alike = book.alike
    if not alike:
        return Spelling()
    if choice is None and strict:
        raise NamesError(_message(alike), alike)
    if choice is None:
        logger.warning("%s", _message(alike))
    else:
        taken = "are taken as one" if choice == "same" else "are taken as two"
        logger.info("%s %s", "; ".join(_lines(alike)), taken)
    return book.joined() if choice == "same" else Spelling(alike)


def find_alike(named: Sequence[Named]) -> tuple[Alike, ...]:
    """Spellings that look alike: first of data sets, then of people, then of clips."""
    return _Book(named).alike


def reconcile_stores(
    stores: Sequence[ClipStore], choice: NameChoice | None, people: Sequence[Named] = ()
) -> tuple[list[ClipStore], Spelling]:
    """Stores to use together, as views with one spelling of each name.

    Args:
        stores: the stores.
        choice: as in :func:`reconcile`.
        people: further clips and people to compare them with.

    Raises:
        NamesError: as :func:`reconcile`.
    """
    spelling = reconcile([*(Named(str(s.path), s.clips) for s in stores), *people], choice)
    return [store.view(spelling.clips(store.clips), store.starts) for store in stores], spelling


def dataset_key(name: str) -> str:
    """What all spellings of a data set's name have in common."""
    text = _plain(name).replace("_", "")
    stem = text.rstrip("i")
    return stem + _ROMAN.get(text[len(stem) :], text[len(stem) :]) if stem else text


def person_key(name: str) -> str:
    """What all spellings of a person's name within a data set have in common."""
    text = _plain(name)
    match = _PERSON.fullmatch(text)
    return (match[1].lstrip("0") or "0") if match else text


def clip_key(name: str) -> str:
    """What all spellings of a clip's name within a person have in common."""
    return _plain(name)


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    return _ZEROS.sub("", _FLOAT.sub("", _JOINTS.sub("_", text).strip("_")))


class _Book:
    """Every name that occurs, grouped by the form that its spellings share.

    The dicts within keep the order in which spellings, and their places, were found.
    """

    def __init__(self, named: Sequence[Named]) -> None:
        self.datasets: dict[str, dict[str, dict[str, None]]] = {}
        self.people: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
        self.clips: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        for each in named:
            self._add(each)
        self.alike = tuple(self._alike())

    def _add(self, named: Named) -> None:
        for person, role in (*_people_in(named.clips), *((name, "") for name in named.people)):
            dataset, slash, _ = person.partition("/")
            if slash:
                key, where = self._key(person), f"{named.where}{role}"
                self.datasets.setdefault(key[0], {}).setdefault(dataset, {})[where] = None
                self.people.setdefault(key, {}).setdefault(person, {})[where] = None
        for clip in named.clips:
            if not clip.is_synthetic:
                names = self.clips.setdefault(self._key(clip.subject_id), {})
                names.setdefault(clip.name, {})[named.where] = None

    def _key(self, person: str) -> tuple[str, str]:
        if person not in self._keys:
            dataset, _, subject = person.partition("/")
            self._keys[person] = dataset_key(dataset), person_key(subject)
        return self._keys[person]

    def _alike(self) -> Iterator[Alike]:
        for spellings in self.datasets.values():
            if len(spellings) > 1:
                yield Alike("data sets", "", _fixed(spellings))
        for (dataset, _), ids in self.people.items():
            # In data sets with look-alike names one subject's ids differ only by the data set.
            subjects: dict[str, dict[str, None]] = {}
            for person, places in ids.items():
                subjects.setdefault(person.partition("/")[2], {}).update(places)
            if len(subjects) > 1:
                yield Alike("people", next(iter(self.datasets[dataset])), _fixed(subjects))
        for key, names in self.clips.items():
            for spellings in _by_key(names, clip_key).values():
                if len(spellings) > 1:
                    yield Alike("clips", self._person(key), _fixed(spellings))

    def joined(self) -> Spelling:
        """Every name in its first spelling."""
        people = {
            person: self._person(key)
            for key, ids in self.people.items()
            for person in ids
            if person != self._person(key)
        }
        clips = {
            (each.of, name): next(iter(each.spellings))
            for each in self.alike
            if each.kind == "clips"
            for name in each.spellings
        }
        return Spelling(self.alike, people, clips)

    def _person(self, key: tuple[str, str]) -> str:
        """The id of a person under the first spellings of data set and subject."""
        subject = next(iter(self.people[key])).partition("/")[2]
        return f"{next(iter(self.datasets[key[0]]))}/{subject}"


def _people_in(clips: Iterable[Clip]) -> list[tuple[str, str]]:
    """Ids of all people that clips name, and their role; empty for the people shown."""
    clips = list(clips)
    shown = dict.fromkeys(clip.subject_id for clip in clips)
    templates = (_split(template) for template in {c.template: None for c in clips} if template)
    followed = dict.fromkeys(parts[0] for parts in templates if parts is not None)
    # A few generators make many clips, which all name the same unseen people.
    unseen = dict.fromkeys(name for given in {c.unseen: None for c in clips} for name in given)
    roles = {"": shown, ", template": followed, ", unseen": unseen}
    return [(name, role) for role, names in roles.items() for name in names]


def _split(clip_id: str) -> tuple[str, str] | None:
    """Person and name of a clip's id; None if it is not one."""
    parts = clip_id.split("/", 2)
    return (f"{parts[0]}/{parts[1]}", parts[2]) if len(parts) == 3 else None


def _by_key(
    names: Mapping[str, dict[str, None]], key: Callable[[str], str]
) -> dict[str, dict[str, dict[str, None]]]:
    found: dict[str, dict[str, dict[str, None]]] = {}
    if len(names) > 1:
        for name, places in names.items():
            found.setdefault(key(name), {})[name] = places
    return found


def _fixed(spellings: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(places) for name, places in spellings.items()}


def _message(alike: Sequence[Alike]) -> str:
    return "\n".join(
        [
            "names look alike, and one person or clip would be counted as two:",
            *(f"  {line}" for line in _lines(alike)),
            "add --same-person if they are one (all get the first spelling), or --distinct if they "
            "really are two; in Python names='same' or names='distinct'",
        ]
    )


def _lines(alike: Sequence[Alike]) -> list[str]:
    clips = [each for each in alike if each.kind == "clips"]
    others = [str(each) for each in alike if each.kind != "clips"]
    return [*others, *listed_lines(clips, _SHOWN)]
