"""Measure how similar rendered clips' flow is to real flow, and whether it helps a recognizer.

    python scripts/measure_real_flow.py --real REAL.npz --table casme2=CASME2-coding-20140508.xlsx \
        --table samm=SAMM_Micro_FACS_Codes_v2.xlsx --out docs/real_flow.md

``REAL.npz`` is a file of real flow images (u, v, strain of 28 x 28, as ``recognizers loso --data``
reads it). The set ``now`` is what this version renders: onset and apex of the tables' clips, as
``mersynth phantom --like`` shows them, once for each of ``--renderings``. ``--rendered NAME STORE
...`` are further sets: stores that this script left in its folder, prepared stores of ``mersynth
phantom --like``, stores generated from these, or feature files.

Each set is compared with each real database: how long flow is in the parts of the face, where
strain lies, first components, and what distinguishes a class. Then systems are tested on each
database by itself, under the strict protocol: trained on real clips alone, alone for as many steps,
pretrained on a set, and with it mixed in, to the end or for the first epochs; without clips that
follow a tested person's. The first system tries all sets, and its folds also choose how to use
those that ``--choosing`` names; the others, which take longer, try those that ``--shared`` names. A
stopped script continues where it was. ``--seeds 0`` compares only.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drawing.flow_maps import draw_flow_maps
from measuring.documents import command, document, machine, paragraph, table
from measuring.flow_arms import (
    BATCH,
    GROUPS,
    SAMPLERS,
    SYSTEMS,
    WAYS,
    Arm,
    arm_rows,
    crossed_rows,
    mean_rows,
    run_arms,
)
from measuring.flow_comparison import compared, statistic_tables
from measuring.flow_pairs import write_pairs
from measuring.flow_sets import FLOW, FlowSet, by_database, rendered_file
from measuring.pretraining import CLIPS_SEEN
from omegaconf import OmegaConf
from reproduction.command import errors_shown

from mersynth import __version__, config, logs
from mersynth.checks import check_choice, listed
from mersynth.disk.files import checksum_of, write_json_atomically
from mersynth.phantom.capture import Capture
from mersynth.phantom.layouts import LAYOUTS
from mersynth.phantom.variety import Population
from mersynth.store.clip_store import ClipStore
from recognizers.evaluation.metrics import FULL

logger = logging.getLogger("recognizers.scripts.real_flow")

NOW = "now"


def stores_of(options: argparse.Namespace) -> dict[str, list[Path]]:
    """The stores and files of every set, by its name; those of tables are rendered."""
    sets = {name: [Path(path) for path in paths] for name, *paths in options.rendered}
    for name, paths in sets.items():
        if not paths or not name.isidentifier() or name == NOW:
            raise argparse.ArgumentTypeError(
                f"--rendered needs a name, a word other than {NOW}, and its stores; got {name} "
                f"{' '.join(map(str, paths))}"
            )
        if missing := [path for path in paths if not path.exists()]:
            raise argparse.ArgumentTypeError(f"--rendered {name}: there is no {missing[0]}")
    chosen: Any = OmegaConf.to_container(config.load("phantom", options.phantom), resolve=True)
    settings = Population.of(chosen["population"]), Capture.of(chosen["capture"])
    made_by = checksum_of([*(each.as_dict() for each in settings), options.image_size])[:8]
    for given in options.table:
        database, _, table = given.partition("=")
        if database not in LAYOUTS or not Path(table).is_file():
            raise argparse.ArgumentTypeError(
                f"--table needs {' or '.join(LAYOUTS)}=FILE, an existing annotation table; "
                f"got {given!r}"
            )
        for seed in range(options.renderings):
            out = options.work / "stores" / made_by / f"{database}_{seed}"
            store = write_pairs(Path(table), database, out, seed, options.image_size, *settings)
            sets.setdefault(NOW, []).append(store)
    if not sets:
        raise argparse.ArgumentTypeError("give annotation tables (--table) or stores (--rendered)")
    return sets


def origin(name: str, paths: Sequence[Path]) -> str:
    """How a set was made, in words."""
    if name == NOW:
        return f"{name}: onset and apex of the tables' clips, rendered"
    headers = [ClipStore.open(path).meta["header"] for path in paths if path.suffix != ".npz"]
    ways = {
        f"`mersynth generate --generator {header['generator']} --per-class {header['per_class']} "
        f"--classes {header['scheme']}`"
        for header in headers
        if "generator" in header
    }
    if len(ways) != 1 or len(headers) < len(paths):
        return f"{name}: {listed([path.name for path in paths])}"
    return f"{name}: {ways.pop()} on stores of {listed([header['source'] for header in headers])}"


def text(
    real: Sequence[FlowSet],
    rendered: Sequence[FlowSet],
    found: Mapping[str, Any],
    arms: Sequence[Arm],
    drawing: str,
    sets: Mapping[str, Sequence[Path]],
    options: argparse.Namespace,
) -> str:
    """The document."""
    made = "; ".join(origin(name, paths) for name, paths in sets.items())
    sizes = "; ".join(
        f"{name}: {own['clips']} clips of {own['people']} people"
        for name, own in found["sets"].items()
    )
    parts = [
        f"# Synthetic flow beside real flow{', each clip once' * (options.sampler == 'shuffle')}",
        "Made by",
        command(),
        paragraph(
            f"{sizes}. {made}. Flow images of 28 x 28, each channel of each clip stretched to its "
            "own range; rendered flow is by TV-L1 with an attachment of "
            f"{FLOW['attachment']:g}. Rows of the picture: each set; columns: a class's mean map "
            "minus the mean of all, then the first components of u and v."
        ),
        f"![Mean maps of classes and first components]({drawing})",
        *statistic_tables(found, real[0].classes),
    ]
    if not arms:
        return document(parts)
    choosing = (
        f" Where folds of {options.system[0]} choose, they do so on people of their training parts "
        "among the ways of `choice.ways`, and see as many clips as that takes."
    ) * bool(options.choosing)
    epochs = ", ".join(f"{SYSTEMS[name].epochs} ({name})" for name in options.system)
    return document(
        [
            *parts,
            "## What synthetic clips teach",
            paragraph(
                f"Epochs on real clips alone: {epochs}; batches of {BATCH}, {GROUPS} groups of "
                f"people, strict, {options.seeds} seeds, each database by itself, on "
                f"{machine(arms[0].run.results.device)}. All other arms see {1 + CLIPS_SEEN} times "
                f"as many clips, in as many steps. {SAMPLERS[options.sampler]}, in all arms. No "
                f"synthetic clip follows a clip of a tested person.{choosing} Means over seeds, ± "
                "their standard deviation; gains in UF1 with paired bootstrap intervals of 95 % "
                "over people."
            ),
            *(
                (
                    "### Means over systems",
                    paragraph(
                        "Gains in UF1 of the systems that tried a set, their mean with an interval "
                        "over people, whom all systems share."
                    ),
                    table(
                        ("trained on", "systems", "database", "gain over alone",
                         "over as many steps"),
                        means,
                        (0, 2),
                    ),
                )
                if (means := mean_rows(arms))
                else ()
            ),
            "### Each system",
            table(
                (
                    "system", "database", "trained on", "UF1", "UAR",
                    f"recall: {', '.join(real[0].classes)}", "gain over alone",
                    "over as many steps", "left out",
                ),
                arm_rows(arms),
                (0, 1, 2),
            ),
            "## Chosen on one database, tested on another",
            paragraph(
                "The arm with synthetic clips that gains most on the first database, and what the "
                "same arm gains on the second, whose people had no part in the choice."
            ),
            table(
                ("system", "chosen on", "arm", "tested on", "gain over alone",
                 "over as many steps"),
                crossed_rows(arms),
                (0, 1, 2, 3),
            ),
        ]
    )  # fmt: skip


def main() -> None:
    """Compare, run, and write document, picture and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True, help="FILE.npz of real flow images")
    parser.add_argument(
        "--table", action="append", default=[], metavar="NAME=FILE", help="annotations to render"
    )
    parser.add_argument("--renderings", type=int, default=1, help="of each table, by other seeds")
    parser.add_argument("--image-size", type=int, default=128, help="of the frames, in pixels")
    parser.add_argument(
        "--phantom", action="append", default=[], metavar="KEY=VALUE",
        help="of population and capture in configs/phantom.yaml; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--rendered", nargs="+", action="append", default=[], metavar=("NAME", "STORE"),
        help="a further set's name and its stores or feature files; repeatable",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="Markdown file [in the folder --work]")
    parser.add_argument("--work", type=Path, default=Path("build/real_flow"), help="folder")
    parser.add_argument("--seeds", type=int, default=5, help="0: compare, train nothing")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument(
        "--system", action="append", choices=list(SYSTEMS), help="repeatable [all of them]"
    )
    parser.add_argument(
        "--shared", action="append", metavar="NAME",
        help="a set that systems after the first try too; repeatable [now]",
    )  # fmt: skip
    parser.add_argument(
        "--choosing", action="append", metavar="NAME",
        help="a set that folds of the first system also choose how to use; repeatable [none]",
    )  # fmt: skip
    parser.add_argument(
        "--way", action="append", choices=list(WAYS),
        help="how systems use a set; repeatable [all of them]",
    )  # fmt: skip
    parser.add_argument(
        "--sampler", choices=list(SAMPLERS), default="class_balanced",
        help="how an epoch's clips are drawn, in all arms [class_balanced]",
    )  # fmt: skip
    parser.add_argument("overrides", nargs="*", help="config values to change in every run")
    options = parser.parse_args()
    options.system = options.system or list(SYSTEMS)
    overrides = [*options.overrides, f"model.training.sampler={options.sampler}"]
    logs.set_up()
    with errors_shown(parser):
        folder = options.work / "features"
        real = by_database(options.real, folder)
        sets = stores_of(options)
        people = sorted({person for each in real for person in each.people})
        rendered = [
            FlowSet.read(name, [rendered_file(path, people, folder) for path in paths])
            for name, paths in sets.items()
        ]
        for option, given in (("--shared", options.shared), ("--choosing", options.choosing)):
            for name in given or ():
                check_choice(option, name, list(sets))
        shared, choosing = options.shared or [NOW], options.choosing or []
        ways = options.way or list(WAYS)
        found = compared(real, rendered)
        seeds = range(options.seed, options.seed + options.seeds)
        runs = options.work / "runs"
        systems = [SYSTEMS[name] for name in options.system]
        arms = []
        if seeds:
            arms = run_arms(systems, real, rendered, runs, seeds, ways, shared, choosing, overrides)
    out = options.out or options.work / "real_flow.md"
    picture = out.parent / "images" / f"{out.stem}.png"
    draw_flow_maps([*real, *rendered], picture)
    page = text(real, rendered, found, arms, f"images/{picture.name}", sets, options)
    out.write_text(page, encoding="utf-8")
    measured = {
        "mersynth": __version__,
        "seeds": list(seeds),
        "overrides": overrides,
        "statistics": found,
        "arms": [
            {
                "system": arm.system,
                "database": arm.database,
                "name": arm.name,
                "left_out": arm.left_out,
                "scores": arm.run.scores["strict"][FULL].to_dict(),
                "gain": arm.gain and asdict(arm.gain),
                "over_longer": arm.over_longer and asdict(arm.over_longer),
                "seconds": arm.run.results.seconds,
            }
            for arm in arms
        ],
    }
    write_json_atomically(out.with_suffix(".json"), measured)
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
