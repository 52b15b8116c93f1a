"""Generation for other framings than the whole head, and for mixed ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from mersynth.config import ConfigError
from mersynth.face.template import HEAD, TIGHT, Framing, five_points
from mersynth.gan.checkpoint import CARD, CheckpointError, load_card
from mersynth.gan.train import train
from mersynth.phantom.population import clip_specs, write_store
from mersynth.store.clip_store import ClipStore
from mersynth.synthesis import inputs
from mersynth.synthesis.generate import generate
from tests.tiny_store import tiny_clips, write_tiny_store

SMALL = {
    "subjects": 4,
    "counts": dict.fromkeys(("happiness", "surprise", "contempt", "anger", "other"), 3),
    "max_frames": 4,
}
OVERRIDES = ["num_frames=3", "device=cpu", "head_motion=false"]
ALIKE = "faces are not framed alike"


def store_of(path: Path, framing: Framing | None) -> ClipStore:
    header = {"source": "samm", "licence": "none"}
    if framing is not None:
        header["framing"] = framing.as_dict()  # type: ignore[assignment]
    return write_tiny_store(path, tiny_clips(subjects=4), measured=True, header=header)


def make(store: ClipStore, out: Path, *overrides: str, **changes: object) -> ClipStore:
    settings = {"per_class": 2, "store": store.path, "generator": "warp"} | changes
    made = generate(**settings, out=out, overrides=[*OVERRIDES, *overrides])
    assert made is not None
    return made


def test_the_phantom_is_rendered_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def render(source: str, out: Path, framing: inputs.FramingChoice, resume: bool) -> None:
        write_store(out, image_size=32, framing=framing.framing(HEAD), **SMALL)  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "prepare", render)
    monkeypatch.setattr(inputs, "clip_specs", lambda: clip_specs(**SMALL))  # type: ignore[arg-type]
    phantom = {"source": "phantom", "generator": "warp", "per_class": 1}
    made = generate(**phantom, out=tmp_path / "s", overrides=[*OVERRIDES, "framing=tight"])
    assert made is not None
    assert made.framing == ClipStore.open("stores/phantom").framing == TIGHT
    for item in made:  # the face worn, by its own landmarks
        eyes = five_points(np.array(item.landmarks[0]))[:2] + 0.5
        assert np.ptp(eyes[:, 0]) / 32 == pytest.approx(0.58, abs=0.06)
        assert eyes[:, 1].mean() / 32 == pytest.approx(0.26, abs=0.06)
    assert ALIKE not in caplog.text
    generate(**phantom, out=tmp_path / "t", overrides=[*OVERRIDES, "framing=head"])
    assert "stores/phantom: tight (eyes at 0.26" in caplog.text
    assert "asked for: head (eyes at 0.345" in caplog.text


def test_a_generator_for_another_framing_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tight, head = store_of(tmp_path / "tight", TIGHT), store_of(tmp_path / "head", None)
    options = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=0", "steps=1"]
    for name, store in (("of_tight", tight), ("of_head", head)):
        train(store_path=store.path, out=tmp_path / name, overrides=[*options, "device=cpu"])
    assert load_card(tmp_path / "of_tight").framing == TIGHT
    icgan = {"generator": "icgan", "checkpoint": tmp_path / "of_tight"}
    made = make(tight, tmp_path / "a", **icgan)
    assert made.framing == TIGHT
    assert ALIKE not in caplog.text
    make(head, tmp_path / "b", **icgan)
    assert f"{head.path}: head (eyes at 0.345 of the height" in caplog.text
    assert "the generator: tight (eyes at 0.26 of the height" in caplog.text
    assert "train a generator on this store" in caplog.text

    card = json.loads((tmp_path / "of_head" / CARD).read_text())
    del card["framing"], card["checksum"]  # as the cards of before
    (tmp_path / "of_head" / CARD).write_text(json.dumps(card))
    assert load_card(tmp_path / "of_head").framing == HEAD
    (tmp_path / "of_head" / CARD).write_text(json.dumps({**card, "framing": {"eyes": 0.3}}))
    with pytest.raises(CheckpointError, match=r"generator.json is damaged"):
        load_card(tmp_path / "of_head")


def test_photos_are_framed_as_the_real_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.fromarray(data.astronaut()).save("photos/anna.png")
    store = store_of(tmp_path / "real", TIGHT)
    made = make(store, tmp_path / "s", faces=Path("photos"))
    (kept,) = Path("stores").glob("photos_*")
    assert ClipStore.open(kept).framing == made.framing == TIGHT
    assert ALIKE not in caplog.text
    make(store, tmp_path / "t", "framing=head", faces=Path("photos"))
    assert {ClipStore.open(path).framing for path in Path("stores").iterdir()} == {HEAD, TIGHT}
    assert ALIKE in caplog.text


def test_odd_numbers_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path / "real", None)
    with pytest.raises(ValueError, match=r"framing.eyes must lie in 0.1..0.6, got 0.9"):
        make(store, tmp_path / "s", "framing.eyes=0.9")
    with pytest.raises(ConfigError, match="the choices are auto, head, tight"):
        make(store, tmp_path / "s", "framing=wide")
    assert not (tmp_path / "s").exists()
