"""FRL-DGT with inexact onset and apex (Zhai et al., CVPR 2023, section 4.4).

    python scripts/frl_dgt_sensitivity.py --study shifts --store composite=DIR
    python scripts/frl_dgt_sensitivity.py --study apexes --store composite=DIR
    python scripts/frl_dgt_sensitivity.py --study shifts --quick

- shifts: the models of Table 1 (composite database, LOSO) are tested on CASME II with an onset or
  an apex that is moved by 10, 20 or 30 % of the way between the two. Onsets move towards the apex,
  because a store's clips begin at the onset; figures of apexes are means of both directions.
- apexes: all apexes, in training and test, are spotted in the frames instead of annotated. The
  paper spots them like Quang et al. (2019), by differences of pixels: --method difference.

Runs are in runs/reproduce/frl_dgt; that of Table 1 is shared with scripts/reproduce_frl_dgt.py, and
keeps the weights of its folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch
from reproduce_frl_dgt import CDE, OURS
from reproduction.command import add_run_options, errors_shown, give, plan_of, require
from reproduction.reframing import Move, moved, write_spotted
from reproduction.runs import Filled, Plan, perform, remarks, value_of, values_of
from reproduction.stores import Stores
from reproduction.tables import Table, columns, row

from mersynth import logs
from mersynth.motion.apex import APEX_METHODS
from mersynth.sources.composite import COMPOSITE
from mersynth.store.clip_store import ClipStore
from recognizers.data.inputs import ModelData, build_inputs
from recognizers.evaluation.predictions import Predictions
from recognizers.explain import OpenedRun
from recognizers.models import outline
from recognizers.report import Run

PART = "casme2"  # the database that the paper shifts frames of
MOVES: Mapping[str, tuple[Move, ...]] = {
    "annotated": (Move("apex", 0.0),),
    **{f"onset, {share:.0%}": (Move("onset", share),) for share in (0.1, 0.2, 0.3)},
    **{
        f"apex, {share:.0%}": (Move("apex", share), Move("apex", -share))
        for share in (0.1, 0.2, 0.3)
    },
}
"""Where frames are taken, by the row's label; of several moves the mean is used."""

TABLES = {
    "shifts": Table(
        paper="frl_dgt",
        number="shifts",
        title="FRL-DGT, section 4.4: shifted onsets and apexes, CASME II part of the composite",
        columns=columns("CASME II Part", CDE, {"UF1": "uf1", "UAR": "uar"}, PART),
        rows=(
            row("annotated", "0.919 0.903", OURS.config),
            row("onset, 10%", "0.848 0.838", OURS.config),
            row("onset, 20%", "0.817 0.808", OURS.config),
            row("onset, 30%", "0.786 0.769", OURS.config),
            row("apex, 10%", "0.866 0.858", OURS.config),
            row("apex, 20%", "0.830 0.834", OURS.config),
            row("apex, 30%", "0.814 0.795", OURS.config),
        ),
        notes=(
            "The paper says neither what its figures are averaged over nor whether it trains on "
            "shifted frames. Here models of annotated frames, at their strict epoch, test shifted "
            "ones; for apexes the mean of later and earlier ones is given.",
        ),
    ),
    "apexes": Table(
        paper="frl_dgt",
        number="apexes",
        title="FRL-DGT, section 4.4: annotated and spotted apexes, composite database, LOSO",
        columns=columns("Full", CDE, {"UF1": "uf1", "UAR": "uar"}),
        rows=(
            row("annotated", "0.812 0.811", OURS.config),
            row("spotted", "0.658 0.648", OURS.config),
        ),
        notes=("SMIC's apexes are not annotated; those of its store were spotted, too.",),
    ),
}
"""By study."""

_READ = ("onset", "apex", "regions")  # FRL-DGT's inputs in evaluation
_AT_ONCE = 32


def shifts(plan: Plan) -> Filled:
    """Test the models of Table 1 on shifted frames.

    Each pair of seed and move counts as a seed, so that figures and intervals are of their means.
    """
    table = TABLES["shifts"]
    folder = perform(OURS, CDE, plan)
    found: dict[str, list[pd.DataFrame]] = {label: [] for label in MOVES}
    for seed in range(plan.seed, plan.seed + plan.seeds):
        opened = OpenedRun(folder, seed, "cpu" if plan.quick else "auto")
        for label, moves in MOVES.items():
            found[label] += [predict_moved(opened, move) for move in moves]
    filled = Filled(table)
    for number, line in enumerate(table.rows):
        several = [frame.assign(seed=i) for i, frame in enumerate(found[line.label])]
        predictions = Predictions(pd.concat(several), opened.classes)
        for place, column in enumerate(table.columns):
            filled.values[number, place] = {"strict": value_of(predictions, column.statistic)}
        filled.runs[number] = [folder]
    return filled


def apexes(plan: Plan, method: str) -> Filled:
    """Train and test on annotated and on spotted apexes."""
    table = TABLES["apexes"]
    filled = Filled(table)
    store = ClipStore.open(plan.stores.real[COMPOSITE])
    spotted = write_spotted(store, method, plan.stores.derived / f"{COMPOSITE}_{method}")
    stores = Stores({COMPOSITE: spotted}, derived=plan.stores.derived)
    plans = (plan, replace(plan, stores=stores, folder=plan.folder / f"apexes_{method}"))
    for number, chosen in enumerate(plans):
        run = Run.open(perform(OURS, CDE, chosen))
        for place, column in enumerate(table.columns):
            filled.values[number, place] = values_of(run, column)
        filled.runs[number] = [run.path]
    return filled


def predict_moved(opened: OpenedRun, move: Move) -> pd.DataFrame:
    """A run's table of predictions for the clips of :data:`PART`, with a frame moved.

    Raises:
        RunError: if a model's predictions for annotated frames differ from the run's.
    """
    table = opened.run.predictions["strict"].frame
    table = table[(table["seed"] == opened.seed) & (table["dataset"] == PART)]
    found = _probabilities(opened, move)
    keys = table["dataset"] + "/" + table["subject"] + "/" + table["clip"]
    values = pd.DataFrame([found[key] for key in keys], list(table.index), opened.classes)
    shown = values.add_prefix("p_").to_dict("series")
    return table.assign(predicted=values.idxmax(axis=1), **shown)


def _probabilities(opened: OpenedRun, move: Move) -> dict[str, list[float]]:
    """Probability of each class, by the clip's id."""
    data = _inputs(opened, move)
    place = {clip.id: i for i, clip in enumerate(data.clips)}
    found: dict[str, list[float]] = {}
    wanted = [i for i, fold in enumerate(opened.records) if place.keys() & set(fold.clips)]
    for fold in opened.folds(wanted):
        ids = [opened.clips.clips[r].id for r in fold.rows]
        chosen = [i for i, clip in enumerate(ids) if clip in place]
        for first in range(0, len(chosen), _AT_ONCE):
            batch = chosen[first : first + _AT_ONCE]
            inputs = fold.read([fold.rows[i] for i in batch])
            at = [place[ids[i]] for i in batch]
            inputs |= {name: values[at].to(opened.device) for name, values in data.inputs.items()}
            with torch.inference_mode():
                logits = fold.model(**inputs).logits
            if not move.share:
                fold.check(logits, batch, opened.path)
            rows = logits.double().softmax(1).tolist()
            found |= {ids[i]: values for i, values in zip(batch, rows, strict=True)}
    return found


def _inputs(opened: OpenedRun, move: Move) -> ModelData:
    """A model's inputs for the clips of :data:`PART`, with a frame moved."""
    (part,) = (part for part in opened.parts if part.role == "real")
    store = ClipStore.open(part.path).filter(lambda clip: clip.source == PART)
    options = opened.options["model"]["options"]
    specs = outline(opened.model_name, len(opened.classes), **options).inputs
    looked_at = {name: spec for name, spec in specs.items() if name in _READ}
    return build_inputs(moved(store, move), looked_at, opened.scheme, opened.device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a study, print its table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--study", choices=tuple(TABLES), required=True)
    parser.add_argument("--method", choices=APEX_METHODS, default="difference", help="of apexes")
    add_run_options(parser, (COMPOSITE,), pretrained=False)
    options = parser.parse_args(arguments)
    logs.set_up()
    with errors_shown(parser), plan_of(options, "frl_dgt", (COMPOSITE,), pretrained=False) as plan:
        require(plan.stores.missing(OURS, CDE), options.study)
        filled = shifts(plan) if options.study == "shifts" else apexes(plan, options.method)
        filled.warnings.extend(remarks(plan))
        give(filled, plan, options)


if __name__ == "__main__":
    main()
