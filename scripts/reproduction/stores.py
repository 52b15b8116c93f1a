"""The stores that tables need: those given, and stores derived from them."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mersynth.sources.composite import COMPOSITE, PARTS
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.merge import merge
from reproduction.tables import Row, Setting, Table

logger = logging.getLogger("recognizers.scripts.reproduction")


@dataclass(frozen=True, slots=True)
class Stores:
    """Folders of stores.

    Attributes:
        real: by the database's name.
        pretrain: synthetic ones, by the name of the database that they are for; ``""``: for all.
        derived: folder for stores with a part of another store's clips.
    """

    real: Mapping[str, Path]
    pretrain: Mapping[str, Path] = field(default_factory=dict)
    derived: Path = Path("runs/reproduce/stores")

    def pretraining(self, database: str) -> Path | None:
        """The synthetic store that a database's models start from."""
        return self.pretrain.get(database, self.pretrain.get(""))

    def missing(self, row: Row, setting: Setting) -> list[str]:
        """The stores that a row lacks for a setting, each with what to do."""
        needed = [*setting.databases, *([row.mix] if row.mix else [])]
        lacking = [advice(name) for name in needed if name not in self.real]
        if row.pretrained and self.pretraining(setting.database) is None:
            lacking.append(pretrain_advice(setting.database))
        return lacking

    def of(self, setting: Setting) -> list[Path]:
        """Stores of the clips to divide (under ``cross``, to train on)."""
        path = self.real[setting.database]
        return [self._part(path, setting) if setting.emotions else path]

    def _part(self, path: Path, setting: Setting) -> Path:
        """A store of the clips with the setting's emotions, written if it is missing."""
        store = ClipStore.open(path)
        out = self.derived / setting.name
        if not out.exists():
            kept = store.filter(lambda clip: clip.emotion in setting.emotions)
            merge([kept], out, {"emotions": list(setting.emotions)})
            logger.info("%s: the clips of %s that the table counts", out, path)
        elif ClipStore.open(out).meta["header"]["parts"][0]["checksum"] != store.checksum:
            raise StoreError(f"{out} was not made from the store {path}; remove it")
        return out


def advice(name: str) -> str:
    """How to make a store and give it to the script."""
    path = f"stores/{name}"
    if name == COMPOSITE:
        made = (
            f"prepare {', '.join(PARTS)} likewise, then `mersynth prepare --source {name} --out "
            f"{path}` joins them"
        )
    else:
        made = f"`mersynth prepare --source {name} --image-size 256 --out {path}` makes it"
    return f"--store {name}={path}: {made}"


def pretrain_advice(name: str) -> str:
    """How to make a synthetic store and give it to the script."""
    path = f"stores/{name}_synthetic"
    return (
        f"--pretrain {name}={path}: `mersynth train --source {name} --subject-groups 5`, then "
        f"`mersynth generate --source {name} --per-class 300 --classes native --out {path}`"
    )


def databases(tables: Iterable[Table]) -> tuple[str, ...]:
    """Names of the stores that tables need."""
    names: dict[str, None] = {}
    for table in tables:
        for row in table.rows:
            for column in table.columns if row.config else ():
                names |= dict.fromkeys(row.setting(column).databases)
            names |= dict.fromkeys([row.mix] if row.mix else [])
    return tuple(names)


def read_pairs(
    option: str, given: Sequence[str], names: Sequence[str], bare: bool
) -> dict[str, Path]:
    """``NAME=DIR`` of an option, each name once.

    Args:
        option: the option's name, for errors.
        given: its values.
        names: the names allowed.
        bare: whether a folder alone, for every database, is allowed; its name is ``""``.

    Raises:
        argparse.ArgumentTypeError: if a value does not have that form.
        StoreError: if a folder is not a store.
    """
    found: dict[str, Path] = {}
    for value in given:
        name, equals, path = value.rpartition("=")
        if not path or (name not in names and (equals or not bare)):
            forms = "DIR or NAME=DIR" if bare else "NAME=DIR"
            raise argparse.ArgumentTypeError(
                f"{option} {value}: give {forms} with NAME one of {', '.join(names)}"
            )
        if name in found:
            raise argparse.ArgumentTypeError(f"{option} names {name or 'every database'} twice")
        ClipStore.open(path)
        found[name] = Path(path)
    return found


def foreign(stores: Stores) -> list[str]:
    """A text for each store with clips of another database than it is given for."""
    found = []
    for name, path in stores.real.items():
        expected = set(PARTS) if name == COMPOSITE else {name}
        others = sorted({clip.source for clip in ClipStore.open(path).clips} - expected)
        if others:
            found.append(
                f"{path}, given for {name}, holds clips of {', '.join(others)}: our figures are "
                "not of the table's data."
            )
    for text in found:
        logger.warning("%s", text)
    return found
