"""The layout parquet: read by pyarrow alone, and by Hugging Face's ``datasets``."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from mersynth.export import ExportError, export
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.folds.guard import usable_clips
from tests.export.export_stores import REAL_SAMM, SIDE, read_provenance, synthetic, write_store

# People 006 and 007, whom the generator may have seen, and who may be followed.
CLIPS = (
    *REAL_SAMM[:2],
    replace(REAL_SAMM[2], apex=None, emotion="surprise"),
    synthetic(REAL_SAMM[0], 1, "surprise", unseen=("samm/006", "samm/007")),
    synthetic(REAL_SAMM[0], 2, "anger", unseen=("samm/007",), template="samm/007/007_6_1"),
    synthetic(REAL_SAMM[0], 3, "anger", unseen=("samm/006",)),
    synthetic(REAL_SAMM[2], 4, "anger", unseen=("samm/006",), template=None),
)


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    path = tmp_path_factory.mktemp("stores") / "samm"
    return write_store(path, CLIPS, header={"scheme": "four", "seed": 3})


@pytest.fixture(scope="module", name="out")
def _out(store: ClipStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "out"
    return export(store.path, "parquet", out, classes="native", overrides=["shard_clips=3"])


def readme(out: Path) -> tuple[dict[str, object], str]:
    """Front matter and text."""
    _, front, text = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def test_every_parquet_reader_finds_the_clips(store: ClipStore, out: Path) -> None:
    files = sorted(path.name for path in (out / "data").iterdir())
    assert files == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]
    tables = [pq.read_table(out / "data" / name) for name in files]
    assert [len(table) for table in tables] == [3, 3, 1]
    rows = [row for table in tables for row in table.to_pylist()]
    classes = json.loads((out / "card.json").read_text())["classes"]
    for row, item in zip(rows, store, strict=True):
        clip = item.clip
        frames = [np.asarray(Image.open(io.BytesIO(frame["bytes"]))) for frame in row["frames"]]
        np.testing.assert_array_equal(frames, item.frames)
        assert row["frames"][1]["path"].endswith(f"{clip.name}_{clip.onset + 1:05d}.png")
        assert [row["dataset"], row["subject"], row["clip"]] == clip.id.split("/")
        assert classes[row["label"]] == row["emotion"] == clip.emotion
        for name in ("aus", "onset", "apex", "offset", "fps", "strength", "template", "generator"):
            assert row[name] == getattr(clip, name), name
        assert (row["face"], tuple(row["unseen"])) == (clip.subject_id, clip.unseen)
        assert row["synthetic"] is clip.is_synthetic
    lines = read_provenance(out)
    assert lines[3]["path"] == "data/train-00001-of-00003.parquet:samm_006_synthetic_00001"


def test_a_file_alone_says_what_it_is(out: Path) -> None:
    metadata = pq.read_schema(out / "data/train-00000-of-00003.parquet").metadata
    card = json.loads(metadata[b"mersynth"])
    assert (card["synthetic_clips"], card["licences"]) == (4, ["research only"])
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"_type": "ClassLabel", "names": card["classes"]}
    assert features["frames"]["feature"] == {"_type": "Image"}
    schema = pq.read_schema(out / "data/train-00000-of-00003.parquet")
    assert list(features) == schema.names


def test_the_dataset_card(out: Path) -> None:
    front, text = readme(out)
    assert front["license"] == "other"
    assert front["size_categories"] == ["n<1K"]
    assert "synthetic" in front["tags"]
    (config,) = front["configs"]
    (files,) = config["data_files"]
    assert len(list(out.glob(files["path"]))) == 3
    assert "7 clips of facial micro-expressions, 4 of them synthetic, of 2 people" in text
    assert "- Licence: research only" in text
    assert f"- 4 clips by the generator with the SHA-256 `{'ab' * 32}`" in text
    assert "Cite: Somebody et al. (2020)" in text
    assert "| surprise | 2 |" in text
    assert re.search(r"\{\w*\}", text) is None


def test_intensities_and_landmarks_go_along(tmp_path: Path) -> None:
    clip = REAL_SAMM[0]
    chance = np.random.default_rng(0)
    intensities = chance.random((clip.num_frames, 20, 2), np.float32)
    intensities[:, 3] = np.nan
    landmarks = chance.random((clip.num_frames, 68, 2), np.float32)
    with StoreWriter(tmp_path / "s", [clip], SIDE, {"source": "samm"}) as writer:
        frames = np.zeros((clip.num_frames, SIDE, SIDE, 3), np.uint8)
        writer.add(frames, intensities, landmarks)
        writer.finish()
    out = export(tmp_path / "s", "parquet", tmp_path / "out")
    (row,) = pq.read_table(out / "data/train-00000-of-00001.parquet").to_pylist()
    np.testing.assert_array_equal(np.float32(row["intensities"]), intensities)
    np.testing.assert_array_equal(np.float32(row["landmarks"]), landmarks)
    _, text = readme(out)
    assert "No licence is recorded." in text


def test_formats(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="parquet holds png and jpg, not format=bmp"):
        export(store.path, "parquet", tmp_path / "out", overrides=["format=bmp"])
    assert list(tmp_path.iterdir()) == []
    out = export(store.path, "parquet", tmp_path / "out", overrides=["format=jpg"])
    row = pq.read_table(out / "data/train-00000-of-00001.parquet").slice(0, 1).to_pylist()[0]
    assert row["frames"][0]["bytes"][:3] == b"\xff\xd8\xff"


def test_the_rule_of_the_dataset_card_is_that_of_the_guard(store: ClipStore, out: Path) -> None:
    _, text = readme(out)
    rule = re.search(r"filter\(\n(.*?)\n\)\n```", text, re.DOTALL)
    assert rule is not None
    rows = [row for file in sorted(out.glob("data/*")) for row in pq.read_table(file).to_pylist()]
    for tested in ("samm/006", "samm/007", "samm/020"):
        keep = eval(f"({rule[1]})", {"tested": tested})
        kept = tuple(i for i, row in enumerate(rows) if keep(row))
        assert kept == usable_clips(store.clips, [tested]), tested
    assert any(usable_clips(store.clips, ["samm/007"]))


def test_load_dataset_reads_it(
    store: ClipStore, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    clips = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path))
    assert len(clips) == len(store)
    assert isinstance(clips.features["label"], datasets.ClassLabel)
    for row, item in zip(clips, store, strict=True):
        assert clips.features["label"].int2str(row["label"]) == item.clip.emotion
        np.testing.assert_array_equal([np.asarray(frame) for frame in row["frames"]], item.frames)
    made = clips.filter(lambda row: row["synthetic"], load_from_cache_file=False)
    assert made["clip"][:] == [clip.name for clip in store.clips if clip.is_synthetic]
    streamed = datasets.load_dataset(str(out), split="train", streaming=True)
    assert next(iter(streamed))["clip"] == store.clips[0].name
