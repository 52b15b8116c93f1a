"""Does pretraining on synthetic clips help? The central claim of paper 004 (Tables 5 and 6).

    python scripts/reproduce_augmentation_gain.py --table casme2=CASME2-coding-20140508.xlsx \
        --table samm=SAMM_Micro_FACS_Codes_v2.xlsx --out docs/augmentation_gain.md
    python scripts/reproduce_augmentation_gain.py --full --store casme2=stores/casme2   # on a GPU

tests recognizers under the strict protocol three times: trained on real clips alone, pretrained on
clips of the AU warp, which needs no training, and pretrained on clips of AU-ICGAN. ``--table``
renders a database from its annotation table (its people, counts, AUs and durations); ``--store``
takes a store that is there. The gain is the difference in UF1 to real clips alone on the same
people, with a bootstrap interval over people. A stopped script continues where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from drawing.gains import draw_gains
from measuring.baseline import most_frequent
from measuring.documents import command, document, machine, paragraph, table
from measuring.gains import (
    ARMS,
    DATABASES,
    GENERATORS,
    HEAD,
    LONGER,
    NONE,
    WANTED,
    WORDS,
    Cell,
    figures,
    rows,
    verdict,
)
from measuring.options import add_options
from measuring.pretraining import CLIPS_SEEN, LR_FACTOR, pretraining
from measuring.small_forms import Form, describe
from measuring.synthetic import synthetic_store
from reproduction.command import errors_shown

from mersynth import __version__, logs
from mersynth.features.kinds import has
from mersynth.files import write_json_atomically
from mersynth.gan.checkpoint import SHIPPED, load_card
from mersynth.phantom.tree import write_tree
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import ClipStore
from recognizers.evaluation.comparison import compare
from recognizers.experiment.evaluate import evaluate
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.augmentation_gain")

SYSTEMS = (
    "stcnn", "capsulenet", "mer_gcn", "au_gacn", "dual_branch", "mmnet", "nmer", "frl_dgt",
    "ststnet",
)  # fmt: skip


def named(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` of a database's table or store."""
    name, _, path = text.partition("=")
    if name not in DATABASES or not path:
        raise argparse.ArgumentTypeError(f"give {' or '.join(DATABASES)}=PATH, got {text!r}")
    if not Path(path).exists():
        raise argparse.ArgumentTypeError(f"{text}: there is no {path}")
    return name, Path(path)


def real_stores(options: argparse.Namespace) -> dict[str, Path]:
    """Stores by the database's name; those of tables are rendered unless they are there."""
    stores = dict(named(text) for text in options.store)
    size = load_card(options.checkpoint).image_size
    for name, file in (named(text) for text in options.table):
        stores[name] = options.work / "stores" / name
        tree = options.work / "trees" / name
        if not tree.exists():
            write_tree(file, name, tree, image_size=size, seed=options.seed)  # type: ignore[arg-type]
        if not stores[name].exists():
            prepare(name, tree, stores[name], image_size=size, seed=options.seed)
    if not stores:
        raise argparse.ArgumentTypeError("give an annotation table (--table) or a store (--store)")
    return stores


def patches(form: Form, real: Path) -> list[str]:
    """Overrides that FRL-DGT needs for stores without landmarks: M5 of its Table 2."""
    needed = form.system == "frl_dgt"
    known = not needed or any(has(item, "landmarks") for item in ClipStore.open(real))
    return [] if known else ["model.options.regions=patches"]


def fill(form: Form, name: str, real: Path, options: argparse.Namespace) -> Cell:
    """Run a system on a database with each generator, or continue the runs."""
    runs = {}
    longer = [LONGER] if form.system in options.longer else []
    for generator in (NONE, *longer, *options.generator):
        logger.info("%s on %s: %s", form.system, name, ARMS[generator])
        overrides = patches(form, real)
        synthetic = None
        if generator == LONGER:
            assert form.epochs is not None  # main() has checked it
            overrides.append(f"model.training.epochs={(1 + CLIPS_SEEN) * form.epochs}")
        elif generator != NONE:
            name_of_store = f"{real.name}_{generator}_{options.per_class}"
            synthetic = synthetic_store(
                real,
                options.work / "stores" / name_of_store,
                options.per_class,
                generator=generator,
                checkpoint=options.checkpoint,
                seed=options.seed,
                overrides=options.generate,
            )
            overrides += pretraining(form, real, synthetic)
        request = form.request(
            real,
            synthetic,
            seeds=options.seeds,
            seed=options.seed,
            overrides=[*overrides, *options.overrides],
        )
        folder = options.work / "runs" / f"{name}_{form.config}_{generator}"
        runs[generator] = Run.open(evaluate(request, folder))
    strict = {generator: run.predictions["strict"] for generator, run in runs.items()}
    gains = {arm: compare(strict[arm], strict[NONE]) for arm in runs if arm != NONE}
    over = {g: compare(strict[g], strict[LONGER]) for g in options.generator if longer}
    return Cell(form.system, name, runs, gains, over)


def number_of_clips(run: Run) -> int:
    """Number of tested clips."""
    return len(run.predictions["strict"].true_labels())


def text(cells: Sequence[Cell], drawing: str, options: argparse.Namespace) -> str:
    """The document."""
    results = [cell.runs[NONE].results for cell in cells]
    sizes, nothing = [], []
    for name in dict.fromkeys(cell.database for cell in cells):
        runs = [cell.runs[NONE] for cell in cells if cell.database == name]
        runs.sort(key=number_of_clips)
        counts = " or ".join(str(count) for count in dict.fromkeys(map(number_of_clips, runs)))
        most = runs[-1].predictions["strict"]
        sizes.append(f"{DATABASES[name]}: {counts} clips of {most.num_subjects} people")
        nothing.append(f"{DATABASES[name]}: {most_frequent(most)}")
    origin = "rendered from their annotation tables" if options.table else "of stores"
    forms = list(dict.fromkeys(Form(cell.system, options.full) for cell in cells))
    steps = "" if options.full else f", which sees roughly {CLIPS_SEEN} times as many clips"
    longer = (
        f" {ARMS[LONGER].capitalize()}: real clips alone for {1 + CLIPS_SEEN} times as many "
        "epochs, about the steps of pretraining and fine-tuning together."
    )
    return document(
        [
            "# What pretraining on synthetic clips gives",
            "Made by",
            command(),
            paragraph(
                f"{'; '.join(sizes)}, {origin}, in five classes; a clip that lacks what a system "
                f"reads is left out. {options.per_class} synthetic clips of each class, none of "
                "which shows a tested person or follows such a person's AU curve. The systems are "
                f"{describe(forms)}. Fine-tuning has {LR_FACTOR:g} of the learning rates of "
                f"pretraining{steps}; both were chosen for STSTNet on the phantom's own store. "
                f"{options.seeds} seeds, on {machine(results[0].device)}. "
                "Figures are strict: means over seeds, ± their standard deviation. The gain is "
                "the difference in UF1 to real clips alone on the same people, its interval a "
                "bootstrap over people; s: seconds of all folds and pretrainings, which other work "
                "on the machine lengthens. Where stores have no landmarks for its regions, FRL-DGT "
                f"uses 3 x 3 patches.{longer if options.longer else ''}"
            ),
            f"Paper 004 reports a mean gain of {WANTED:+.3f} in F1 for AU-ICGAN, over four "
            "recognizers and two databases. Here:",
            verdict(cells, options.generator),
            paragraph(
                "Above chance: the interval of UAR lies above 1 / number of classes, the UAR of "
                "any answer that ignores the clip. A gain to above chance says that synthetic "
                "clips taught what real ones alone did not in these epochs; a loss below chance "
                "says little, since one blind answer replaces another. "
                f"{'; '.join(nothing)}. Seeds are averaged, not resampled, and of so many "
                "intervals one or two exclude zero by chance."
            ),
            f"![Gains with their intervals]({drawing})",
            table(HEAD, rows(cells, options.generator), words=WORDS),
        ]
    )


def main() -> None:
    """Make the stores, run everything, and write table, plot and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--table", action="append", default=[], metavar="NAME=FILE", help="annotations to render"
    )
    parser.add_argument(
        "--store", action="append", default=[], metavar="NAME=DIR", help="a store instead"
    )
    parser.add_argument("--out", type=Path, help="Markdown file [in the folder --work]")
    parser.add_argument("--work", type=Path, default=Path("build/augmentation_gain"), help="folder")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="repeatable [all]")
    parser.add_argument("--generator", action="append", choices=sorted(GENERATORS), help="[both]")
    parser.add_argument(
        "--longer", action="append", default=[], choices=SYSTEMS,
        help="train this system also on real clips alone for about as many steps; repeatable",
    )  # fmt: skip
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED, help="AU-ICGAN's [the shipped]")
    parser.add_argument(
        "--generate", action="append", default=[], metavar="KEY=VALUE", help="of configs/generate"
    )
    parser.add_argument("--full", action="store_true", help="the papers' sizes, for a GPU")
    add_options(parser, per_class=300, seeds=3)
    options = parser.parse_args()
    options.generator = options.generator or sorted(GENERATORS, reverse=True)
    if absent := set(options.longer) - set(options.system or SYSTEMS):
        parser.error(f"--longer {', '.join(sorted(absent))}: not among the systems asked for")
    if options.longer and any(o.startswith("model.training.epochs=") for o in options.overrides):
        parser.error("--longer sets model.training.epochs itself: leave one of them out")
    if untimed := [s for s in options.longer if Form(s, options.full).epochs is None]:
        parser.error(f"--longer needs the epochs of a small form, which {untimed[0]} has not here")
    logs.set_up()
    with errors_shown(parser):
        stores = real_stores(options)
        cells = [
            fill(Form(system, options.full), name, store, options)
            for system in options.system or SYSTEMS
            for name, store in stores.items()
        ]
    out = options.out or options.work / "augmentation_gain.md"
    image = out.parent / "images" / f"{out.stem}.png"
    draw_gains(cells, options.generator, image)
    out.write_text(text(cells, f"images/{image.name}", options), encoding="utf-8")
    measured = {
        "mersynth": __version__,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "overrides": list(options.overrides),
        "generate": list(options.generate),
        "full": options.full,
        "per_class": options.per_class,
        "generator": load_card(options.checkpoint).sha256,
        **figures(cells, options.generator),
    }
    write_json_atomically(out.with_suffix(".json"), measured)
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
