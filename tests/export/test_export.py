"""Export: what every layout keeps to, and the layouts imagefolder, mp4 and webdataset."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mersynth.config import ConfigError
from mersynth.disk.partial import partial_of
from mersynth.export import LAYOUTS, ExportError, export
from mersynth.facs.emotions import classes
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.merge import merge
from tests.export.export_stores import (
    REAL_SAMM,
    TERMS,
    checksums,
    read_provenance,
    synthetic,
    write_store,
)
from tests.tiny_store import write_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Synthetic clips of classes that every layout can name."""
    shown = ("surprise", "others", "happiness")
    made = [synthetic(c, i, e) for i, (c, e) in enumerate(zip(REAL_SAMM, shown, strict=True))]
    path = tmp_path_factory.mktemp("stores") / "samm_synthetic"
    return write_store(path, made, header={"scheme": "five"})


def place_of(folder: Path, layout: str, name: str = "out") -> Path:
    return folder / f"{name}{LAYOUTS[layout].suffix}"


def card_of(out: Path) -> dict[str, Any]:
    if out.is_dir():
        return dict(json.loads((out / "card.json").read_text()))
    with np.load(out) as arrays:
        return dict(json.loads(str(arrays["card"])))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_card_goes_along(layout: str, store: ClipStore, tmp_path: Path) -> None:
    card = card_of(export(store.path, layout, place_of(tmp_path, layout), seed=3))
    assert card["store"] == {
        "name": "samm_synthetic",
        "checksum": store.checksum,
        "header": store.meta["header"],
    }
    assert card["licences"] == [TERMS["licence"]]
    assert card["citations"] == [TERMS["citation"]]
    assert (card["layout"], card["scheme"], card["seed"]) == (layout, "five", 3)
    assert card["classes"] == list(classes("samm", "five"))
    assert (card["clips"], card["synthetic_clips"]) == (3, 3)
    assert set(card["options"]) == {"classes", "skip_bad", *LAYOUTS[layout].reads}
    assert "mersynth" in card["versions"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_store_and_seed_give_the_same_bytes(
    layout: str, store: ClipStore, tmp_path: Path
) -> None:
    outs = [export(store.path, layout, place_of(tmp_path, layout, name)) for name in "ab"]
    assert len(checksums(outs[0])) >= 1
    assert checksums(outs[0]) == checksums(outs[1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_there_is_not_touched(layout: str, store: ClipStore, tmp_path: Path) -> None:
    out = place_of(tmp_path, layout)
    out.write_text("mine")
    with pytest.raises(ExportError, match="exists already"):
        export(store.path, layout, out)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_that_is_whole_is_left_alone(
    layout: str, store: ClipStore, tmp_path: Path
) -> None:
    out = place_of(tmp_path, layout)
    export(store.path, layout, out)
    before = out.stat().st_mtime_ns
    export(store.path, layout, out, resume=True)
    assert out.stat().st_mtime_ns == before
    with pytest.raises(ExportError, match="exists already, and is not this export"):
        export(store.path, layout, out, resume=True, seed=1)
    out.rename(tmp_path / "elsewhere")
    out.write_text("a letter")
    with pytest.raises(ExportError, match="exists already, and is not this export"):
        export(store.path, layout, out, resume=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_interruption_leaves_nothing_and_does_not_stand_in_the_way(
    layout: str, store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = place_of(tmp_path, layout)
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left = tmp_path / partial_of(out).name.replace(f"-{os.getpid()}-", f"-{killed.pid}-")
    left.mkdir()
    (left / "old").write_text("old")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        for place, name in (
            (Image.Image, "save"),
            (cv2.VideoWriter, "fourcc"),
            (np, "savez_compressed"),
            (csv, "writer"),
        ):
            patch.setattr(place, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            export(store.path, layout, out)
    assert list(tmp_path.iterdir()) == []
    export(store.path, layout, out)
    assert list(tmp_path.iterdir()) == [out]
    assert not (out / "old").exists()


def test_what_is_wrong_is_said(store: ClipStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="layout must be one of casme2, samm, imagefolder, mp4, "):
        export(store.path, "casme", out)
    with pytest.raises(StoreError, match=r"no store at \S+nothing; `mersynth prepare --source"):
        export(tmp_path / "nothing", "samm", out)
    with pytest.raises(ExportError, match=r"npz writes one file, whose name ends in \.npz; got"):
        export(store.path, "npz", out)
    with pytest.raises(ValueError, match="no label scheme 'six'"):
        export(store.path, "samm", out, classes="six")
    with pytest.raises(ConfigError, match="'sise=3'"):
        export(store.path, "npz", tmp_path / "o.npz", overrides=["sise=3"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("layout", "override", "told"),
    [
        (
            "mp4",
            "format=png",
            "format is for casme2, samm, imagefolder, webdataset, parquet, meb, not for mp4",
        ),
        ("samm", "size=28", "size is for meb, npz, not for samm"),
        ("imagefolder", "flow=dis", "flow is for meb, npz, not for imagefolder"),
        ("npz", "naming=raw", "naming is for casme2, samm, not for npz"),
        ("samm", "naming=aligned", "naming must be one of raw, cropped, got 'aligned'"),
        (
            "samm",
            "format=gif",
            r"format must be one of null \(None in Python\), png, bmp, jpg, got 'gif'",
        ),
        ("samm", "quality=0", r"quality must be in 1\.\.100, got 0"),
        ("webdataset", "shard_clips=0", "shard_clips must be in 1..1000000, got 0"),
        ("imagefolder", "frames=onset", "frames must be one of all, apex"),
        ("mp4", "codec=avc1", "codec must be one of mp4v, vp09"),
    ],
)
def test_a_wrong_option_is_refused(
    store: ClipStore, tmp_path: Path, layout: str, override: str, told: str
) -> None:
    with pytest.raises((ValueError, ConfigError), match=told):
        export(store.path, layout, place_of(tmp_path, layout), overrides=[override])
    assert list(tmp_path.iterdir()) == []


def test_a_flag_wins_over_an_override(store: ClipStore, tmp_path: Path) -> None:
    out = tmp_path / "o.npz"
    export(store.path, "npz", out, features="onset", size=8, overrides=["size=16", "features=[u]"])
    with np.load(out) as arrays:
        assert arrays["x"].shape == (3, 3, 8, 8)


def test_terms_of_merged_stores_and_the_warning_of_leakage(
    store: ClipStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    real = write_store(tmp_path / "real", REAL_SAMM, header={"licence": "other terms"})
    export(real.path, "imagefolder", tmp_path / "one")
    assert "licence: other terms" in caplog.text
    assert "by their provenance, a fold that" not in caplog.text
    both = merge([real, store], tmp_path / "both")
    card = card_of(export(both.path, "imagefolder", tmp_path / "two"))
    assert card["licences"] == ["other terms", TERMS["licence"]]
    assert (card["scheme"], card["synthetic_clips"]) == ("five", 3)
    assert "by their provenance, a fold that" in caplog.text
    made = [line["generator"] != "" for line in read_provenance(tmp_path / "two")]
    assert made == [False] * 3 + [True] * 3


def test_imagefolder_is_read_by_torchvision(store: ClipStore, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    out = export(store.path, "imagefolder", tmp_path / "out")
    images = ImageFolder(str(out))
    assert images.class_to_idx == card_of(out)["class_to_idx"]
    assert images.class_to_idx == {"happiness": 0, "others": 1, "surprise": 2}
    lines = read_provenance(out)
    assert len(images) == sum(clip.num_frames for clip in store.clips)
    for line, item in zip(lines, store, strict=True):
        files = sorted(out.glob(line["path"]))
        assert line["class"] == item.clip.emotion == files[0].parent.name
        np.testing.assert_array_equal([np.asarray(Image.open(f)) for f in files], item.frames)


def test_imagefolder_of_apexes(tmp_path: Path) -> None:
    clips = [*REAL_SAMM[:2], replace(REAL_SAMM[2], apex=None)]
    real = write_store(tmp_path / "s", clips)
    apexes = ["frames=apex"]
    with pytest.raises(ExportError, match=r"samm/007/007_6_1: it has no apex; `mersynth prepare"):
        export(real.path, "imagefolder", tmp_path / "out", overrides=apexes)
    out = export(real.path, "imagefolder", tmp_path / "out", skip_bad=True, overrides=apexes)
    assert list(card_of(out)["skipped"]) == ["samm/007/007_6_1"]
    files = sorted(path for path in out.rglob("*.png"))
    assert [f.name for f in files] == [
        "samm_006_006_1_2_05564.png",
        "samm_006_006_1_3_00100.png",
    ]
    np.testing.assert_array_equal(np.asarray(Image.open(files[0])), real[0].frames[2])


@pytest.mark.parametrize("codec", ["mp4v", "vp09"])
def test_videos_show_the_clips(tmp_path: Path, codec: str) -> None:
    rates = (200.0, 16 * 200 / 71, 120.12345, 3000.5)
    clips = [synthetic(REAL_SAMM[0], i, fps=fps) for i, fps in enumerate(rates)]
    real = write_store(tmp_path / "s", clips, side=64)
    out = export(real.path, "mp4", tmp_path / "out", overrides=[f"codec={codec}"])
    for line, item in zip(read_provenance(out), real, strict=True):
        video = cv2.VideoCapture(str(out / line["path"]))
        rate = item.clip.fps
        # Frame rates are rounded to hundredths, and above 655 a second to whole numbers.
        assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(rate, abs=0.01 if rate < 655 else 0.6)
        frames = []
        while (read := video.read())[0]:
            frames.append(read[1][..., ::-1])
        assert len(frames) == item.clip.num_frames
        assert np.abs(np.stack(frames).astype(int) - item.frames).mean() < 4
    assert card_of(out)["lossless"] is False


def test_videos_need_an_even_side(tmp_path: Path) -> None:
    odd = write_store(tmp_path / "s", REAL_SAMM, side=33)
    with pytest.raises(ExportError, match=r"even side, \S+ has 33 pixels; .* --image-size 34"):
        export(odd.path, "mp4", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def samples(out: Path) -> dict[str, dict[str, bytes]]:
    """The samples of all shards as webdataset groups them: by the name up to the first dot."""
    found: dict[str, dict[str, bytes]] = {}
    for shard in sorted(out.glob("shard-*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
                key, _, ending = member.name.partition(".")
                content = tar.extractfile(member)
                assert content is not None
                found.setdefault(key, {})[ending] = content.read()
    return found


def test_shards_hold_a_sample_a_clip(store: ClipStore, tmp_path: Path) -> None:
    out = export(store.path, "webdataset", tmp_path / "out", overrides=["shard_clips=2"])
    assert len(list(out.glob("*.tar"))) == card_of(out)["shards"] == 2
    found = samples(out)
    assert len(found) == 3
    for line, item in zip(read_provenance(out), store, strict=True):
        shard, _, key = line["path"].partition(":")
        with tarfile.open(out / shard) as tar:
            assert f"{key}.cls" in tar.getnames()
        sample = found[key]
        frames = [
            np.asarray(Image.open(io.BytesIO(sample[name])))
            for name in sorted(sample)
            if name.endswith("png")
        ]
        np.testing.assert_array_equal(frames, item.frames)
        facts = json.loads(sample["json"])
        assert card_of(out)["classes"][int(sample["cls"])] == item.clip.emotion == facts["class"]
        assert facts["fps"] == item.clip.fps
        assert facts["template"] == item.clip.template


def test_the_seed_shuffles_the_shards(tmp_path: Path) -> None:
    many = write_store(tmp_path / "s", [synthetic(REAL_SAMM[0], i) for i in range(12)], side=16)
    orders = []
    for seed in (0, 1):
        out = export(many.path, "webdataset", tmp_path / str(seed), seed=seed)
        orders.append(list(samples(out)))
    assert sorted(orders[0]) == sorted(orders[1])
    assert sorted(orders[0]) != orders[0] != orders[1]


def test_shards_are_read_by_webdataset(store: ClipStore, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the webdataset library is not installed")
    out = export(store.path, "webdataset", tmp_path / "out")
    shards = [str(path) for path in sorted(out.glob("*.tar"))]
    read = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert len(read) == 3
    by_key = {sample["__key__"].rpartition("/")[2]: sample for sample in read}
    for line, item in zip(read_provenance(out), store, strict=True):
        sample = by_key[line["path"].partition(":")[2]]
        np.testing.assert_array_equal(sample["002.png"], item.frames[2])
        assert card_of(out)["classes"][sample["cls"]] == sample["json"]["class"]


def test_webdataset_takes_only_what_it_decodes(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="decodes png and jpg, not format=bmp"):
        export(store.path, "webdataset", tmp_path / "out", overrides=["format=bmp"])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_is_not_exported(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    with (store.path / "frames.npy").open("r+b") as file:
        file.seek(5000)
        file.write(b"\0" * 2000)
    with pytest.raises(StoreError, match="damaged"):
        export(store.path, "imagefolder", tmp_path / "out")
    assert not (tmp_path / "out").exists()
