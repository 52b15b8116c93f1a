"""Kills commands at random times, repeats them, and compares what they wrote with an unbroken run.

    python -m tests.kills --kills 30            # of each command
    python -m tests.kills --command generate

A command runs in a fork of this process, which has its modules loaded, and gets SIGKILL after a
time drawn between 0 and a little more than it takes. Then it is repeated, with ``--resume`` where
there is one: it must end with 0, and every file must be that of the unbroken run. Files that two
unbroken runs have with other bytes (they hold times) must be there. What is said of each kill is
counted; the command ends with 1 if any differs.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np

import mersynth.cli
import mersynth.gan.train
import mersynth.prepare.command
import mersynth.synthesis.generate
import recognizers.cli
import recognizers.experiment.evaluate
from mersynth.disk.files import sha256_of_file
from mersynth.disk.scratch import scratch_folder
from tests.tiny_store import tiny_clips, write_tiny_store

logger = logging.getLogger(__name__)

GAN = ("gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=0", "device=cpu")
SYNTHETIC = ("num_frames=4", "batch_clips=2", "device=cpu")
RUN = ("--model", "ststnet_tiny", "model.training.epochs=2", "keep_weights=true", "device=cpu")


@dataclass(frozen=True, slots=True)
class Case:
    """A command to kill.

    Attributes:
        words: of the command line; ``{place}`` is the folder of its inputs, ``{out}`` its output.
        out: the output's name, with an ending where it is a file.
        resume: whether it is repeated with ``--resume``.
        once: whether an output that is in its place is left alone, so that repeating it is refused.
    """

    words: Sequence[str]
    out: str = "out"
    resume: bool = False
    once: bool = False


CASES: Mapping[str, Case] = {
    "prepare": Case(
        ("mersynth", "prepare", "--source", "smic", "--root", "{place}/smic", "--out", "{out}",
         "--image-size", "32", "--features", "dynamic_image"),
        resume=True,
    ),
    "train": Case(
        ("mersynth", "train", "--store", "{place}/samm", "--out", "{out}", *GAN,
         "steps=8", "checkpoint_every=2", "sample_every=4", "true_frame_steps=3"),
        resume=True,
    ),
    "generate": Case(
        ("mersynth", "generate", "--store", "{place}/samm", "--checkpoint", "{place}/generator",
         "--per-class", "6", "--out", "{out}", *SYNTHETIC),
        resume=True,
    ),
    "generate --workers 2": Case(
        ("mersynth", "generate", "--store", "{place}/samm", "--checkpoint", "{place}/generator",
         "--per-class", "6", "--out", "{out}", "--workers", "2", *SYNTHETIC),
        resume=True,
    ),
    "export --layout samm": Case(
        ("mersynth", "export", "--store", "{place}/samm", "--layout", "samm", "--out", "{out}"),
        resume=True,
    ),
    "export --layout npz": Case(
        ("mersynth", "export", "--store", "{place}/samm", "--layout", "npz", "--features",
         "onset,apex", "--out", "{out}", "size=16"),
        out="out.npz",
        resume=True,
    ),
    "loso": Case(
        ("recognizers", "loso", "--store", "{place}/samm", "--groups", "3", "--seeds", "2",
         "--pretrain", "{place}/other", "--out", "{out}", *RUN),
    ),
    "loso --workers 2": Case(
        ("recognizers", "loso", "--store", "{place}/samm", "--groups", "3", "--out", "{out}", *RUN,
         "executor.workers=2"),
    ),
    "fit": Case(
        ("recognizers", "fit", "--store", "{place}/samm", "--out", "{out}", "--model",
         "ststnet_tiny", "model.training.epochs=4", "device=cpu"),
        once=True,
    ),
}  # fmt: skip
"""The commands by name."""

_TELLING_SECONDS = ("out/report.html", "out/results.json")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit status; negative for a signal.
        said: what it wrote.
        seconds: that it took.
    """

    code: int
    said: str
    seconds: float


def make_inputs(place: Path) -> None:
    """What the commands read."""
    from mersynth.gan.train import train
    from mersynth.phantom.population import clip_specs
    from tests.prepare.test_prepare import smic_tree

    store = write_tiny_store(place / "samm", tiny_clips(subjects=6, each=2))
    others = [replace(clip, subject=f"1{clip.subject}") for clip in tiny_clips(subjects=3)]
    write_tiny_store(place / "other", others)
    train(store_path=store.path, out=place / "generator", overrides=[*GAN, "steps=1"])
    smic_tree(place / "smic", [s for s in clip_specs(seed=3) if s.clip.num_frames < 40][:6])


def run(work: Callable[[], object], log: Path, kill_after: float | None = None) -> Ended:
    """Do some work in a fork of this process.

    Args:
        work: what to do.
        log: file of what it writes.
        kill_after: seconds until it is killed, alone or with all that it has started.
    """
    log.touch()
    begun = time.monotonic()
    if (pid := os.fork()) == 0:
        os.setsid()
        _work_and_exit(work, log)
    killed = False
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if not killed and kill_after is not None and time.monotonic() - begun >= kill_after:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.001)
    seconds = time.monotonic() - begun
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what it has started
    return Ended(os.waitstatus_to_exitcode(status), log.read_text(errors="replace"), seconds)


def _work_and_exit(work: Callable[[], object], log: Path) -> NoReturn:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    code = 70
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command(case: Case, place: Path, out: Path, again: bool) -> Callable[[], object]:
    """A case's command, to be run in a fork."""
    words = [word.format(place=place, out=out) for word in case.words]
    words += ["--resume"] * (again and case.resume)
    app = mersynth.cli.app if words[0] == "mersynth" else recognizers.cli.app
    scratch = _scratch_of(out)
    scratch.mkdir(exist_ok=True)

    def work() -> None:
        sys.argv = words
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        app(words[1:])

    return work


def _scratch_of(out: Path) -> Path:
    """The temporary folder of a command."""
    return out.parent / "tmp"


def _scratch_is_used(out: Path) -> None:
    """Make a temporary folder, before which those of killed commands are removed."""
    place, tempfile.tempdir = tempfile.tempdir, str(_scratch_of(out))
    try:
        with scratch_folder():
            pass
    finally:
        tempfile.tempdir = place


def contents(out: Path) -> dict[str, str]:
    """The checksum of every file of an output, and what lies beside it or is temporary."""
    scratch = _scratch_of(out)
    beside = [p for p in out.parent.iterdir() if p not in (out, scratch) and p.suffix != ".log"]
    beside += scratch.iterdir()
    # TensorBoard's have the time and the process in their names.
    inside = [path for path in out.rglob("*") if "tfevents" not in path.name]
    files = [path for path in (out, *inside) if path.is_file()]
    found = {file.relative_to(out.parent).as_posix(): sha256_of_file(file) for file in files}
    return found | {f"beside: {path.name}": "" for path in beside}


def kill_and_repeat(name: str, place: Path, folder: Path, kills: int, seed: int) -> Counter[str]:
    """Kill a case's command many times.

    Args:
        name: of the case.
        place: of the inputs.
        folder: to write to.
        kills: how often to kill.
        seed: of the times.

    Returns:
        How often each thing was seen: ``equal``, ``finished first``, or what was wrong.

    Raises:
        RuntimeError: if the unbroken command fails.
    """
    case, rng = CASES[name], np.random.default_rng(seed)

    def attempt(at: str, again: bool = False, kill_after: float | None = None) -> Ended:
        out = folder / at / case.out
        out.parent.mkdir(parents=True, exist_ok=True)
        log = out.parent / ("again.log" if again else "first.log")
        return run(command(case, place, out, again), log, kill_after)

    whole = [attempt(f"whole{i}") for i in range(2)]
    if any(each.code for each in whole):
        raise RuntimeError(f"{name} fails unbroken:\n{whole[0].said}")
    one, two = (contents(folder / f"whole{i}" / case.out) for i in range(2))
    if left := [name for name in one if name.startswith("beside: ")]:
        raise RuntimeError(f"{name} leaves something behind unbroken: {left}")
    timed = {file for file in one if one[file] != two.get(file) or file in _TELLING_SECONDS}
    longest = max(each.seconds for each in whole)
    seen: Counter[str] = Counter()
    while sum(seen.values()) - seen["finished first"] < kills:
        at = f"killed{sum(seen.values())}"
        out = folder / at / case.out
        first = attempt(at, kill_after=float(rng.uniform(0, 1.05 * longest)))
        if first.code >= 0:
            seen["finished first"] += 1
        elif case.once and out.exists():
            seen[_compared(one, contents(out), timed)] += 1
        else:
            again = attempt(at, again=True)
            _scratch_is_used(out)
            found = _compared(one, contents(out), timed) if again.code == 0 else ""
            seen[found or f"exit status {again.code}: {again.said.strip()[-300:]}"] += 1
        shutil.rmtree(folder / at)
    return seen


def _compared(wanted: Mapping[str, str], found: Mapping[str, str], timed: set[str]) -> str:
    """``equal``, or the first difference."""
    if missing := sorted(wanted.keys() - found.keys()):
        return f"missing: {missing[0]}"
    if more := sorted(found.keys() - wanted.keys()):
        return f"left behind: {more[0]}"
    other = [file for file in sorted(wanted) if file not in timed and wanted[file] != found[file]]
    return f"other bytes: {other[0]}" if other else "equal"


def main() -> int:
    """Kill, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30, help="of each command")
    parser.add_argument(
        "--command", action="append", choices=sorted(CASES), help="repeatable [all]"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="mersynth-kills-") as folder:
        place = Path(folder, "inputs")
        place.mkdir()
        made = run(lambda: make_inputs(place), Path(folder, "inputs.log"))
        if made.code:
            raise RuntimeError(made.said)
        for name in options.command or CASES:
            seen = kill_and_repeat(name, place, Path(folder, "runs"), options.kills, options.seed)
            shutil.rmtree(Path(folder, "runs"))
            shown = "; ".join(f"{count} {what}" for what, count in seen.most_common())
            logger.info("%s: %s", name, shown)
            wrong += sum(seen.values()) - seen["equal"] - seen["finished first"]
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
