"""The request for a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mersynth.checks import check_choice, check_whole
from mersynth.disk.files import real_path
from mersynth.store.names import NameChoice
from recognizers.folds.guard import Protocol
from recognizers.folds.splits import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run.

    Attributes:
        split: how clips are divided (:mod:`recognizers.folds.splits`); ``"fit"``: not at all,
            training uses all of them.
        model: name of a config in ``configs/model``.
        data: stores (folders) and feature files (``.npz``) under test; for ``cross``, to train on.
        test: for ``cross``, stores and files to test on.
        pretrain: stores or files to pretrain on before every fold.
        mix: stores or files to learn from besides the training clips of every fold.
        groups: hold out K groups of people instead of single people (``loso`` and ``cde``).
        first_label: number of the first class in ``y`` of feature files; None: 0, and files without
            a clip of it are refused.
        classes: label scheme of the stores; None: ``three`` for ``cde``, else ``five``; beside
            feature files under test, the scheme that has their classes.
        protocol: ``"paper"`` reproduces published practice: the headline is from the epoch that
            scores best on the tested person, and pretraining uses all clips. Its figures are
            marked.
        names: whether names that look alike, such as the subjects ``006`` and ``6``, are the
            ``"same"`` or ``"distinct"``; None refuses them (:mod:`mersynth.store.names`), or
            under protocol ``"paper"`` keeps them distinct, with a warning.
        seeds: number of seeds.
        seed: the first seed.
        overrides: Hydra overrides of ``configs/evaluate.yaml``.

    Raises:
        ValueError: if these do not fit together.
    """

    split: Split
    model: str
    data: Sequence[Path]
    test: Sequence[Path] = ()
    pretrain: Sequence[Path] = ()
    mix: Sequence[Path] = ()
    groups: int | None = None
    first_label: int | None = None
    classes: str | None = None
    protocol: Protocol = "strict"
    names: NameChoice | None = None
    seeds: int = 1
    seed: int = 0
    overrides: Sequence[str] = ()

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[str | None, ...]] = {
            "split": get_args(Split),
            "protocol": get_args(Protocol),
            "names": (*get_args(NameChoice), None),
        }
        for name, values in allowed.items():
            check_choice(name, getattr(self, name), values)
        check_whole("seeds", self.seeds, 1, 10_000)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        if self.first_label is not None:
            check_whole("first_label", self.first_label, 0, 1_000_000)
        if not self.data:
            raise ValueError("give the clips: a store (--store) or a feature file (--data)")
        if (self.split == "cross") != bool(self.test):
            raise ValueError("clips to test on (--test) are for cross, which needs them")
        given = [path.suffix for paths in self.paths.values() for path in paths]
        if self.classes is not None and set(given) == {".npz"}:
            raise ValueError("classes relabels stores; feature files have their own classes")
        if self.first_label is not None and ".npz" not in given:
            raise ValueError(
                "first_label numbers the classes of feature files (FILE.npz), and none is given; "
                "stores name theirs"
            )
        if self.groups is not None and self.split not in ("loso", "cde"):
            raise ValueError(f"groups of people are for loso and cde, not for {self.split}")
        tested = [real_path(path) for path in (*self.data, *self.test)]
        for further in ((), self.pretrain, self.mix):
            used = [*tested, *(real_path(path) for path in further)]
            if twice := sorted({str(path) for path in used if used.count(path) > 1}):
                raise ValueError(f"given twice, under test or beside it: {', '.join(twice)}")

    @property
    def paths(self) -> dict[str, Sequence[Path]]:
        """Stores and files by role."""
        own = {"train": self.data, "test": self.test} if self.test else {"real": self.data}
        return {**own, "mix": self.mix, "pretrain": self.pretrain}

    @property
    def tests_files(self) -> bool:
        """Whether all clips under test come from feature files."""
        return all(path.suffix == ".npz" for path in (*self.data, *self.test))

    @property
    def scheme(self) -> str:
        """Label scheme of the stores."""
        return self.classes or ("three" if self.split == "cde" else "five")

    @property
    def name(self) -> str:
        """Default name of the run's folder."""
        groups = f"{self.groups}groups" if self.groups else ""
        parts = [self.split, groups, self.model, *(path.stem for path in self.data)]
        for word, paths in (("on", self.test), ("pretrain", self.pretrain), ("mix", self.mix)):
            parts += [word, *(path.stem for path in paths)] if paths else []
        parts.append("paper" if self.protocol == "paper" else "")
        return "_".join(filter(None, parts))

    def command(self, out: Path) -> str:
        """The command that makes this run in the folder ``out``."""
        words = ["recognizers", self.split, "--model", self.model]
        flags = {"real": ("--store", "--data"), "pretrain": ("--pretrain", "--pretrain-data")}
        for role, paths in self.paths.items():
            of_stores, of_files = flags.get(role, (f"--{role}", f"--{role}"))
            for path in paths:
                words += [of_files if path.suffix == ".npz" else of_stores, str(path)]
        for flag, value, usual in (
            ("--groups", self.groups, None),
            ("--first-label", self.first_label, None),
            ("--classes", self.classes, None),
            ("--protocol", self.protocol, "strict"),
            ("--seeds", self.seeds, 1),
            ("--seed", self.seed, 0),
        ):
            words += [flag, str(value)] if value != usual else []
        words += ["--same-person"] if self.names == "same" else []
        words += ["--distinct"] if self.names == "distinct" else []
        return shlex.join([*words, "--out", str(out), *self.overrides])
