"""The scripts that reproduce the papers' tables: their messages, and what they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mersynth import config
from mersynth.facs.emotions import classes, native_labels
from mersynth.sources.composite import PARTS
from mersynth.store.clip_store import ClipStore, StoreError
from recognizers.evaluation.metrics import FULL
from recognizers.evaluation.predictions import Predictions
from recognizers.models import list_models
from tests.recognizers.evaluation.tiny_predictions import CLASSES, frame_of
from tests.recognizers.models.handful import model_configs
from tests.script_modules import script
from tests.tiny_store import tiny_clips, write_tiny_store

PAPERS = {
    "dual_branch": "3 4",
    "mmnet": "3 4 5 6 7",
    "nmer": "I",
    "frl_dgt": "1 2 3",
    "au_gacn": "2 3 4 5 6",
}


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
            assert (setting.test is not None) == (setting.split == "cross")
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
    # tests/recognizers/models/test_configs.py composes and builds each config.
    assert {name for name, _ in asked} <= set(model_configs())
    of_system = {
        (max((s for s in list_models() if name.startswith(s)), key=len), overrides): name
        for name, overrides in asked
    }
    for (_, overrides), name in of_system.items():
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
    """Tables share runs: two requests for one folder must be equal."""
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
    request = script("recognizers.experiment.request").Request(
        split="loso", model=name, data=[Path("store")]
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


def test_foreign_clips_are_reported(tmp_path: Path) -> None:
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
    with pytest.raises(StoreError, match="was not made from the store"):
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
