"""Folds choose whether and how to use the clips to pretrain on, never on those they test."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mersynth.config import ConfigError
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from tests.recognizers.data.tiny_features import GROUPS, features, write
from tests.recognizers.experiment.tiny_experiment import QUICK, request, results

INNER = "fine_tuning.lr_factor=inner"
PRETRAIN = "choice.ways=[{lr_factor: 0.2}]"
MIX = "choice.ways=[{mix: true}]"
MIX_FIRST = "choice.ways=[{mix: true, until: 0.5}]"


@pytest.fixture(name="weak", scope="module")
def _weak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of which two epochs teach little."""
    return write(tmp_path_factory.mktemp("weak") / "samm.npz")


@pytest.fixture(name="strong", scope="module")
def _strong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic clips of all classes that show a lot."""
    return made(tmp_path_factory.mktemp("strong") / "made.npz")


def made(path: Path, **changes: Any) -> Path:
    """Clips of 20 faces, by a generator that never saw any of the people."""
    everybody = ";".join(person for group in GROUPS for person in group)
    count = 60
    return write(path, people=20, each=3, seed=1, strength=3.0, **{
        "dataset": ["made"] * count, "generator": ["sha"] * count, "unseen": [everybody] * count,
        **changes,
    })  # fmt: skip


def run(data: Path, out: Path, *overrides: str, **options: Any) -> Path:
    epochs = "model.training.epochs=2", "pretraining.epochs=20"
    return evaluate(request(data, *epochs, *overrides, groups=3, **options), out)


def predictions(run: Path) -> str:
    return (run / "predictions.csv").read_text()


def test_clips_that_help_are_kept(weak: Path, strong: Path, tmp_path: Path) -> None:
    chosen = run(weak, tmp_path / "a", INNER, PRETRAIN, "keep_weights=true", pretrain=[strong])
    told = results(chosen)
    assert [choice["fold"] for choice in told["choices"]] == ["group_0", "group_1", "group_2"]
    for choice in told["choices"]:
        assert (choice["chosen"], choice["clips"]) == (0, 20)
        assert choice["tried"][0]["uf1"] > choice["alone"] + 0.1
    fixed = run(weak, tmp_path / "b", "fine_tuning.lr_factor=0.2", pretrain=[strong])
    assert predictions(chosen) == predictions(fixed)
    assert results(fixed)["choices"] == []
    assert results(chosen)["clips_seen"] == results(fixed)["clips_seen"] > 0
    card = json.loads((chosen / "folds" / "0_0000" / "recognizer.json").read_text())
    assert card["training"]["optimizer"]["lr"] == pytest.approx(0.2 * 0.01)
    page = (chosen / "report.html").read_text()
    assert "In 0 of 3 folds they did not help there" in page
    assert "pretrained, fine-tuned at 0.2 of the learning rate" in page


def test_clips_that_harm_are_left_out(
    weak: Path, strong: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wrong = made(tmp_path / "wrong.npz", y=(np.load(strong)["y"] + 1) % 3)
    longer = "model.training.epochs=6"
    chosen = run(weak, tmp_path / "a", INNER, PRETRAIN, longer, pretrain=[wrong])
    told = results(chosen)
    for choice in told["choices"]:
        assert choice["chosen"] is None
        assert choice["tried"][0]["uf1"] < choice["alone"] - 0.1
    assert "is left out there" in caplog.text
    assert "In 3 of 3 folds they did not help there" in (chosen / "report.html").read_text()
    alone = run(weak, tmp_path / "b", longer)
    assert predictions(chosen) == predictions(alone)
    assert told["clips_seen"] == results(alone)["clips_seen"] > 0


def test_clips_may_be_mixed_in_instead(weak: Path, strong: Path, tmp_path: Path) -> None:
    chosen = run(weak, tmp_path / "a", INNER, MIX, "keep_weights=true", pretrain=[strong])
    for choice in results(chosen)["choices"]:
        assert choice["chosen"] == 0
    card = json.loads((chosen / "folds" / "0_0000" / "recognizer.json").read_text())
    assert (card["learned"]["clips"], card["learned"]["synthetic"]) == (80, 60)
    whole = predictions(run(weak, tmp_path / "b", "mixed_until=1", mix=[strong]))
    assert predictions(chosen) == whole
    chosen = run(weak, tmp_path / "c", INNER, MIX_FIRST, pretrain=[strong])
    assert "mixed in for 0.5 of the epochs" in (chosen / "report.html").read_text()
    first = predictions(run(weak, tmp_path / "d", mix=[strong]))
    # Of two epochs, clips take part in round(0.5 * 2), and by default in round(0.67 * 2).
    assert predictions(chosen) == first != whole


def test_a_share_of_the_epochs_needs_clips_mixed_in(weak: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mixed_until=0\.5 is for clips mixed in: .*--mix"):
        run(weak, tmp_path / "a", "mixed_until=0.5")


@pytest.mark.slow
def test_lengths_of_pretraining_are_tried(weak: Path, strong: Path, tmp_path: Path) -> None:
    short = "choice.ways=[{lr_factor: 0.2, length: 0.5}]"
    chosen = run(weak, tmp_path / "a", INNER, short, pretrain=[strong])
    assert [choice["chosen"] for choice in results(chosen)["choices"]] == [0, 0, 0]
    records = [json.loads(f.read_text()) for f in sorted((chosen / "pretrained").glob("*.json"))]
    assert [(each["group"], len(each["curve"])) for each in records] == [(1, 10)]
    assert [group["length"] for group in results(chosen)["pretraining"]] == [1.0, 0.5]
    assert "1 (0.5 of the epochs)" in (chosen / "report.html").read_text()
    # Beside others, epochs are still chosen on people of the training part.
    both = run(weak, tmp_path / "b", INNER, short, MIX, "selection=inner",
               pretrain=[strong])  # fmt: skip
    assert [choice["chosen"] for choice in results(both)["choices"]] == [0, 0, 0]


def test_the_tested_people_decide_nothing(weak: Path, strong: Path, tmp_path: Path) -> None:
    before = run(weak, tmp_path / "a", INNER, PRETRAIN, pretrain=[strong])
    told = results(before)
    tested = told["folds"][0]["tested"]
    given = features()
    own = np.isin([f"samm/{subject}" for subject in given["subject"]], tested)
    x = np.where(own[:, None, None, None], -5.0, given["x"]).astype(np.float32)
    other = write(tmp_path / "samm.npz", x=x, y=np.where(own, 2 - given["y"], given["y"]))
    after = results(run(other, tmp_path / "b", INNER, PRETRAIN, pretrain=[strong]))
    assert after["folds"][0]["tested"] == tested
    first, again = (dict(r["choices"][0], seconds=0) for r in (told, after))
    assert first == again
    assert dict(told["choices"][1], seconds=0) != dict(after["choices"][1], seconds=0)


def test_feature_files_choose_unless_told_otherwise(
    weak: Path, strong: Path, tmp_path: Path
) -> None:
    quick = [each for each in QUICK if "lr_factor" not in each]
    ask = Request(split="loso", model="ststnet_tiny", data=[weak], pretrain=[strong], groups=3,
                  overrides=[*quick, PRETRAIN])  # fmt: skip
    stopped = evaluate(ask, tmp_path / "a")
    told = results(stopped)
    assert len(told["choices"]) == 3
    # a run that was stopped goes on from the choices it had made
    (stopped / "results.json").unlink()
    (stopped / "folds" / "0_0001.json").unlink()
    assert results(evaluate(ask, tmp_path / "a"))["choices"] == told["choices"]
    assert results(run(weak, tmp_path / "b", pretrain=[strong]))["choices"] == []


def test_on_feature_files_classes_are_balanced_where_further_clips_are_learned(
    weak: Path, strong: Path, tmp_path: Path
) -> None:
    def samplers(out: Path, *overrides: str, **clips: Any) -> list[str]:
        identity = json.loads((run(weak, out, *overrides, **clips) / "run.json").read_text())
        parts = ("training", "pretraining", "fine_tuning")
        return [identity[part]["sampler"] for part in parts if identity.get(part)]

    assert samplers(tmp_path / "a") == ["shuffle"]
    assert samplers(tmp_path / "b", mix=[strong]) == ["class_balanced"]
    # Folds that leave the clips out train as if there were none.
    chosen = ["shuffle", "class_balanced", "class_balanced"]
    assert samplers(tmp_path / "c", INNER, MIX, pretrain=[strong]) == chosen
    told = "model.training.sampler=shuffle"
    assert samplers(tmp_path / "d", told, INNER, MIX, pretrain=[strong]) == ["shuffle"] * 2


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["choice.ways=[]"], "different ways, one at least"),
        (["choice.ways=[{rate: 1}]"], "ways must be mappings of lr_factor, length, mix"),
        (["choice.ways=[{lr_factor: 0}]"], "lr_factor must be above 0 and at most 1000, got 0"),
        (["choice.ways=[{mix: true, length: 0.5}]"], "has neither lr_factor nor length"),
        (["choice.ways=[{until: 0.5}]"], "until is for a way with mix=true"),
        (["choice.ways=[{mix: true, until: 1.5}]"], "until must be above 0 and at most 1, got 1.5"),
        (["choice.parts=1"], "choice.parts must be in 2..100, got 1"),
        (["choice.margin=2"], "choice.margin must be in 0..1, got 2"),
    ],
)
def test_a_wrong_choice_is_refused(
    weak: Path, strong: Path, tmp_path: Path, overrides: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        run(weak, tmp_path / "a", INNER, *overrides, pretrain=[strong])


def test_nothing_is_chosen_as_published(weak: Path, strong: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="under the strict protocol, not for loso under paper"):
        run(weak, tmp_path / "a", INNER, pretrain=[strong], protocol="paper")
