"""Which generator and which faces a generation takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mersynth.gan.checkpoint import CARD, SHIPPED, CheckpointError, load_card
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.store.clip_store import StoreError
from mersynth.synthesis.inputs import face_clips, find_generators, open_faces


def begun(place: Path, folder: Path, **changes: object) -> None:
    """A checkpoint as a training leaves it that was stopped: its card names more steps."""
    shutil.copytree(place / "one", folder)
    card = json.loads((folder / CARD).read_text())
    card["config"]["steps"] = 50
    del card["checksum"]  # as the cards of before
    (folder / CARD).write_text(json.dumps(card | changes))


def chosen(checkpoint: Path | None = None, source: str | None = "phantom") -> list[Path]:
    """The folders of the generators that a generation would use."""
    store = Path("stores") / (source or "other")
    found = find_generators("icgan", checkpoint, store, source)
    return [generator.folder for generator in found]  # type: ignore[attr-defined]


def test_only_a_complete_generator_replaces_the_shipped_one(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("checkpoints/phantom")
    assert chosen() == [SHIPPED]
    (own / "logs").mkdir(parents=True)  # stopped before the first generator was stored
    assert chosen() == [SHIPPED]
    assert "no generator at checkpoints/phantom" in caplog.text
    assert "Using the shipped one" in caplog.text
    shutil.rmtree(own)
    begun(place, own)
    caplog.clear()
    assert chosen() == [SHIPPED]
    assert "checkpoints/phantom has had 1 of 50 steps. Using the shipped one" in caplog.text
    assert chosen(own) == [own]  # asked for by name
    shutil.rmtree(own)
    shutil.copytree(place / "one", own)
    caplog.clear()
    assert chosen() == [own]
    assert chosen(Path("shipped")) == [SHIPPED]
    assert not caplog.records
    (own / load_card(own).weights).write_bytes(b"rubbish")
    assert chosen() == [SHIPPED]
    assert "missing or damaged" in caplog.text
    shutil.rmtree(own)
    shutil.copytree(place / "two", own)
    assert chosen() == [own / "group_0", own / "group_1"]
    shutil.rmtree(own / "group_1")
    with pytest.raises(CheckpointError, match="holds 1 of 2 generators"):
        chosen()
    (own / "group_0" / CARD).unlink()
    with pytest.raises(CheckpointError, match="has none of its generators yet"):
        chosen()


def test_a_training_that_was_stopped_is_used_where_nothing_else_is(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    begun(place, Path("checkpoints/samm"))
    assert chosen(source="samm") == [Path("checkpoints/samm")]
    assert "has only had 1 of 50 steps; `mersynth train --resume` continues" in caplog.text


def test_photos_are_prepared_once_and_unusable_faces_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = Path("photos")
    photos.mkdir()
    frames, _, _ = render_clip(clip_specs(subjects=9)[-1], 96)
    for name, frame in (("anna", frames[0]), ("ben", frames[-1])):
        Image.fromarray(frame).save(photos / f"{name}.png")
    first = open_faces(photos, 32, resume=False)
    assert open_faces(photos, 32, resume=False).path == first.path
    (photos / "ben.png").unlink()
    second = open_faces(photos, 32, resume=False)
    assert [store.subjects for store in (first, second)] == [
        ("folder/anna", "folder/ben"),
        ("folder/anna",),
    ]
    Image.new("RGB", (96, 96), "grey").save(photos / "anna.png")  # a photo without a face
    with pytest.raises(StoreError, match=r"photos: [\s\S]*anna[\s\S]*prepare --source folder"):
        open_faces(photos, 32, resume=False)
    (photos / "anna.png").write_bytes(b"rubbish")
    with pytest.raises(StoreError, match=r"photos: [\s\S]*anna[\s\S]*prepare --source folder"):
        face_clips(photos)
    with pytest.raises(StoreError, match="no folder nowhere"):
        face_clips(Path("nowhere"))
    assert len(list(Path("stores").iterdir())) == 2
