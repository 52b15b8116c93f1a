"""Does pretraining on synthetic clips help? The central claim of paper 004 (Tables 5 and 6).

    python scripts/reproduce_augmentation_gain.py --table casme2=CASME2-coding-20140508.xlsx \
        --table samm=SAMM_Micro_FACS_Codes_v2.xlsx --out docs/augmentation_gain.md
    python scripts/reproduce_augmentation_gain.py --full --store casme2=stores/casme2   # on a GPU

tests recognizers under the strict protocol three times: trained on real clips alone, pretrained on
clips of the AU warp, which needs no training, and pretrained on clips of AU-ICGAN. ``--table``
renders a database from its annotation table (its people, counts, AUs and durations); ``--store``
takes a store that is there. The gain is the difference in UF1 to real clips alone on the same
people, with a bootstrap interval over people. A stopped script goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring.documents import command, document, machine, paragraph, table
from measuring.small_forms import Form, describe
from reproduction.command import told

from mersynth import __version__, logs
from mersynth.feature_kinds import has
from mersynth.files import write_json_atomically
from mersynth.gan.checkpoint import SHIPPED, load_card
from mersynth.prepare import prepare
from mersynth.sources.phantom.tree import write_tree
from mersynth.store import ClipStore
from mersynth.synthesis.generate import generate
from recognizers.comparison import Comparison, compare
from recognizers.experiment import evaluate
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.augmentation_gain")

SYSTEMS = (
    "stcnn", "capsulenet", "mer_gcn", "au_gacn", "dual_branch", "mmnet", "nmer", "frl_dgt",
    "ststnet",
)  # fmt: skip
NONE = "none"
HEADS = {"casme2": "CASME II", "samm": "SAMM"}
GENERATORS = {"warp": "AU warp", "icgan": "AU-ICGAN"}
WANTED = 0.086
"""The mean gain in F1 that paper 004 reports over four recognizers and two databases."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A system on a database.

    Attributes:
        system: its name.
        database: name of the store.
        runs: by generator; ``NONE``: real clips alone.
        gains: in UF1, by generator, against real clips alone.
    """

    system: str
    database: str
    runs: Mapping[str, Run]
    gains: Mapping[str, Comparison]


def named(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` of a database's table or store."""
    name, _, path = text.partition("=")
    if name not in HEADS or not path:
        raise argparse.ArgumentTypeError(f"give {' or '.join(HEADS)}=PATH, got {text!r}")
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


def synthetic_store(real: Path, generator: str, options: argparse.Namespace) -> Path:
    """A generator's balanced clips of a store, made unless they are there."""
    out = options.work / "stores" / f"{real.name}_{generator}_{options.per_class}"
    if not out.exists():
        generate(
            store=real,
            per_class=options.per_class,
            generator=generator,
            checkpoint=options.checkpoint if generator == "icgan" else None,
            out=out,
            seed=options.seed,
        )
    return out


def patches(form: Form, real: Path) -> list[str]:
    """What FRL-DGT needs where no landmarks tell its regions: M5 of its Table 2."""
    needed = form.system == "frl_dgt"
    known = not needed or any(has(item, "landmarks") for item in ClipStore.open(real))
    return [] if known else ["model.options.regions=patches"]


def fill(form: Form, name: str, real: Path, options: argparse.Namespace) -> Cell:
    """Run a system on a database with each generator, or go on with it."""
    runs = {}
    overrides = [*patches(form, real), *options.overrides]
    for generator in (NONE, *options.generator):
        logger.info("%s on %s: %s", form.system, name, GENERATORS.get(generator, "real clips"))
        synthetic = None if generator == NONE else synthetic_store(real, generator, options)
        request = form.request(
            real, synthetic, seeds=options.seeds, seed=options.seed, overrides=overrides
        )
        folder = options.work / "runs" / f"{name}_{form.config}_{generator}"
        runs[generator] = Run.open(evaluate(request, folder))
    strict = {generator: run.predictions["strict"] for generator, run in runs.items()}
    gains = {g: compare(strict[g], strict[NONE]) for g in options.generator}
    return Cell(form.system, name, runs, gains)


def lines(cells: Sequence[Cell], generators: Sequence[str]) -> list[list[str]]:
    """The table: a line a cell and generator."""
    rows = []
    for cell in cells:
        for generator in (NONE, *generators):
            first = generator == NONE
            scores = cell.runs[generator].scores["strict"]["Full"]
            figures = [
                f"{scores.mean[key]:.3f}" + (f" ± {scores.sd[key]:.3f}" if scores.sd else "")
                for key in ("uf1", "uar", "accuracy")
            ]
            gain = None if first else cell.gains[generator].difference
            rows.append(
                [
                    f"`{cell.system}`" if first else "",
                    HEADS[cell.database] if first else "",
                    GENERATORS.get(generator, "real clips alone"),
                    *figures,
                    "" if gain is None else f"{gain.estimate:+.3f}",
                    "" if gain is None else f"{gain.low:+.3f} to {gain.high:+.3f}",
                    f"{cell.runs[generator].results['seconds']:.0f}",
                ]
            )
    return rows


def summary(cells: Sequence[Cell], generator: str) -> dict[str, float]:
    """What a generator gave over all cells."""
    gains = [cell.gains[generator].difference for cell in cells]
    return {
        "mean": sum(gain.estimate for gain in gains) / len(gains),
        "cells": len(gains),
        "above": sum(gain.low > 0 for gain in gains),
        "below": sum(gain.high < 0 for gain in gains),
    }


def verdict(cells: Sequence[Cell], generators: Sequence[str]) -> str:
    """The claim, tested, as a list."""
    told = []
    for generator in generators:
        found = summary(cells, generator)
        told.append(
            f"- {GENERATORS[generator]}: mean gain in UF1 {found['mean']:+.3f}; the interval lies "
            f"above zero in {found['above']} and below zero in {found['below']} of "
            f"{found['cells']} pairs of system and database."
        )
    return "\n".join(told)


def text(cells: Sequence[Cell], drawing: str, options: argparse.Namespace) -> str:
    """The document."""
    results = [cell.runs[NONE].results for cell in cells]
    sizes = {
        HEADS[cell.database]: f"{card['clips']} clips of {card['subjects']} people"
        for cell in cells
        for card in cell.runs[NONE].results["data"]
    }
    origin = "rendered from their annotation tables" if options.table else "of stores"
    forms = list(dict.fromkeys(Form(cell.system, options.full) for cell in cells))
    head = ("system", "database", "pretrained on", "UF1", "UAR", "accuracy", "gain", "95 %", "s")
    return document(
        [
            "# What pretraining on synthetic clips gives",
            "Made by",
            command(),
            paragraph(
                f"{'; '.join(f'{name}: {size}' for name, size in sizes.items())}, {origin}, in "
                f"five classes; {options.per_class} synthetic clips of each class, none of which "
                "shows a tested person or follows one's AU curve. The systems are "
                f"{describe(forms)}; {options.seeds} seeds, on {machine(results[0]['device'])}. "
                "Figures are strict: means over seeds, ± their standard deviation. The gain is "
                "the difference in UF1 to real clips alone on the same people, its interval a "
                "bootstrap over people; s: seconds of all folds and pretrainings. Where stores "
                "have no landmarks for its regions, FRL-DGT cuts 3 x 3 patches."
            ),
            f"Paper 004 reports a mean gain of {WANTED:+.3f} for AU-ICGAN. Here:",
            verdict(cells, options.generator),
            f"![Gains with their intervals]({drawing})",
            table(head, lines(cells, options.generator), words=range(3)),
        ]
    )


def draw(cells: Sequence[Cell], generators: Sequence[str], path: Path) -> None:
    """Gains with their intervals, a panel a database."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(cell.database for cell in cells))
    systems = list(dict.fromkeys(cell.system for cell in cells))
    figure, panels = pyplot.subplots(
        1, len(names), figsize=(4 * len(names) + 1, 0.42 * len(systems) + 1.6), sharey=True,
        sharex=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, name in zip(panels[0], names, strict=True):
        for i, generator in enumerate(generators):
            gains = [c.gains[generator].difference for c in cells if c.database == name]
            places = [systems.index(c.system) for c in cells if c.database == name]
            panel.errorbar(
                [gain.estimate for gain in gains],
                [place + 0.22 * (i - (len(generators) - 1) / 2) for place in places],
                xerr=[
                    [gain.estimate - gain.low for gain in gains],
                    [gain.high - gain.estimate for gain in gains],
                ],
                fmt="o",
                markersize=4,
                label=GENERATORS[generator],
            )
        panel.axvline(0, color="0.3", linewidth=1)
        panel.axvline(WANTED, color="0.3", linewidth=1, linestyle=":", label="paper 004, mean")
        panel.set(title=HEADS[name], xlabel="gain in UF1", yticks=range(len(systems)))
        panel.set_yticklabels(systems)
        panel.grid(axis="x", color="0.9")
    panels[0][0].set_ylim(len(systems) - 0.5, -0.5)
    known = panels[0][0].get_legend_handles_labels()
    figure.legend(*known, loc="outside lower center", ncols=3, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def figures(cells: Sequence[Cell], options: argparse.Namespace) -> dict[str, object]:
    """Everything that was measured, for JSON."""
    return {
        "mersynth": __version__,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "overrides": list(options.overrides),
        "full": options.full,
        "per_class": options.per_class,
        "generator": load_card(options.checkpoint).sha256,
        "summary": {g: summary(cells, g) for g in options.generator},
        "cells": [
            {
                "system": cell.system,
                "database": cell.database,
                "scores": {
                    g: {s: scores["Full"].to_dict() for s, scores in run.scores.items()}
                    for g, run in cell.runs.items()
                },
                "gains": {g: asdict(gain) for g, gain in cell.gains.items()},
                "seconds": {g: run.results["seconds"] for g, run in cell.runs.items()},
                "data": cell.runs[NONE].results["data"],
            }
            for cell in cells
        ],
    }


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
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED, help="AU-ICGAN's [the shipped]")
    parser.add_argument("--full", action="store_true", help="the papers' sizes, for a GPU")
    parser.add_argument("--per-class", type=int, default=60, help="synthetic clips of every class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first; also of the stores")
    parser.add_argument("overrides", nargs="*", help="config values to change in every run")
    options = parser.parse_args()
    options.generator = options.generator or sorted(GENERATORS, reverse=True)
    logs.set_up()
    with told(parser):
        stores = real_stores(options)
        cells = [
            fill(Form(system, options.full), name, store, options)
            for system in options.system or SYSTEMS
            for name, store in stores.items()
        ]
    out = options.out or options.work / "augmentation_gain.md"
    image = out.parent / "images" / f"{out.stem}.png"
    draw(cells, options.generator, image)
    out.write_text(text(cells, f"images/{image.name}", options), encoding="utf-8")
    write_json_atomically(out.with_suffix(".json"), figures(cells, options))
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
