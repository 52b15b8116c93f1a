"""The scripts that reproduce the papers' tables: what they say, and what they run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mersynth import config
from mersynth.clips import Clip
from mersynth.facs.emotions import classes, native_labels
from mersynth.sources.composite import PARTS
from mersynth.store import ClipStore, StoreError
from mersynth.store_writer import StoreWriter
from recognizers.comparison import Interval
from recognizers.metrics import FULL
from recognizers.predictions import Predictions
from tests.recognizers.tiny_predictions import CLASSES, frame_of
from tests.tiny_store import tiny_clips, write_tiny_store

SCRIPTS = Path(__file__).parents[1] / "scripts"
PAPERS = {
    "dual_branch": "3 4",
    "mmnet": "3 4 5 6 7",
    "nmer": "I",
    "frl_dgt": "1 2 3",
    "au_gacn": "2 3 4 5 6",
}


def script(name: str) -> Any:
    """A module of the folder of scripts, which is on the path of a script that runs."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


def tables() -> Iterator[Any]:
    for paper in PAPERS:
        yield from script(f"reproduce_{paper}").TABLES.values()
    yield from script("frl_dgt_sensitivity").TABLES.values()


EVERY = pytest.mark.parametrize("table", list(tables()), ids=lambda table: table.name)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_table_is_there(paper: str) -> None:
    found = script(f"reproduce_{paper}").TABLES
    assert list(found) == PAPERS[paper].split()
    assert all((table.paper, table.number) == (paper, key) for key, table in found.items())


@EVERY
def test_published_figures_are_figures(table: Any) -> None:
    assert len({row.label for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert len(row.published) == len(table.columns), row.label
        for printed, column in zip(row.published, table.columns, strict=True):
            if printed != "-":
                scale = 100 if column.percent else 1
                assert 0 < float(printed) / scale < 1, (row.label, printed)
                assert not column.percent or float(printed) > 1


@EVERY
def test_data_and_classes_of_columns_exist(table: Any) -> None:
    for row in table.rows:
        for column in table.columns:
            setting = row.setting(column)
            databases = PARTS if setting.database == "composite" else setting.databases
            mixed = [row.mix] if row.mix else []
            for database in (*databases, *mixed):
                assert len(classes(database, setting.classes)) > 1
            if setting.emotions:
                assert set(setting.emotions) <= set(native_labels(setting.database))
            assert column.part == FULL or column.part in databases
            assert (setting.test is not None) == (setting.protocol == "cross")
            assert row.note == "" or row.note[-1] != "."  # its text goes on behind the label


def test_configs_and_overrides_compose() -> None:
    asked = {
        (row.config, row.changes(column.setting.database))
        for table in tables()
        for row in table.rows
        for column in table.columns
        if row.config
    }
    assert len(asked) > 40
    for name, overrides in sorted(asked):
        config.load("evaluate", [f"model={name}", *overrides])


def test_samm_is_amplified_for_the_dual_branch() -> None:
    ours = script("reproduce_dual_branch").TABLES["4"].rows[-1]
    alpha = {
        database: config.load(
            "evaluate", [f"model={ours.config}", *ours.changes(database)]
        ).model.features.on_off.alpha
        for database in ("casme2", "samm")
    }
    assert alpha == {"casme2": 1.0, "samm": 6.0}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_folder_stands_for_one_run(paper: str) -> None:
    """Tables share runs: what lies in one folder must be asked for alike."""
    known: dict[str, Any] = {}
    for table in script(f"reproduce_{paper}").TABLES.values():
        for row in table.rows:
            for column in table.columns if row.config else ():
                setting = row.setting(column)
                kept = [o for o in row.changes(setting.database) if "keep_weights" not in o]
                run = (row.config, setting, row.pretrained, row.mix, kept)
                assert known.setdefault(row.run_name(setting), run) == run


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("frl_dgt_flow", 1), ("nmer_part_emr", 1), ("lbp_top_svm_poly", None)],
)
def test_quick_makes_any_form_of_a_system_tiny(name: str, epochs: int | None) -> None:
    quick = script("reproduction.quick")
    request = script("recognizers.request").Request(
        protocol="loso", model=name, data=[Path("store")]
    )
    made = quick.quick_request(request)
    whole = config.load("evaluate", [f"model={name}"]).model
    tiny = config.load("evaluate", [f"model={name}", *made.overrides]).model
    assert made.groups == 2
    assert tiny.options.image_size < whole.options.image_size
    kind = "displacement" if name == "frl_dgt_flow" else "kernel"
    assert tiny.options.get(kind) == whole.options.get(kind)  # what makes the form
    assert (tiny.training.epochs if "training" in tiny else None) == epochs


def test_missing_stores_are_named_with_the_way_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    paper = script("reproduce_au_gacn")
    with pytest.raises(SystemExit) as stop:
        script("reproduction.command").main(paper.__doc__, paper.TABLES, ["--table", "5"])
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert "--store casme2=stores/casme2: `mersynth prepare --source casme2" in told
    assert "--pretrain samm=stores/samm_synthetic: `mersynth train --source samm" in told


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["elsewhere"], "give NAME=DIR with NAME one of casme2, samm"),
        (["smic=elsewhere"], "give NAME=DIR"),
        (["casme2="], "give NAME=DIR"),
        (["samm={store}", "samm={store}"], "names samm twice"),
        (["samm={store}/none"], "no store at"),
    ],
)
def test_stores_are_read_by_name(given: list[str], message: str, tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store").path
    command = script("reproduction.stores")
    with pytest.raises(Exception, match=message):
        command.read_pairs("--store", [g.format(store=store) for g in given], NAMES, bare=False)


NAMES = ("casme2", "samm")


def test_a_bare_folder_serves_every_database(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store").path
    module = script("reproduction.stores")
    given = module.read_pairs("--pretrain", [str(store), f"samm={store}"], NAMES, bare=True)
    stores = module.Stores({}, {**given, "samm": Path("own")})
    assert (stores.pretraining("casme2"), stores.pretraining("samm")) == (store, Path("own"))


def test_foreign_clips_are_told(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store").path  # of SAMM
    module = script("reproduction.stores")
    assert module.foreign(module.Stores({"samm": store, "composite": store})) == []
    (told,) = module.foreign(module.Stores({"casme2": store}))
    assert "given for casme2, holds clips of samm" in told


def test_clips_that_a_table_does_not_count_are_left_out(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store")
    setting = script("reproduction.tables").Setting(database="samm", emotions=("anger", "surprise"))
    stores = script("reproduction.stores").Stores({"samm": store.path}, derived=tmp_path / "made")
    (path,) = stores.of(setting)
    kept = ClipStore.open(path)
    assert [c.id for c in kept.clips] == [
        c.id for c in store.clips if c.emotion in setting.emotions
    ]
    assert stores.of(setting) == [path]  # there already
    other = write_tiny_store(tmp_path / "other", tiny_clips(subjects=2))
    with pytest.raises(StoreError, match="was made of another store"):
        replace(stores, real={"samm": other.path}).of(setting)


def test_a_part_counts_its_own_clips() -> None:
    true = ["negative", "positive", "surprise", "negative"]
    predicted = ["negative", "negative", "surprise", "negative"]
    frame = frame_of(true, predicted, ["a", "b", "c", "d"], datasets=["smic"] * 2 + ["samm"] * 2)
    runs = script("reproduction.runs")
    predictions = Predictions(frame, CLASSES)
    means = {
        part: runs.value_of(runs.part_of(predictions, part), "accuracy").mean
        for part in (FULL, "smic", "samm")
    }
    assert means == {FULL: 0.75, "smic": 0.5, "samm": 1.0}
    assert runs.part_of(predictions, "casme2") is None
    assert runs.value_of(Predictions(frame[:1], CLASSES), "uf1").interval is None


def filled_table() -> Any:
    found = script("reproduction.tables")
    setting = found.Setting(database="samm")
    table = found.Table(
        paper="paper",
        number="9",
        title="A table",
        columns=(
            found.Column(
                head="SAMM", metric="%", statistic="accuracy", setting=setting, percent=True
            ),
            *found.columns("SAMM", setting, {"F1": "uf1"}),
        ),
        rows=(
            found.row("ours", "81.12 0.7582", "mmnet", note="run as it is"),
            found.row("theirs", "- 0.6"),
        ),
    )
    runs = script("reproduction.runs")
    interval = Interval(0.5, 0.25, 0.75, 0.95, 2000, 3)
    return runs.Filled(
        table,
        values={
            (0, 0): {"strict": runs.Value(0.5, interval), "oracle": runs.Value(0.625, None)},
            (0, 1): {"strict": runs.Value(0.12344, None)},
        },
        runs={0: [Path("runs/mmnet")]},
    )


def test_figures_stand_beside_each_other_in_the_papers_digits(tmp_path: Path) -> None:
    showing = script("reproduction.showing")
    showing.write(filled_table(), False, tmp_path / "out" / "t.md", {"seeds": [0]})
    text = (tmp_path / "out" / "t.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| ours (mmnet) | published | 81.12 | 0.7582 |",
        "|  | strict | 50.00 | 0.1234 |",
        "|  | 95 % | 25.00 to 75.00 |  |",
        "|  | oracle | 62.50 |  |",
        "| theirs | published | - | 0.6 |",
    ]
    assert "QUICK" not in text
    assert "- ours: run as it is" in text
    assert "no such system here: theirs." in text
    read = json.loads((tmp_path / "out" / "t.json").read_text())
    assert read["rows"][0]["ours"][0]["strict"]["interval"]["low"] == 0.25
    assert (read["seeds"], read["rows"][1]["published"]) == ([0], ["-", "0.6"])


def test_quick_tables_say_that_they_mean_nothing() -> None:
    text = script("reproduction.showing").as_markdown(filled_table(), True)
    assert text.splitlines()[2].startswith("QUICK: phantom clips")
    assert "Our figures mean nothing" in text


def test_moved_frames_are_those_beside_the_annotated_ones(tmp_path: Path) -> None:
    reframing = script("reproduction.reframing")
    store = write_tiny_store(tmp_path / "store", tiny_clips(subjects=1, num_frames=21))
    for share, onset, apex in ((0.3, 3, 13), (0.1, 1, 11), (0.0, 0, 10)):
        later = reframing.moved(store, reframing.Move("onset", share))
        for item, moved in zip(store, later, strict=True):  # the apex is frame 10
            assert moved.clip.num_frames == 21 - onset
            np.testing.assert_array_equal(moved.frames, item.frames[onset:])
            np.testing.assert_array_equal(moved.frames[moved.clip.apex_index], item.frames[10])
        after = reframing.moved(store, reframing.Move("apex", share))
        before = reframing.moved(store, reframing.Move("apex", -share))
        assert {item.clip.apex_index for item in after} == {apex}
        assert {item.clip.apex_index for item in before} == {20 - apex}
    beyond = reframing.moved(store, reframing.Move("apex", 2.0))
    assert {clip.apex for clip in beyond.clips} == {store.clips[0].offset}
    with pytest.raises(ValueError, match="towards the apex"):
        reframing.moved(store, reframing.Move("onset", -0.1))


def test_spotted_apexes_take_the_place_of_annotated_ones(tmp_path: Path) -> None:
    """A face brightens up to frame 5 of 9, unevenly, and is annotated elsewhere; one is still."""
    pattern = np.random.default_rng(0).uniform(0, 60, (32, 32, 3))
    height = np.concatenate([np.linspace(0, 1, 6), np.linspace(1, 0, 4)[1:]])
    frames = np.rint(100 + height[:, None, None, None] * pattern).astype(np.uint8)
    clips = [
        Clip(source="samm", subject=s, name="a", onset=1, apex=3, offset=9, emotion="anger")
        for s in ("1", "2")
    ]
    with StoreWriter(tmp_path / "store", clips, 32, {"source": "samm"}) as writer:
        writer.add(frames)
        writer.add(np.repeat(frames[:1], 9, 0))
        store = writer.finish()
    write = script("reproduction.reframing").write_spotted
    made = ClipStore.open(write(store, "difference", tmp_path / "made"))
    assert [clip.apex_index for clip in made.clips] == [5, None]
    assert made.clips[0].apex_method == "difference"
    np.testing.assert_array_equal(made.frames, store.frames)
    other = write_tiny_store(tmp_path / "other")
    with pytest.raises(StoreError, match="made of another store"):
        write(other, "difference", tmp_path / "made")


def test_the_sensitivity_study_shifts_as_the_paper_does() -> None:
    study = script("frl_dgt_sensitivity")
    assert list(study.MOVES) == [row.label for row in study.TABLES["shifts"].rows]
    shares = {label: sorted(m.share for m in moves) for label, moves in study.MOVES.items()}
    assert (shares["onset, 20%"], shares["apex, 30%"]) == ([0.2], [-0.3, 0.3])
    published = script("reproduce_frl_dgt")
    annotated = study.TABLES["shifts"].rows[0].published
    part = [c.part for c in published.TABLES["1"].columns].index(study.PART)
    assert published.OURS.published[part : part + 2] == annotated


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "labels"),
    [
        ("reproduce_mmnet", ["--table", "4"], ["Independent attention", "Continuous attention"]),
        ("frl_dgt_sensitivity", ["--study", "shifts"], ["annotated", "onset, 10%", "apex, 30%"]),
    ],
)
def test_a_quick_table_runs_whole(
    name: str, arguments: list[str], labels: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "table.md"
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments, "--quick", "--out", out]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "Our figures mean nothing" in shown.stdout
    assert all(label in out.read_text() for label in labels)
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    figures = pd.DataFrame([v["strict"] for row in rows for v in row["ours"]])
    assert len(figures) == sum(len(row["published"]) for row in rows)
    assert figures["mean"].between(0, 1).all()
    assert not (tmp_path / "runs").exists()  # a quick run leaves nothing but its table


@pytest.mark.slow
def test_models_look_at_the_shifted_frames(tmp_path: Path) -> None:
    runs, study = script("reproduction.runs"), script("frl_dgt_sensitivity")
    move = script("reproduction.reframing").Move
    stores = script("reproduction.quick").phantom_stores(tmp_path, ["composite"], False)
    plan = runs.Plan(stores=stores, folder=tmp_path / "runs", quick=True)
    opened = study.OpenedRun(runs.perform(study.OURS, study.CDE, plan), device="cpu")
    columns = [f"p_{name}" for name in opened.classes]
    written = opened.run.predictions["strict"].frame.query("dataset == 'casme2'")[columns]
    annotated = study.predict_moved(opened, move("apex", 0.0))[columns]
    np.testing.assert_allclose(annotated, written, atol=1e-4)
    found = [
        study.predict_moved(opened, move(frame, share))[columns].to_numpy()
        for frame, share in (("onset", 0.3), ("apex", 0.3), ("apex", -0.3))
    ]
    for probabilities in found:
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
        assert (np.abs(probabilities - written) > 1e-5).any(axis=1).mean() > 0.5
    assert np.abs(found[1] - found[2]).max() > 1e-5
