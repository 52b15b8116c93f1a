"""The table of what to pretrain on: its clips, and the budget that its arms share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mersynth.clips import Clip
from tests.script_modules import run_script, script
from tests.tiny_store import tiny_clips, write_tiny_store


def clip(frames: int, apex: int | None) -> Clip:
    return Clip(
        source="casme2", subject="sub05", name="a", onset=100, offset=99 + frames,
        apex=None if apex is None else 100 + apex, emotion="surprise", aus="1+2", fps=200,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "apex", "count", "at"),
    [
        (65, 32, 9, 4),
        (65, None, 9, 4),
        (65, 63, 9, 7),
        (65, 1, 9, 1),
        (9, 4, 3, 1),
        (97, 24, 13, 3),
    ],
)
def test_thin_clips_keep_their_length_and_both_phases(
    frames: int, apex: int | None, count: int, at: int
) -> None:
    pairs = script("measuring.flow_pairs")
    layout = SimpleNamespace(has_aus=True, first_subject=200)
    spec = pairs.thinned(clip(frames, apex), layout, 3)
    assert spec.subject == 205
    thin = spec.clip
    assert (thin.num_frames, thin.apex_index) == (count, at)
    assert (count - 1) / thin.fps == pytest.approx((frames - 1) / 200)  # seconds
    assert pairs.thinned(clip(frames, 0), layout, 3) is None


def test_all_arms_but_the_first_see_as_many_clips(tmp_path: Path) -> None:
    measure = script("measure_curriculum")
    clips = tiny_clips(subjects=8)
    real = write_tiny_store(tmp_path / "real", clips).path
    people = tuple(f"samm/{i:03d}" for i in range(8))

    def made(name: str, follow: int | None) -> Path:
        """Clips that follow those of the person ``follow`` further on, or a prototype."""
        own = [
            replace(
                c, name=f"made_{c.name}", generator="sha", unseen=people,
                template=None if follow is None
                else clips[(i + 5 * follow) % len(clips)].id,
            )
            for i, c in enumerate(clips)
        ]  # fmt: skip
        return write_tiny_store(tmp_path / name, own).path

    def epochs(arm: str, *stores: Path) -> Any:
        given = measure.budget(arm, 60, real, {path.name: path for path in stores})
        return dict(each.split("=") for each in given)

    assert epochs("none") == {"model.training.epochs": "60"}
    assert epochs("steps") == {"model.training.epochs": "180"}
    prototypes, micro, strong = made("p", None), made("m", 1), made("s", 1)
    # A group tests 2 of 8 people: a fold learns from 30 of 40 real clips for 60 epochs, and may
    # use 30 clips that follow a prototype, and 20 in which two people are involved.
    assert measure.usable(prototypes, real) == 30
    assert epochs("prototypes", prototypes) == {
        "fine_tuning.lr_factor": "0.1",
        "pretraining.epochs": "120",
        "model.training.epochs": "60",
    }
    assert measure.usable(micro, real) == pytest.approx(20)
    assert epochs("micro", micro)["pretraining.epochs"] == "180"
    assert epochs("mixed", micro, strong)["pretraining.epochs"] == "90"
    assert epochs("curriculum", micro, strong)["pretraining.epochs"] == "180"


def test_arms_are_compared_with_real_clips_alone(tmp_path: Path) -> None:
    refused = run_script("measure_curriculum", "--table", tmp_path / "t.xlsx", "--arm", "micro")
    assert refused.code == 2
    assert "none and steps are what others are compared with; give both too" in refused.stderr
