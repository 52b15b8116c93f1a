"""Does pretraining on synthetic clips help? The central claim of paper 004 (Tables 3 to 6).

    python scripts/reproduce_augmentation_gain.py --table casme2=CASME2-coding-20140508.xlsx \
        --table samm=SAMM_Micro_FACS_Codes_v2.xlsx --out docs/augmentation_gain.md
    python scripts/reproduce_augmentation_gain.py --split cross --classes three ...  # Table 4
    python scripts/reproduce_augmentation_gain.py --full --store casme2=stores/casme2  # on a GPU

tests recognizers under the strict protocol: trained on real clips alone, for their own epochs and
for as many steps as all other arms take; pretrained on clips of the AU warp, which needs no
training, on clips of AU-ICGAN, on both, and on AU-ICGAN's from three times the strength downwards.
``--table`` renders a database from its annotations (people, counts, AUs and durations);
``--store`` takes a store that is there. Gains are differences in UF1 to real clips alone for as
many steps, on the same people, with a bootstrap interval over people. What was measured is kept
beside the document (``augmentation_gain.json``) and not measured again, so that ``--system`` adds
to the table; a stopped script continues where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import permutations
from pathlib import Path
from typing import Any

from drawing.gains import draw_gains
from measuring.arms import ARMS, NONE, PRETRAINED, STEPS, Clips, budget
from measuring.documents import command, document, machine, paragraph, table
from measuring.gains import (
    DATABASES,
    HEAD,
    WANTED,
    WORDS,
    Answers,
    Cell,
    figures,
    recorded,
    rows,
    verdict,
    words_of,
)
from measuring.options import add_options
from measuring.pretraining import CLIPS_SEEN
from measuring.small_forms import GROUPS, Form, describe_rates, describe_sizes
from measuring.synthetic import synthetic_store
from omegaconf import OmegaConf
from reproduction.command import errors_shown
from reproduction.tables import Setting

from mersynth import __version__, logs
from mersynth.config import load
from mersynth.disk.files import checksum_of, write_json_atomically
from mersynth.features.kinds import has
from mersynth.gan.checkpoint import SHIPPED, find_groups, load_card
from mersynth.phantom.tree import write_tree
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import ClipStore
from recognizers.data.gather import inputs_kept
from recognizers.experiment.evaluate import evaluate
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.augmentation_gain")

SYSTEMS = (
    "stcnn", "capsulenet", "mer_gcn", "au_gacn", "dual_branch", "mmnet", "nmer", "frl_dgt",
    "ststnet",
)  # fmt: skip
SPLITS = {
    "loso": f"leaving out {GROUPS} groups of people in turn",
    "lovo": "leaving out one clip at a time",
    "cross": "training on one database and testing on the other",
}


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


def settings(names: Sequence[str], options: argparse.Namespace) -> list[Setting]:
    """The databases to test, or for ``cross`` each with each as the tested one."""
    how = {"split": options.split, "classes": options.classes}
    if options.split != "cross":
        return [Setting(database=name, **how) for name in names]
    if len(names) < 2 or options.classes == "five":
        raise argparse.ArgumentTypeError(
            "--split cross needs two databases and classes that they share: --classes three"
        )
    return [Setting(database=a, test=b, **how) for a, b in permutations(names, 2)]


def patches(form: Form, stores: Sequence[Path]) -> list[str]:
    """Overrides that FRL-DGT needs for stores without landmarks: M5 of its Table 2."""
    lacking = [
        store
        for store in (stores if form.system == "frl_dgt" else ())
        if not any(has(item, "landmarks") for item in ClipStore.open(store))
    ]
    return ["model.options.regions=patches"] if lacking else []


def synthetic(
    clips: Clips, setting: Setting, stores: Mapping[str, Path], options: argparse.Namespace
) -> Path:
    """The store of an arm's clips for a setting, made if missing."""
    real = stores[setting.database]
    parts = [setting.name if setting.test else real.name, clips.name, str(options.per_class)]
    if setting.test is None and options.classes != "five":
        parts.append(options.classes)
    return synthetic_store(
        real,
        options.work / "stores" / "_".join(parts),
        options.per_class,
        classes=options.classes,
        tested=[stores[setting.test]] if setting.test else [],
        generator=clips.generator,
        checkpoint=options.checkpoint,
        seed=options.seed,
        overrides=[*clips.overrides, *options.generate],
    )


def fill(
    form: Form, setting: Setting, stores: Mapping[str, Path], options: argparse.Namespace
) -> Cell:
    """Run every arm of a system, or continue the runs."""
    runs = {}
    for name in (NONE, STEPS, *options.arm):
        arm = ARMS[name]
        logger.info("%s on %s: %s", form.system, words_of(setting), arm.words)
        request = form.request(
            stores[setting.database],
            [synthetic(clips, setting, stores, options) for clips in arm.pretrained_on],
            split=setting.split,
            test=[stores[setting.test]] if setting.test else [],
            classes=setting.classes,
            seeds=options.seeds,
            seed=options.seed,
            overrides=[*changes(name, form, setting, stores), *options.overrides],
        )
        runs[name] = Run.open(evaluate(request, run_folder(form, setting, name, options)))
    return Cell.of(form.system, setting, settings_of(form, setting, stores, options), runs)


def run_folder(form: Form, setting: Setting, arm: str, options: argparse.Namespace) -> Path:
    """Of an arm's run."""
    return Path(options.work) / "runs" / f"{setting.name}_{form.config}_{arm}"


def answers_of(cells: Sequence[Cell], options: argparse.Namespace) -> Answers:
    """What systems answered, of the cells whose runs are in the folder ``--work``."""
    known = {}
    for cell in cells:
        form = Form(cell.system, options.full)
        folders = {arm: run_folder(form, cell.setting, arm, options) for arm in cell.outcomes}
        if all((folder / "results.json").exists() for folder in folders.values()):
            runs = {arm: Run.open(folder) for arm, folder in folders.items()}
            known[cell.system, cell.setting] = {
                arm: run.predictions["strict"] for arm, run in runs.items()
            }
    return known


def settings_of(
    form: Form, setting: Setting, stores: Mapping[str, Path], options: argparse.Namespace
) -> str:
    """Checksum of all that decides the outcome of :func:`fill`."""
    arms = {
        name: [asdict(ARMS[name]), changes(name, form, setting, stores)]
        for name in (NONE, STEPS, *options.arm)
    }
    config = load("evaluate", [f"model={form.config}", *form.hurried, *options.overrides])
    return checksum_of(
        [
            arms,
            asdict(setting),
            OmegaConf.to_container(config.model, resolve=True),
            [ClipStore.open(stores[each]).checksum for each in setting.databases],
            [load_card(group).sha256 for group in find_groups(options.checkpoint)],
            [options.seeds, options.seed, options.per_class, options.generate, options.overrides],
        ]
    )


def changes(name: str, form: Form, setting: Setting, stores: Mapping[str, Path]) -> list[str]:
    """Overrides of an arm's runs."""
    own = patches(form, [stores[each] for each in setting.databases])
    return [*own, *budget(name, form), *ARMS[name].overrides]


def introduction(cells: Sequence[Cell], options: argparse.Namespace) -> str:
    """What was run on what."""
    sizes = []
    for name in dict.fromkeys(words_of(cell.setting) for cell in cells):
        same = sorted(
            (cell for cell in cells if words_of(cell.setting) == name), key=lambda cell: cell.clips
        )
        counts = " or ".join(str(count) for count in dict.fromkeys(cell.clips for cell in same))
        sizes.append(f"{name}: {counts} tested clips of {same[-1].people} people")
    origin = "rendered from their annotation tables" if options.table else "of stores"
    forms = list(dict.fromkeys(Form(cell.system, options.full) for cell in cells))
    split = SPLITS[options.split]
    if options.full and options.split == "loso":
        split = "leaving out one person at a time"
    device = cells[0].device
    return (
        f"{'; '.join(sizes)}, {origin}, in {options.classes} classes, {split}; a clip that lacks "
        f"what a system reads is left out. {options.per_class} synthetic clips of each class, none "
        "of which shows a tested person or follows such a person's AU curve. The systems are "
        f"{describe_sizes(forms)}. Pretraining sees {CLIPS_SEEN} clips for each that fine-tuning "
        f"sees, chosen for STSTNet on the phantom's own store. {describe_rates(forms)} All arms "
        "but the first see the same number of clips, in equally many steps; clips "
        "seen: mean over folds and seeds, as recorded. "
        f"{options.seeds} seeds, on {machine(device)}. Figures are strict: means over seeds, ± "
        "their standard deviation. The gain is the difference in UF1 to real clips alone for as "
        "many steps, on the same people, its interval a bootstrap over people; s: seconds of all "
        "folds and pretrainings, which other work on the machine lengthens. Where stores have no "
        "landmarks for its regions, FRL-DGT uses 3 x 3 patches."
        f"{yet_to_come(cells)}"
    )


def yet_to_come(cells: Sequence[Cell]) -> str:
    """A sentence on the pairs of system and database that were not measured, if any."""
    pairs = len({cell.setting for cell in cells}) * len(SYSTEMS)
    left = pairs - len(cells)
    return f" {left} of {pairs} pairs of system and database have yet to be measured." * bool(left)


def title_of(options: argparse.Namespace) -> str:
    """What sets the document apart from that of five classes and groups of people, in words."""
    split = {"loso": "", "lovo": ", clip by clip", "cross": " across databases"}[options.split]
    return split + (", three classes" if options.classes == "three" else "")


def text(cells: Sequence[Cell], answers: Answers, drawing: str, options: argparse.Namespace) -> str:
    """The document."""
    most = {words_of(cell.setting): cell.nothing for cell in cells}
    nothing = "; ".join(f"{name}: {words}" for name, words in most.items())
    return document(
        [
            f"# What pretraining on synthetic clips gives{title_of(options)}",
            "Made by",
            command("--system", "--work"),
            paragraph(introduction(cells, options)),
            f"Paper 004 reports a mean gain of {WANTED:+.3f} in F1 for AU-ICGAN, over four "
            "recognizers and two databases. Here:",
            verdict(cells, answers),
            paragraph(
                "Above chance: the interval of UAR lies above 1 / number of classes, the UAR of "
                "any answer that ignores the clip. A gain to above chance says that synthetic "
                "clips taught what real ones alone did not in these steps; a loss below chance "
                f"says little, since one blind answer replaces another. {nothing}. Seeds are "
                "averaged, not resampled, and of so many intervals one or two exclude zero by "
                "chance."
            ),
            f"![Gains with their intervals]({drawing})",
            table(HEAD, rows(cells), words=WORDS),
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
    parser.add_argument("--split", choices=tuple(SPLITS), default="loso")
    parser.add_argument("--classes", choices=("five", "three"), default="five")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="repeatable [all]")
    parser.add_argument(
        "--arm", action="append", choices=PRETRAINED, help="besides real clips alone [all]"
    )
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED, help="AU-ICGAN's [the shipped]")
    parser.add_argument(
        "--generate", action="append", default=[], metavar="KEY=VALUE", help="of configs/generate"
    )
    parser.add_argument("--full", action="store_true", help="the papers' sizes, for a GPU")
    add_options(parser, per_class=300, seeds=3)
    options = parser.parse_args()
    options.arm = [name for name in PRETRAINED if name in (options.arm or PRETRAINED)]
    if any(each.split("=")[0].endswith("epochs") for each in options.overrides):
        parser.error("the arms set the epochs, so that all see as many clips: leave them out")
    logs.set_up()
    with errors_shown(parser):
        out = options.out or options.work / "augmentation_gain.md"
        out.parent.mkdir(parents=True, exist_ok=True)
        cells = measured(real_stores(options), out.with_suffix(".json"), options)
    image = out.parent / "images" / f"{out.stem}.png"
    draw_gains(cells, options.arm, image)
    answers = answers_of(cells, options)
    write_json_atomically(out.with_suffix(".json"), told(cells, answers, options))
    out.write_text(text(cells, answers, f"images/{image.name}", options), encoding="utf-8")
    logger.info("stored in %s", out)


def measured(stores: Mapping[str, Path], path: Path, options: argparse.Namespace) -> list[Cell]:
    """All cells that are recorded in a file or asked for; the file has each as soon as it is."""
    pairs = {
        (system, setting): settings_of(Form(system, options.full), setting, stores, options)
        for system in SYSTEMS
        for setting in settings(list(stores), options)
    }
    found = {
        (cell.system, cell.setting): cell
        for cell in recorded(path)
        if pairs.get((cell.system, cell.setting)) == cell.settings
    }
    for system, setting in pairs:
        if (system, setting) not in found and system in (options.system or SYSTEMS):
            with inputs_kept():
                form = Form(system, options.full)
                found[system, setting] = fill(form, setting, stores, options)
            so_far = [found[pair] for pair in pairs if pair in found]
            write_json_atomically(path, told(so_far, {}, options))
    return [found[pair] for pair in pairs if pair in found]


def told(cells: Sequence[Cell], answers: Answers, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    return {
        "mersynth": __version__,
        "split": options.split,
        "classes": options.classes,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "overrides": list(options.overrides),
        "generate": list(options.generate),
        "full": options.full,
        "per_class": options.per_class,
        "generator": load_card(options.checkpoint).sha256,
        **figures(cells, answers),
    }


if __name__ == "__main__":
    main()
