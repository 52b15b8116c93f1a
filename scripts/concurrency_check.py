"""Run pairs of the same command at once, on tiny data, and check their outputs and messages.

    python scripts/concurrency_check.py                      # 20 pairs of each command
    python scripts/concurrency_check.py --pairs 3 --only prepare loso --out concurrency.json

In each pair, one command writes and the other is refused with a message that names the first or, if
it comes late, says that the output exists. Both may succeed only where that is correct: a feature
is computed by one and read by both, and a finished run is shown again. Every remaining store is
verified, and must have the same bytes as one written by a single command. Commands run in forks of
this process, which has imported everything; a pair takes about three seconds on two cores.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Column, Table

from mersynth import logs
from mersynth.disk.files import write_json_atomically
from mersynth.disk.partial import partials_of
from mersynth.store.clip_store import ClipStore, StoreError

logger = logging.getLogger("mersynth.scripts.concurrency_check")

_FORK = multiprocessing.get_context("fork")
EMOTIONS = ("happiness", "disgust", "repression", "surprise", "others")
_LONGEST_DELAY = 0.3  # seconds by which the second of every other pair comes later


class Bench:
    """Tiny data for the commands.

    Attributes:
        folder: the folder of everything.
        table: an annotation table in CASME II's layout.
        tree: its clips, rendered.
        store: the store made from them.
        checkpoint: a generator trained for two steps.
        begun: a folder with a killed generation of ``out``.
        features: a feature file of a few people.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "CASME2-coding-20140508.xlsx"
        self.tree, self.store = folder / "tree", folder / "store"
        self.checkpoint, self.begun = folder / "checkpoint", folder / "begun"
        self.features = folder / "features.npz"


@dataclass(frozen=True)
class Command:
    """A command that is run in pairs.

    Attributes:
        first, second: what the two of a pair run, from the bench and the output.
        ready: what must be in a pair's folder first.
        both: whether both may succeed if neither comes late.
        stores: whether the output is a store.
    """

    first: Callable[[Bench, Path], list[str]]
    second: Callable[[Bench, Path], list[str]] | None = None
    ready: Callable[[Bench, Path], object] | None = None
    both: bool = False
    stores: bool = False


@dataclass
class Outcome:
    """Results of a command's pairs; all but the first four should be 0.

    Attributes:
        pairs: how many ran.
        refused: pairs in which one was refused because the other held the output.
        late: pairs in which one was refused because the output existed.
        both: pairs in which both succeeded, where that is correct.
        unexplained: any other results, in words.
        broken: stores that do not verify.
        differing: stores with other bytes than a single command writes.
        litter: files left beside an output.
        seconds: time of all pairs.
    """

    pairs: int = 0
    refused: int = 0
    late: int = 0
    both: int = 0
    broken: int = 0
    differing: int = 0
    litter: int = 0
    seconds: float = 0.0
    unexplained: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.unexplained or self.broken or self.differing or self.litter)


def _generate(bench: Bench, out: Path) -> list[str]:
    return [
        *("mersynth", "generate", "--store", str(bench.store), "--per-class", "4"),
        *("--checkpoint", str(bench.checkpoint), "--out", str(out)),
        *("num_frames=4", "batch_clips=2", "device=cpu"),
    ]


def _resume(bench: Bench, out: Path) -> list[str]:
    return [*_generate(bench, out), "--resume"]


def _train(bench: Bench, out: Path) -> list[str]:
    return [
        *("mersynth", "train", "--store", str(bench.store), "--out", str(out), "gan=tiny"),
        *("batch_size=2", "critic_steps=1", "au_reading_steps=0", "steps=2", "device=cpu"),
    ]


def _loso(bench: Bench, out: Path) -> list[str]:
    return [
        *("recognizers", "loso", "--model", "ststnet_tiny", "--data", str(bench.features)),
        *("--out", str(out), "executor.workers=1", "device=cpu", "model.options.image_size=8"),
        *("model.training.epochs=2", "model.training.batch_size=10"),
    ]


def _features(bench: Bench, out: Path) -> list[str]:
    return ["mersynth", "prepare", "--store", str(out), "--features", "flow,strain"]


def _phantom(bench: Bench, out: Path) -> list[str]:
    words = ["mersynth", "phantom", "--like", str(bench.table), "--layout", "casme2"]
    return [*words, "--out", str(out), "--size", "32"]


def _prepare(bench: Bench, out: Path) -> list[str]:
    words = ["mersynth", "prepare", "--source", "casme2", "--root", str(bench.tree)]
    return [*words, "--out", str(out), "--image-size", "32", "intensities=none"]


def _export(layout: str, suffix: str = "") -> Callable[[Bench, Path], list[str]]:
    def words(bench: Bench, out: Path) -> list[str]:
        out = out.with_name(out.name + suffix)
        start = ["mersynth", "export", "--store", str(bench.store), "--layout", layout]
        return [*start, "--out", str(out)]

    return words


COMMANDS = {
    "phantom --like": Command(_phantom),
    "prepare": Command(_prepare, stores=True),
    "prepare --features": Command(
        _features,
        ready=lambda bench, out: shutil.copytree(bench.store, out),
        both=True,
        stores=True,
    ),
    "train": Command(_train),
    "generate": Command(_generate, stores=True),
    "generate, generate --resume": Command(_generate, _resume, stores=True),
    "generate --resume": Command(
        _resume,
        ready=lambda bench, out: shutil.copytree(bench.begun, out.parent, dirs_exist_ok=True),
        stores=True,
    ),
    "export imagefolder": Command(_export("imagefolder")),
    "export npz": Command(_export("npz", ".npz")),
    "loso": Command(_loso, both=True),
}


def run(words: Sequence[str], said: Path) -> multiprocessing.Process:
    """Start a command in a fork, with its standard error in a file."""
    process = _FORK.Process(target=_call, args=(list(words), said))
    process.start()
    return process


def _call(words: list[str], said: Path) -> None:
    from mersynth import cli as mersynth_cli
    from recognizers import cli as recognizers_cli

    app = mersynth_cli.app if words[0] == "mersynth" else recognizers_cli.app
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = words
    code = 1
    try:
        app(words[1:])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def alone(words: Sequence[str], said: Path) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: with its output, if it fails.
    """
    process = run(words, said)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{said.read_text()}")


def set_up(bench: Bench) -> None:
    """Make the tiny data: a table, tree and store, a generator, and a killed generation."""
    import openpyxl

    book = openpyxl.Workbook()
    head = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None]
    book.worksheets[0].append([*head, "Action Units", "Estimated Emotion"])
    for person in ("01", "02"):
        for number, emotion in enumerate(EMOTIONS):
            name = f"EP{number + 1:02}_01f"
            book.worksheets[0].append([person, name, None, 10, 12, 15, None, "4+12", emotion])
    book.save(bench.table)
    rng = np.random.default_rng(0)
    np.savez(
        bench.features,
        x=rng.normal(size=(24, 3, 8, 8)).astype(np.float32),
        y=np.arange(24) % 3,
        subject=np.array([f"{i // 6:02}" for i in range(24)]),
        classes=np.array(["negative", "positive", "surprise"]),
        channels=np.array(["u", "v", "strain"]),
    )
    said = bench.folder / "said.txt"
    alone(_phantom(bench, bench.tree), said)
    alone(_prepare(bench, bench.store), said)
    alone(_train(bench, bench.checkpoint), said)
    bench.begun.mkdir()
    process = run(_generate(bench, bench.begun / "out"), said)
    while process.is_alive() and not _has_begun(bench.begun / "out"):
        time.sleep(0.001)
    process.kill()
    process.join()
    (bench.begun / ".out.lock").unlink(missing_ok=True)
    if (bench.begun / "out").exists():
        raise RuntimeError("the generation had ended before it was killed; run the script again")


def _has_begun(out: Path) -> bool:
    journals = [partial / "journal.json" for partial in partials_of(out)]
    return any('"done": 0' not in file.read_text() for file in journals if file.exists())


def check(command: Command, bench: Bench, pairs: int, rng: np.random.Generator) -> Outcome:
    """Run pairs of a command."""
    outcome = Outcome()
    place = bench.folder / "pair"
    expected = _expected(command, bench) if command.stores else None
    begin = time.monotonic()
    for number in range(pairs):
        place.mkdir()
        out = place / "out"
        if command.ready:
            command.ready(bench, out)
        said = [bench.folder / f"said_{i}.txt" for i in range(2)]
        second = command.second or command.first
        processes = [run(command.first(bench, out), said[0])]
        time.sleep(rng.uniform(0, _LONGEST_DELAY) if number % 2 else 0)
        processes.append(run(second(bench, out), said[1]))
        for process in processes:
            process.join()
        _classify(command, processes, [file.read_text() for file in said], outcome)
        if command.stores:
            _verify(out, expected, outcome)
        outcome.litter += sum(path.name.startswith(".") for path in place.iterdir())
        shutil.rmtree(place)
    outcome.seconds = round(time.monotonic() - begin, 1)
    return outcome


def _expected(command: Command, bench: Bench) -> str:
    """Checksum of the store that the command alone writes."""
    place = bench.folder / "alone"
    place.mkdir()
    if command.ready:
        command.ready(bench, place / "out")
    alone(command.first(bench, place / "out"), bench.folder / "said.txt")
    checksum = ClipStore.open(place / "out").checksum
    shutil.rmtree(place)
    return checksum


def _classify(
    command: Command,
    processes: Sequence[multiprocessing.Process],
    said: Sequence[str],
    outcome: Outcome,
) -> None:
    """Classify a pair by its commands' messages."""
    outcome.pairs += 1
    failed = [i for i, process in enumerate(processes) if process.exitcode]
    if not failed and command.both:
        outcome.both += 1
        return
    if len(failed) != 1:
        outcome.unexplained.append(f"{2 - len(failed)} succeeded: {said}")
        return
    (loser,) = failed
    text, winner = said[loser], processes[1 - loser].pid
    if re.search(rf"error: .*is being written by `.*` \(pid {winner} on .*since", text):
        outcome.refused += 1
    elif re.search(r"error: .*exists already", text):
        outcome.late += 1
    else:
        outcome.unexplained.append(text)


def _verify(out: Path, expected: str | None, outcome: Outcome) -> None:
    try:
        outcome.differing += ClipStore.open(out, verify=True).checksum != expected
    except StoreError as error:
        outcome.broken += 1
        outcome.unexplained.append(str(error))


def show(found: dict[str, Outcome]) -> None:
    """Print a table, one row per command."""
    columns = ("pairs", "refused", "late", "both", "unexplained", "broken", "differing", "litter")
    table = Table(Column("command", no_wrap=True), *columns, "seconds")
    for name, outcome in found.items():
        values: dict[str, Any] = asdict(outcome) | {"unexplained": len(outcome.unexplained)}
        table.add_row(name, *(str(values[column]) for column in columns), str(outcome.seconds))
    Console(width=120).print(table)


def main() -> None:
    """Check the commands, print the table, and fail if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20, help="pairs of each command")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), help="only these commands")
    parser.add_argument("--seed", type=int, default=0, help="of the delays between two of a pair")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    options = parser.parse_args()
    logs.set_up()
    torch.set_num_threads(1)  # a fork of a process with several would hang
    _import_everything()
    rng = np.random.default_rng(options.seed)
    found: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder).resolve())
        set_up(bench)
        for name in options.only or COMMANDS:
            found[name] = check(COMMANDS[name], bench, options.pairs, rng)
            logger.info("%s: %d pairs in %.1f s", name, options.pairs, found[name].seconds)
    show(found)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomically(options.out, {name: asdict(one) for name, one in found.items()})
    for name, outcome in found.items():
        for text in outcome.unexplained:
            logger.error("%s: %s", name, text)
    sys.exit(not all(outcome.is_right for outcome in found.values()))


def _import_everything() -> None:
    """Import what the commands need, so that the forks need not."""
    import pyarrow.parquet  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    import mersynth.export
    import mersynth.gan.train
    import mersynth.phantom.tree
    import mersynth.prepare.command
    import mersynth.synthesis.generate  # noqa: F401
    import recognizers.experiment.evaluate
    import recognizers.models
    import recognizers.report  # noqa: F401


if __name__ == "__main__":
    main()
