"""What the scripts of the papers' tables print, and the stores that they derive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.writer import StoreWriter
from recognizers.evaluation.comparison import Interval
from tests.script_modules import SCRIPTS, script
from tests.tiny_store import tiny_clips, write_tiny_store


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
    with pytest.raises(StoreError, match="not made from the store"):
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
