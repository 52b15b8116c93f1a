"""Warnings about generators and stores that show different versions of the phantom."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mersynth.gan.checkpoint import CARD, SHIPPED, load_card
from mersynth.gan.train import train
from mersynth.phantom.version import VERSION, version_of
from mersynth.quality.run import open_stores
from mersynth.store.clip_store import ClipStore
from mersynth.synthesis.generate import generate
from tests.tiny_store import tiny_clips, write_tiny_store

TOLD = "different versions of the phantom"
OPTIONS = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=0", "steps=1"]


def store_of(path: Path, version: int | None, source: str = "phantom") -> ClipStore:
    header = {"source": source, "licence": "none"} | ({"phantom": version} if version else {})
    clips = [replace(clip, source=source) for clip in tiny_clips(subjects=4)]
    return write_tiny_store(path, clips, measured=True, header=header)  # type: ignore[arg-type]


def test_a_generator_of_another_version_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, before = store_of(tmp_path / "now", VERSION), store_of(tmp_path / "before", None)
    real = store_of(tmp_path / "real", None, "samm")
    assert [version_of(store) for store in (now, before, real)] == [VERSION, 1, None]
    checkpoint = tmp_path / "c"
    train(store_path=now.path, out=checkpoint, overrides=[*OPTIONS, "device=cpu"])
    assert load_card(checkpoint).phantom == VERSION

    def make(store: ClipStore, name: str, **how: object) -> ClipStore:
        settings = {"per_class": 1, "generator": "icgan", "checkpoint": checkpoint} | how
        overrides = ["num_frames=3", "device=cpu", "head_motion=false"]
        made = generate(store=store.path, out=tmp_path / name, overrides=overrides, **settings)
        assert made is not None
        return made

    assert version_of(make(now, "a")) == VERSION
    assert version_of(make(real, "b")) is None
    assert version_of(make(before, "c1", generator="warp", checkpoint=None)) == 1
    assert TOLD not in caplog.text
    made = make(before, "d")
    assert f"{before.path}: version 1; the generator: version {VERSION}" in caplog.text
    assert "render the store again, or train a generator on it with `mersynth train`" in caplog.text
    caplog.clear()
    open_stores(now.path, made.path)
    assert f"{now.path}: version {VERSION}; {made.path}: version 1" in caplog.text


def test_cards_from_before_versions_were_recorded(tmp_path: Path) -> None:
    card = json.loads((SHIPPED / CARD).read_text())
    del card["checksum"]
    for people, version in ((["phantom/p000"], 1), (["samm/006"], None)):
        before = {k: v for k, v in card.items() if k != "phantom"} | {"training_subjects": people}
        (tmp_path / CARD).write_text(json.dumps(before))
        assert load_card(tmp_path).phantom == version
