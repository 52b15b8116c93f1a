"""Run every recognition system on the phantom, without and with pretraining on synthetic clips.

    python scripts/measure_recognizers.py --out docs/recognizers.md
    python scripts/measure_recognizers.py --full --work build/recognizers_full   # on a GPU

renders a phantom population, lets the shipped generator make a balanced store of it, and runs each
system twice under the strict protocol. Small forms of the systems are tested on groups of people;
``--full`` takes the papers' sizes and epochs and leaves one person out. A stopped script continues
where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring.baseline import most_frequent
from measuring.documents import command, document, machine, paragraph, table
from measuring.pretraining import CLIPS_SEEN, LR_FACTOR, pretraining
from measuring.shipped import shipped_section
from measuring.small_forms import EPOCHS, Form, describe
from measuring.synthetic import synthetic_store
from reproduction.command import errors_shown

from mersynth import logs
from mersynth.facs.emotions import classes
from mersynth.gan.checkpoint import SHIPPED, load_card
from mersynth.phantom.population import write_store
from mersynth.prepare.command import prepare
from mersynth.sources import PHANTOM
from mersynth.store.clip_store import ClipStore
from recognizers.evaluation.comparison import compare
from recognizers.experiment.evaluate import evaluate
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.measure_recognizers")

MACRO_FIRST, MACRO_SUBJECTS, MACRO_EACH = 4000, 12, 8
HEAD = (
    "system", "parameters", "pretrained", "UF1", "95 % interval", "UAR", "accuracy",
    "oracle: UF1", "UAR", "accuracy", "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stores:
    """What the systems learn from.

    Attributes:
        real: clips under test.
        synthetic: clips to pretrain on.
        macro: macro-expressions of other people, for systems that adapt from them (NMER).
    """

    real: Path
    synthetic: Path
    macro: Path


def make_stores(folder: Path, per_class: int, seed: int) -> Stores:
    """Render and generate the stores that do not exist yet."""
    stores = Stores(folder / "phantom", folder / "phantom_synthetic", folder / "phantom_macro")
    size = load_card(SHIPPED).image_size
    if not stores.real.exists():
        prepare(PHANTOM, out=stores.real, image_size=size, seed=seed)
    synthetic_store(stores.real, stores.synthetic, per_class, seed=seed)
    if not stores.macro.exists():
        emotions = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
        write_store(
            stores.macro,
            image_size=size,
            seed=seed,
            subjects=MACRO_SUBJECTS,
            first_subject=MACRO_FIRST,
            counts=dict.fromkeys(emotions, MACRO_EACH),
            strength="macro",
            max_frames=16,
        )
    return stores


def run_pair(
    form: Form, stores: Stores, folder: Path, seeds: int, overrides: Sequence[str]
) -> list[Run]:
    """A system's run without and its run with synthetic clips."""
    mix = [stores.macro] if form.system == "nmer" else []
    runs = []
    for name, synthetic in (("fresh", []), ("pretrained", [stores.synthetic])):
        logger.info("%s, %s", form.system, name)
        pretrained = bool(synthetic) and not form.fits_directly
        changes = pretraining(form) if pretrained else []
        request = form.request(
            stores.real, synthetic, mix=mix, seeds=seeds, overrides=[*changes, *overrides]
        )
        runs.append(Run.open(evaluate(request, folder / f"{form.system}_{name}")))
    return runs


def row(run: Run, *names: str) -> list[str]:
    """A line of the table, after the names."""
    means = {s: run.scores[s]["Full"].mean for s in ("strict", "oracle") if s in run.scores}
    interval = run.interval("strict", "uf1")
    ends = "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
    figures = {s: [f"{m[k]:.3f}" for k in ("uf1", "uar", "accuracy")] for s, m in means.items()}
    strict, oracle = figures["strict"], figures.get("oracle", [""] * 3)
    seconds = f"{run.results.seconds:.0f}"
    return [*names, strict[0], ends, *strict[1:], *oracle, seconds]


def rows_of(form: Form, runs: Sequence[Run]) -> list[list[str]]:
    """Both lines of a system."""
    fresh, helped = runs
    how = "beside" if form.fits_directly else "yes"
    size = f"{fresh.results.model.parameters:,}"
    return [row(fresh, f"`{form.config}`", size, "no"), row(helped, "", "", how)]


def gains(found: dict[Form, list[Run]]) -> str:
    """What synthetic clips changed, in words."""
    changes = {
        form.system: compare(helped.predictions["strict"], fresh.predictions["strict"]).difference
        for form, (fresh, helped) in found.items()
    }
    above = [name for name, change in changes.items() if change.low > 0]
    below = [name for name, change in changes.items() if change.high < 0]
    mean = sum(change.estimate for change in changes.values()) / len(changes)
    return (
        f"Synthetic clips change UF1 by {mean:+.3f} on average over {len(changes)} systems. The "
        f"95 % interval of the change, over people, lies above zero for {len(above)} "
        f"({', '.join(above) or 'none'}), below zero for {len(below)} "
        f"({', '.join(below) or 'none'})."
    )


def introduction(found: dict[Form, list[Run]], stores: Stores, seeds: int) -> str:
    """What was run on what."""
    real, synthetic = ClipStore.open(stores.real), ClipStore.open(stores.synthetic)
    people = len({clip.subject_id for clip in real.clips})
    device = next(iter(found.values()))[0].results.device
    return (
        f"{len(real.clips)} clips of {people} phantom people in {len(classes(PHANTOM, 'five'))} "
        f"classes, {real.image_size} pixels; {len(synthetic.clips)} synthetic clips, each class "
        "equally often, from the generator that comes with the package and never saw these people. "
        f"The systems are {describe(list(found))}. Fine-tuning has {LR_FACTOR:g} of the learning "
        f"rates of pretraining, which sees {CLIPS_SEEN} times as many clips; both were chosen for "
        f"STSTNet on these clips. {seeds} seed{'s' if seeds > 1 else ''}, on {machine(device)}."
    )


READING = """The table shows that every system runs under a strict protocol. It does not rank the
    systems: sizes and epochs are not the papers', and phantoms are not people. The first figures
    are strict, and results; `oracle` takes the epoch at which most clips of the tested people are
    right, as most published code does, and is not a result. Systems that are fitted once (SVM)
    learn from synthetic clips together with the real ones. Seconds are those of all folds and
    pretrainings together; other work on the machine lengthens them."""


def text(found: dict[Form, list[Run]], stores: Stores, seeds: int) -> str:
    """The document."""
    first = next(iter(found.values()))[0].predictions["strict"]
    return document(
        [
            "# Every recognition system on the phantom",
            "Made by",
            command(),
            paragraph(introduction(found, stores, seeds)),
            paragraph(READING),
            paragraph(f"{most_frequent(first)}: a system that is no better has learned nothing."),
            table(HEAD, [line for pair in found.items() for line in rows_of(*pair)], words=(0, 2)),
            paragraph(gains(found)),
            shipped_section(),
        ]
    )


def main() -> None:
    """Make the stores, run the systems and write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Markdown file [in the folder of the runs]")
    parser.add_argument("--work", type=Path, default=Path("build/recognizers"), help="folder")
    parser.add_argument(
        "--system", action="append", choices=sorted(EPOCHS), help="repeatable [all]"
    )
    parser.add_argument("--full", action="store_true", help="the papers' sizes, for a GPU")
    parser.add_argument("--per-class", type=int, default=60, help="synthetic clips of every class")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of stores and generation")
    parser.add_argument("overrides", nargs="*", help="config values to change in every run")
    options = parser.parse_args()
    logs.set_up()
    found: dict[Form, list[Run]] = {}
    with errors_shown(parser):
        stores = make_stores(options.work / "stores", options.per_class, options.seed)
        runs = options.work / "runs"
        for system in options.system or sorted(EPOCHS):
            form = Form(system, options.full)
            found[form] = run_pair(form, stores, runs, options.seeds, options.overrides)
    out = options.out or options.work / "recognizers.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text(found, stores, options.seeds), encoding="utf-8")
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
