"""What should synthetic clips to pretrain on show? Strengths, AU curves and phases compared.

    python scripts/measure_curriculum.py --table CASME2-coding-20140508.xlsx \
        --out docs/curriculum.md

renders CASME II's clips of three classes from its annotation table, makes AU-ICGAN's clips of them
(micro and strong; after real clips, AU prototypes, and beginnings of macro-expressions), and tests
recognizers that were pretrained on them under the strict protocol. All arms but the first see the
same number of clips. A stopped script continues where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from measuring.curriculum import (
    ARMS,
    MICRO,
    NONE,
    STEPS,
    STORES,
    STRONG,
    SYSTEMS,
    Filled,
    figures,
    rows,
    spread,
)
from measuring.documents import command, document, machine, paragraph, table
from measuring.flow_pairs import thinned, write_pairs
from measuring.options import add_options
from measuring.small_forms import GROUPS, Form, describe
from reproduction.command import errors_shown

from mersynth import __version__, logs
from mersynth.disk.files import write_json_atomically
from mersynth.face.template import TIGHT
from mersynth.gan.checkpoint import SHIPPED
from mersynth.phantom.capture import LAB
from mersynth.phantom.population import write_store
from mersynth.phantom.variety import WIDE
from mersynth.store.clip_store import ClipStore
from mersynth.synthesis.generate import generate
from recognizers.evaluation.comparison import compare
from recognizers.experiment.evaluate import evaluate
from recognizers.folds.guard import usable_clips
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.curriculum")

SIZE = 128  # pixels
FRAMES = 8  # of a synthetic clip: the systems read onset, apex and offset
MACRO = {"happiness": 20, "surprise": 20, "anger": 8, "disgust": 8, "contempt": 4}
"""Macro-expressions of other people, by label."""
PRETRAINING = 2  # clips seen in pretraining, for each that fine-tuning sees


def real_store(options: argparse.Namespace) -> Path:
    """CASME II's clips of three classes, rendered unless they are there."""
    out = options.work / "stores" / "casme2"
    return write_pairs(options.table, "casme2", out, options.seed, SIZE, shown=thinned)


def macro_store(options: argparse.Namespace) -> Path:
    """Macro-expressions of the phantom's people, rendered unless they are there."""
    out: Path = options.work / "stores" / "macro"
    if not out.exists():
        write_store(
            out, image_size=SIZE, seed=options.seed, subjects=20, counts=MACRO, strength="macro",
            fps=12, max_frames=8, framing=TIGHT, population=WIDE, capture=LAB,
        )  # fmt: skip
    return out


def synthetic_store(name: str, real: Path, options: argparse.Namespace) -> Path:
    """AU-ICGAN's clips, made unless they are there."""
    out: Path = options.work / "stores" / f"{name}_{options.per_class}"
    if not out.exists():
        early = name == "early"
        generate(
            store=macro_store(options) if early else real,
            faces=real if early else None,
            per_class=options.per_class,
            classes="three",
            checkpoint=SHIPPED,
            out=out,
            seed=options.seed,
            overrides=[f"num_frames={FRAMES}", *STORES[name]],
            resume=True,
        )
    return out


def budget(arm: str, epochs: int, real: Path, stores: Mapping[str, Path]) -> list[str]:
    """Overrides that give each arm but the first the same number of clips.

    Args:
        arm: its name.
        epochs: of real clips, in the first arm and in fine-tuning.
        real: the store of real clips.
        stores: to pretrain on, by name.
    """
    if not stores:
        return [f"model.training.epochs={epochs if arm == NONE else (1 + PRETRAINING) * epochs}"]
    clips = ClipStore.open(real).clips
    learned = len(clips) * (GROUPS - 1) / GROUPS
    # An epoch shows all usable clips of the stores, or in a curriculum as many as one store has.
    shown = sum(usable(store, real) for store in stores.values())
    if "pretraining.strength" in " ".join(ARMS[arm].overrides):
        shown /= len(stores)
    before = max(2, round(PRETRAINING * epochs * learned / shown))
    return [
        "fine_tuning.lr_factor=0.1",
        f"pretraining.epochs={before}",
        f"model.training.epochs={epochs}",
    ]


def usable(store: Path, real: Path) -> float:
    """Clips of a store that a fold may use: the mean over groups of people of equal size."""
    clips = ClipStore.open(store).clips
    people = sorted(ClipStore.open(real).subjects)
    groups = [people[first::GROUPS] for first in range(GROUPS)]
    return sum(len(usable_clips(clips, group)) for group in groups) / GROUPS


def fill(system: str, options: argparse.Namespace) -> Filled:
    """Run a system in all arms, or continue the runs."""
    form, real = Form(system), real_store(options)
    epochs = options.epochs or form.epochs
    runs = {}
    for arm in options.arm or ARMS:
        logger.info("%s: %s", system, ARMS[arm].words)
        stores = {name: synthetic_store(name, real, options) for name in ARMS[arm].stores}
        own = [*budget(arm, epochs, real, stores), *ARMS[arm].overrides, *options.overrides]
        asked = form.request(real, seeds=options.seeds, seed=options.seed, overrides=own)
        asked = replace(asked, classes="three", pretrain=list(stores.values()))
        runs[arm] = Run.open(evaluate(asked, options.work / "runs" / f"{form.config}_{arm}"))
    strict = {arm: run.predictions["strict"] for arm, run in runs.items()}
    gains = {
        over: {arm: compare(strict[arm], strict[over]) for arm in runs if arm not in (NONE, over)}
        for over in (STEPS, MICRO)
        if over in runs
    }
    return Filled(system, runs, gains)


def text(filled: list[Filled], options: argparse.Namespace) -> str:
    """The document."""
    first = filled[0].runs[NONE]
    most = first.predictions["strict"]
    real, macro = real_store(options), options.work / "stores" / "macro"
    stores = {"rendered CASME II": real, "rendered macro-expressions": macro}
    stores |= {name: options.work / "stores" / f"{name}_{options.per_class}" for name in STORES}
    found = {name: store for name, store in stores.items() if store.exists()}
    forms = describe([Form(each.system) for each in filled], options.epochs)
    return document(
        [
            "# What synthetic clips to pretrain on should show",
            "Made by",
            command(),
            paragraph(
                f"CASME II's {len(most.true_labels())} clips of {most.num_subjects} people in "
                "three classes, rendered from the annotation table at 25 frames a second. "
                f"AU-ICGAN (the shipped one) makes {options.per_class} clips of each class and "
                f"kind. The systems read onset and apex, and are {forms}. "
                f"{options.seeds} seeds, on {machine(first.results.device)}. Figures are strict: "
                "means over seeds, ± their standard deviation. Gains are differences in UF1 on "
                "the same people, their intervals a bootstrap over people. All arms but the first "
                f"see the same number of clips, {1 + PRETRAINING} times those of the first, of "
                f"which pretraining sees {PRETRAINING}; fine-tuning has a tenth of its learning "
                "rates."
            ),
            paragraph(
                f"Strong clips have AU curves of {STRONG} times the strength. The curriculum "
                f"(`pretraining.strength=[{STRONG},1,1]`) goes from them to micro strength in the "
                "first half of pretraining, and stays there; mixed shows both alike throughout. AU "
                "prototypes are those of each class (`generate curves=prototypes`). Beginnings of "
                "macro-expressions are of other people (`curves=early`). Phases apart "
                "(`phases_apart=true`) shows half of the time a clip's way from offset "
                "back to apex, in pretraining and fine-tuning."
            ),
            table(("system", "learns from", "UF1", "UAR", "over as many steps", "95 %",
                   "over micro strength", "95 %", "s"),
                  [row for each in filled for row in rows(each)], words=(0, 1)),
            paragraph(
                "How strong the clips are: the strongest AU of a clip, over its first frame, "
                "median and quartiles."
            ),
            table(("clips", "number", "strongest AU"),
                  [[name, *spread(store)] for name, store in found.items()]),
        ]
    )  # fmt: skip


def main() -> None:
    """Make the stores, run everything, and write table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="CASME II's annotations")
    parser.add_argument("--out", type=Path, help="Markdown file [in the folder --work]")
    parser.add_argument("--work", type=Path, default=Path("build/curriculum"), help="folder")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="repeatable [all]")
    parser.add_argument("--epochs", type=int, help="of real clips [the small form's]")
    parser.add_argument("--arm", action="append", choices=ARMS, help="repeatable [all]")
    add_options(parser, per_class=60, seeds=3)
    options = parser.parse_args()
    if options.arm and not {NONE, STEPS} <= set(options.arm):
        parser.error(f"--arm: {NONE} and {STEPS} are what others are compared with; give both too")
    logs.set_up()
    with errors_shown(parser):
        filled = [fill(system, options) for system in options.system or SYSTEMS]
        out = options.out or options.work / "curriculum.md"
        out.write_text(text(filled, options), encoding="utf-8")
    measured = {
        "mersynth": __version__,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "per_class": options.per_class,
        "overrides": list(options.overrides),
        **figures(filled),
    }
    write_json_atomically(out.with_suffix(".json"), measured)
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
