"""Estimates: what they multiply, how they are shown, and that they write nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.estimate import Estimate, PeakMemory, Spent, duration, now, size
from mersynth.gan.train import train
from mersynth.shards import Shard
from mersynth.synthesis import generators
from mersynth.synthesis.generate import generate
from recognizers.experiment.evaluate import evaluate
from tests.recognizers.data.tiny_features import GROUPS, synthetic, write
from tests.recognizers.experiment.tiny_experiment import request
from tests.tiny_store import tiny_clips, write_tiny_store

TRAIN = ["gan=tiny_motion", "batch_size=4", "critic_steps=1", "device=cpu", "gain_pairs=800"]
STEPS = ["steps=5000", "true_frame_steps=2000", "au_reading_steps=1000", "video_every=4"]
QUICK = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=0", "steps=1"]


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment."""
    for module in ("gan.estimate", "synthesis.estimate"):
        monkeypatch.setattr(f"mersynth.{module}._SECONDS", 0.1)
    monkeypatch.setattr("recognizers.experiment.estimate._SECONDS", 0.1)


@pytest.fixture(name="shown")
def _shown(monkeypatch: pytest.MonkeyPatch) -> list[Estimate]:
    """The estimates that commands show."""
    found: list[Estimate] = []
    monkeypatch.setattr(Estimate, "show", lambda self: found.append(self))
    return found


def test_times_and_sizes_are_shown_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert [duration(s) for s in (4.21, 59.7, 3599.4, 7500)] == [
        "4.2 s",
        "1 min 00 s",
        "59 min 59 s",
        "2 h 05 min",
    ]
    assert [size(n) for n in (0, 999, 1.2e3, 34.5e6, 1e9, 7e15)] == [
        "0 B",
        "999 B",
        "1.2 kB",
        "34.5 MB",
        "1 GB",
        "7e+03 TB",
    ]
    Estimate(Spent(90, 61), 2_000_000, 0, 3_000, ("5 things at 18 s",)).show()
    told = capsys.readouterr().err
    assert "GPU" not in told
    for text in ("1 min 30 s", "1 min 01 s", "2 MB", "3 kB", "5 things at 18 s"):
        assert text in told


def test_memory_is_what_the_process_held_meanwhile() -> None:
    with PeakMemory() as idle:
        pass
    with PeakMemory() as busy:
        block = np.ones(25_000_000)  # 200 MB
        time.sleep(0.2)
        del block
    assert 150e6 < busy.peak - idle.peak < 250e6
    assert busy.on_gpu == 0 or torch.cuda.is_initialized()
    start = now()
    time.sleep(0.05)
    assert (now() - start).wall >= 0.05


@pytest.mark.slow
def test_an_estimated_training_multiplies_every_kind_of_step(
    tmp_path: Path, shown: list[Estimate]
) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=4), measured=True)
    assert (
        train(store_path=store.path, out=tmp_path / "c", estimate=True, overrides=[*TRAIN, *STEPS])
        == []
    )
    train(
        store_path=store.path,
        out=tmp_path / "c",
        subject_groups=2,
        estimate=True,
        overrides=[*TRAIN, *STEPS],
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]
    one, two = shown
    found = [re.fullmatch(r"(\d+) (.*) at (\S+) s", step).groups() for step in one.steps]  # type: ignore[union-attr]
    assert {name: int(count) for count, name, _ in found} == {
        "steps that read AUs": 1000,
        "steps with true frames": 2000,
        "steps with video": 750,
        "steps without video": 2250,
        "times saved": 12,  # every 500 steps, also while AUs are learned
    }
    steps = sum(int(count) * float(seconds) for count, _, seconds in found)
    assert steps < one.time.wall < 1.5 * steps + 60
    assert two.steps[0].startswith("2000 ")
    assert one.disk > 0


@pytest.mark.slow
def test_an_estimated_generation_counts_clips_heads_and_bytes(
    tmp_path: Path, shown: list[Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a generator that takes a known time."""
    store = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=6))
    train(store_path=store.path, out=tmp_path / "g", overrides=[*QUICK, "device=cpu"])
    plan = {"store": store.path, "checkpoint": tmp_path / "g", "out": tmp_path / "out"}
    words = ["num_frames=4", "batch_clips=2", "device=cpu"]
    animate = generators.IcganGenerator._animate

    def slowly(self: generators.IcganGenerator, *arguments: object) -> object:
        time.sleep(0.05)
        return animate(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(generators.IcganGenerator, "_animate", slowly)
    assert generate(**plan, per_class=200, estimate=True, overrides=words) is None
    generate(**plan, per_class=200, estimate=True, shard=Shard(2, 4), overrides=words)
    with pytest.raises(ValueError, match="1 for a shard or an estimate"):
        generate(**plan, per_class=4, estimate=True, workers=2, overrides=words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "samm"]
    whole, part = shown
    assert whole.steps[0].startswith("1000 clips")
    assert part.steps[0].startswith("250 clips")
    assert whole.time.wall > 50
    assert part.time.wall > 12.5
    for estimate in shown:
        (clips, each), (heads, a_head) = (
            map(float, re.match(r"(\d+) .* at (\S+) s", step).groups())  # type: ignore[union-attr]
            for step in estimate.steps
        )
        assert heads == 30
        work = clips * each + heads * a_head
        assert work < estimate.time.wall < 1.01 * work + 30
    arrays = 1000 * 4 * (32 * 32 * 3 + 20 * 2 * 4 + 68 * 2 * 4)
    # A film of noise in the gallery takes 5 kB, its place on the page 2 kB.
    assert arrays + 7_000_000 < whole.disk < arrays + 12_000_000
    assert 0.2 * arrays < part.disk < whole.disk


@pytest.mark.slow
def test_an_estimated_run_counts_folds_epochs_and_pretrainings(
    tmp_path: Path, shown: list[Estimate]
) -> None:
    data = write(tmp_path / "samm.npz")
    made = synthetic(tmp_path / "made.npz", GROUPS)
    long = ["model.training.epochs=3000", "pretraining.epochs=500"]
    run = tmp_path / "r"
    evaluate(request(data, *long, pretrain=[made], seeds=2), run, estimate=True)
    evaluate(request(data, *long, seeds=2), run, Shard(1, 3), estimate=True)
    evaluate(request(data, "keep_weights=true", seeds=2), run, estimate=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.npz", "samm.npz"]
    whole, part, short = shown
    assert whole.steps[0].startswith("12 folds at")
    assert whole.steps[1].startswith("3000 epochs")
    assert whole.steps[2].startswith("6 pretrainings")
    assert part.steps[0].startswith("4 folds at")
    fold = float(re.search(r"at (\S+) s", whole.steps[0])[1])  # type: ignore[index]
    epoch = float(re.search(r"at (\S+) s", whole.steps[1])[1])  # type: ignore[index]
    assert 0.9 < fold / (3000 * epoch) < 1.5
    before = float(re.search(r"at (\S+) s", whole.steps[2])[1])  # type: ignore[index]
    work = 12 * fold + 6 * before
    assert 0.98 * work < whole.time.wall < 1.02 * work + 60
    written = evaluate(request(data, "keep_weights=true", seeds=2), run)
    there = sum(file.stat().st_size for file in written.rglob("*") if file.is_file())
    assert 0.75 < short.disk / there < 1.25
