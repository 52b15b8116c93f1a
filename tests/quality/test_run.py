"""The whole command on tiny stores, and its errors for wrong ones."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mersynth.cli import app
from mersynth.config import ConfigError
from mersynth.quality import measure_quality
from mersynth.quality.sample import take_sample
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.writer import StoreWriter
from tests.quality.stores import CELLS, FRAMES, QUICK, phantom_store

# Without the reader, whose training takes longest.
UNREAD = [*QUICK, "reader.kind=feat"]


@pytest.fixture(scope="module", name="stores")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("stores")
    phantom_store(folder / "real")
    phantom_store(folder / "made", synthetic=True)
    return folder / "real", folder / "made"


@pytest.fixture(scope="module", name="result")
def _result(stores: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "q"
    return measure_quality(real=stores[0], synthetic=stores[1], out=out, overrides=QUICK)


def _figures(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "quality.json").read_text())


def test_every_measure_has_figures(result: Path) -> None:
    found = _figures(result)
    measures = found["measures"]
    assert set(measures) == {
        "au_control", "balance", "distribution", "identity", "motion", "outside", "separability",
    }  # fmt: skip
    assert not [name for name, one in measures.items() if "reason" in one]
    assert found["reader"]["name"] == "estimator trained on rendered frames"
    assert found["extractor"]["accuracy"] is not None
    assert found["synthetic"]["synthetic"]
    assert found["synthetic"]["measured_clips"] == 18
    assert len(found["worst"]) == 8
    assert [row["au"] for row in measures["au_control"]["aus"] if row["clips"]] == [
        1, 2, 4, 6, 7, 12,
    ]  # fmt: skip
    assert 0 <= measures["motion"]["onset_return"]["synthetic"] < 0.5
    # The synthetic clips equal the real ones except for camera noise, which lengthens flow here.
    assert measures["motion"]["magnitude_ratio"] == pytest.approx(1, abs=0.25)
    assert measures["identity"]["apex"] == pytest.approx(measures["identity"]["own_apex"], abs=0.1)
    assert all(row["direction"] > 0.9 for row in measures["motion"]["classes"])
    assert measures["balance"]["synthetic"]["both_evenness"] == 1


def test_the_page_needs_nothing_but_itself(result: Path) -> None:
    assert sorted(path.name for path in result.iterdir()) == ["quality.html", "quality.json"]
    page = (result / "quality.html").read_text()
    text = re.sub(r"data:image/jpeg;base64,[^\"]+", "", page)
    for absent in ("<script", "http", "url(", "@import", "Undefined"):
        assert absent not in text, absent
    assert not re.search(r"\b(nan|inf)\b", text)
    assert page.count("data:image/jpeg;base64,") == 8
    assert "p000/made_" in page
    assert page.count("<svg") == 5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(
    stores: tuple[Path, Path], result: Path, tmp_path: Path
) -> None:
    again = measure_quality(
        real=stores[0], synthetic=stores[1], out=tmp_path / "again", overrides=QUICK
    )
    for name in ("quality.json", "quality.html"):
        assert (again / name).read_bytes() == (result / name).read_bytes()
    other = measure_quality(
        real=stores[0], synthetic=stores[1], out=tmp_path / "b", seed=1, overrides=UNREAD
    )
    one, two = (_figures(folder)["measures"] for folder in (other, result))
    assert one["distribution"]["kid"] != two["distribution"]["kid"]
    assert one["balance"] == two["balance"]


def test_a_second_real_store_is_measured_and_the_log_says_so(
    stores: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    phantom_store(tmp_path / "other", first=2)
    with caplog.at_level(logging.INFO):
        out = measure_quality(
            real=stores[0],
            synthetic=tmp_path / "other",
            out=tmp_path / "q",
            overrides=[*QUICK, "reader.kind=store", "moments=7"],
        )
    assert "real is compared with real" in caplog.text
    found = _figures(out)
    assert found["measures"]["identity"]["clips"] == 6  # of the one subject that both have
    assert found["reader"]["name"] == "estimator trained on the real store"
    assert found["measures"]["motion"]["onset_return"]["synthetic"] is None
    assert found["measures"]["distribution"]["kid"]["synthetic"] > 0
    assert "second real store" in (out / "quality.html").read_text()


def test_what_cannot_be_measured_is_reported(tmp_path: Path) -> None:
    """Another database, nothing measured, one subject: no reader, no extractor, no folds."""
    options = {"subjects": 1, "each": 2, "source": "samm", "measured": False}
    phantom_store(tmp_path / "real", **options)
    phantom_store(tmp_path / "made", synthetic=True, **options)
    out = measure_quality(
        real=tmp_path / "real", synthetic=tmp_path / "made", out=tmp_path / "q", overrides=QUICK
    )
    found = _figures(out)
    reasons = {name: one.get("reason") for name, one in found["measures"].items()}
    assert "no AU intensities" in reasons["au_control"]
    assert "one subject" in reasons["identity"]
    assert "one subject" in reasons["distribution"]
    assert "one subject" in reasons["separability"]
    assert reasons["motion"] is None
    assert reasons["outside"] is None
    assert found["extractor"]["name"] is None
    page = (out / "quality.html").read_text()
    assert page.count("Not measured:") == 5  # cross-talk goes with AU control


def test_stores_that_share_no_class(stores: tuple[Path, Path], tmp_path: Path) -> None:
    phantom_store(tmp_path / "made", synthetic=True, subjects=2, cells={"contempt": (14,)})
    out = measure_quality(
        real=stores[0], synthetic=tmp_path / "made", out=tmp_path / "q", overrides=UNREAD
    )
    found = _figures(out)["measures"]
    assert "py-feat's weights are missing" in found["au_control"]["reason"]
    assert "share 0 classes" in found["separability"]["reason"]
    assert {
        row["class"]: row["wasserstein"] for row in found["motion"]["classes"]
    } == dict.fromkeys(("anger", "contempt", "happiness", "surprise"))


def _refused(real: Path, made: Path, folder: Path, *overrides: str) -> str:
    before = sorted(folder.rglob("*"))
    with pytest.raises((StoreError, ConfigError, ValueError)) as caught:
        measure_quality(real=real, synthetic=made, out=folder / "q", overrides=[*QUICK, *overrides])
    assert sorted(folder.rglob("*")) == before
    return str(caught.value)


def test_wrong_stores_and_settings_are_refused(stores: tuple[Path, Path], tmp_path: Path) -> None:
    real, made = stores
    phantom_store(tmp_path / "large", subjects=1, size=48, synthetic=True)
    one = phantom_store(tmp_path / "one", subjects=1, each=1, cells={"anger": CELLS["anger"]})
    assert "no store at" in _refused(tmp_path / "absent", made, tmp_path)
    assert "holds synthetic clips" in _refused(made, real, tmp_path)
    assert "is the real store itself" in _refused(real, real, tmp_path)
    text = _refused(real, tmp_path / "large", tmp_path)
    assert "32 pixels" in text
    assert "48" in text
    assert "--image-size 48" in text
    assert "has 1 clips" in _refused(real, one.path, tmp_path)
    assert "label" in _refused(real, made, tmp_path, "scheme=ten")
    assert "moments must be in 3..1000, got 2" in _refused(real, made, tmp_path, "moments=2")
    assert "64 frames or more" in _refused(real, made, tmp_path, "reader.each=31")
    assert "reader.kind must be one of" in _refused(real, made, tmp_path, "reader.kind=eye")
    assert "preset must be" in _refused(real, made, tmp_path, "motion.flow.preset=best")
    (tmp_path / "q").mkdir()
    assert "exists already" in _refused(real, made, tmp_path)


def test_an_error_while_writing_leaves_nothing(
    stores: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("mersynth.quality.run.write_page", fail)
    with pytest.raises(OSError, match="disk full"):
        measure_quality(real=stores[0], synthetic=stores[1], out=tmp_path / "q", overrides=UNREAD)
    assert list(tmp_path.iterdir()) == []


def test_a_sample_keeps_the_apex_and_reduces_large_frames(stores: tuple[Path, Path]) -> None:
    store = ClipStore.open(stores[0])
    sample = take_sample(store, "five", 4, 4, 16, 0)
    assert sample.frames.shape == (4, 4, 16, 16, 3)
    assert sample.moved[:, 0].max() == 0
    for row, clip in enumerate(sample.clips):
        item = store[store.clips.index(clip)]
        np.testing.assert_array_equal(sample.apex_moved[row], item.intensities[3])
    assert take_sample(store, "five", 4, 4, 16, 0).clips == sample.clips
    assert take_sample(store, "five", 4, 4, 16, 1).clips != sample.clips
    whole = take_sample(store, "five", 99, FRAMES, 32, 0)
    np.testing.assert_array_equal(whole.frames[5], store[5].frames)


def test_an_au_that_was_not_measured_stays_so(tmp_path: Path) -> None:
    store = phantom_store(tmp_path / "a", subjects=1, each=1)
    with StoreWriter(tmp_path / "b", store.clips, 32, store.meta["header"]) as writer:
        for item in store:
            curve = np.array(item.intensities)
            curve[:, 0] = np.nan
            curve[2, 1] = np.nan
            writer.add(np.array(item.frames), curve)
        writer.finish()
    sample = take_sample(ClipStore.open(tmp_path / "b"), "five", 9, FRAMES, 32, 0)
    assert np.isnan(sample.moved[:, :, 0]).all()
    assert np.isnan(sample.moved[:, 2, 1]).all()
    assert np.isfinite(sample.moved[:, 3, 1]).all()


def test_the_command(stores: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("mersynth.quality.run.measure_quality", lambda **k: given.update(k))
    words = ["quality", "--real", "r", "--synthetic", "s", "--out", "o", "--seed", "3", "worst=1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert given == {
        "real": Path("r"), "synthetic": Path("s"), "out": Path("o"), "names": None, "seed": 3,
        "overrides": ["worst=1"],
    }  # fmt: skip
