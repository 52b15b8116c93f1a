"""What ``prepare`` does between a database's frames and the store: faces, apexes, features."""

from __future__ import annotations

import logging
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mersynth.face.align import alignment_of
from mersynth.face.detect import find_face
from mersynth.face.template import five_points, misplacement
from mersynth.face.weights import WeightsMissingError
from mersynth.features.cache import FeatureError
from mersynth.phantom.population import ClipSpec, clip_specs, render_clip, write_store
from mersynth.phantom.version import VERSION
from mersynth.prepare.command import add_features, prepare
from mersynth.sources.errors import PrepareError
from mersynth.store.clip_store import StoreError
from mersynth.store.writer import StoreWriter
from tests.tiny_store import tiny_clips, write_tiny_store


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide any weights on this machine from the tests."""
    monkeypatch.setenv("MERSYNTH_WEIGHTS", str(tmp_path / "no_weights"))
    monkeypatch.delenv("FEAT_MULTITASK_WEIGHTS", raising=False)


@pytest.fixture(name="astronaut")
def _astronaut(tmp_path: Path) -> Path:
    skimage_data = pytest.importorskip("skimage.data")
    path = tmp_path / "astronaut.png"
    Image.fromarray(skimage_data.astronaut()).save(path)
    return path


def smic_tree(root: Path, specs: list[ClipSpec]) -> Path:
    """Rendered clips as the cropped release of SMIC, whose folders are its annotation."""
    for number, spec in enumerate(specs, 1):
        folder = root / "HS" / "s1" / "micro" / "surprise" / f"s1_sur_{number:02d}"
        folder.mkdir(parents=True)
        frames, _, _ = render_clip(spec, 64)
        for i, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"reg_image{100 + i}.bmp")
    return root


def test_a_real_face_is_aligned(astronaut: Path, tmp_path: Path) -> None:
    store = prepare("folder", out=tmp_path / "store", images=[astronaut])
    header = store.meta["header"]
    assert header["geometry"] == "aligned by the face found in (1 clips) the onset frame"
    assert header["detector"] == "mtcnn"
    matrix = np.array(header["alignments"]["folder/astronaut/astronaut"])
    assert matrix.shape == (2, 3)
    # The stored face lies where faces of stores lie: finding it again moves it little.
    again = find_face(np.array(store[0].frames[0])).points
    assert again is not None
    assert misplacement(again, 128) is None
    landmarks = np.array(store[0].landmarks[0])
    assert np.linalg.norm(five_points(landmarks) - again, axis=1).max() < 0.1 * 40  # eye distances


def test_a_picture_without_a_face_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    Image.new("RGB", (300, 200), (120, 110, 100)).save(path)
    with pytest.raises(
        PrepareError, match=r"folder/wall/wall: wall.png: no face found by MTCNN"
    ) as caught:
        prepare("folder", out=tmp_path / "store", images=[path])
    assert "geometry=crop" in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_an_aligned_clip_has_one_transform(tmp_path: Path, astronaut: Path) -> None:
    """A face that drifts through the frames drifts in the store, too: nothing tracks it."""
    photo = np.asarray(Image.open(astronaut))
    folder = tmp_path / "data" / "sub01" / "EP01_01"
    folder.mkdir(parents=True)
    for i in range(4):
        Image.fromarray(np.roll(photo, 3 * i, axis=1)).save(folder / f"img{i}.png")
    _casme2_table(tmp_path / "data", [["01", "EP01_01", 0, 2, 3, "12", "happiness"]])
    store = prepare("casme2", tmp_path / "data", tmp_path / "store")
    frames = store[0].frames.astype(float)
    face = find_face(photo)
    scale = alignment_of(face, 128).scale
    for i in (1, 3):
        shift = 3 * i * scale
        errors = [np.abs(_moved(frames[0], s) - frames[i])[:, 20:-20].mean() for s in (0, shift)]
        assert errors[1] < 0.3 * errors[0]


def test_apexes_are_spotted_where_a_database_gives_none(tmp_path: Path) -> None:
    specs = [s for s in clip_specs(seed=3) if s.clip.num_frames > 20][:3]
    root = smic_tree(tmp_path / "data", specs)
    store = prepare("smic", root, tmp_path / "store", image_size=64)
    assert store.meta["header"]["apex_spotting"] == "strain"
    for clip, spec in zip(store.clips, specs, strict=True):
        assert clip.apex_method == "strain"
        assert clip.apex_index is not None
        assert spec.clip.apex_index is not None
        assert abs(clip.apex_index - spec.clip.apex_index) <= 0.25 * clip.num_frames

    as_given = prepare("smic", root, tmp_path / "given", image_size=64, apex="annotated")
    assert [clip.apex for clip in as_given.clips] == [None] * 3
    assert as_given.meta["header"]["apex_spotting"] is None


def test_a_clip_without_movement_keeps_no_apex(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "HS" / "s1" / "micro" / "surprise" / "s1_sur_01"
    folder.mkdir(parents=True)
    for i in range(5):
        Image.new("L", (64, 64), 90).save(folder / f"reg_image{i}.bmp")
    store = prepare("smic", tmp_path / "data", tmp_path / "store", image_size=64)
    assert store.clips[0].apex is None
    assert store.clips[0].apex_method is None
    (warning,) = store.meta["header"]["warnings"]
    assert "no apex spotted" in warning["reason"]


def test_weights_asked_for_by_name_must_be_there(astronaut: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="FEAT_MULTITASK_WEIGHTS"):
        prepare("folder", out=tmp_path / "s", images=[astronaut], intensities="v2")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"features": {"glow": {}}}, "no feature glow"),
        ({"geometry": "squash"}, "geometry must be one of auto, align, crop, resize, got 'squash'"),
        ({"apex": "guess"}, "apex must be one of auto, annotated, strain"),
        ({"detector": "hog"}, "detector must be"),
        ({"intensities": "v3"}, "intensities must be one of auto, none, v2, v1, openface=DIR"),
    ],
)
def test_unknown_settings(
    astronaut: Path, tmp_path: Path, setting: dict[str, str], said: str
) -> None:
    with pytest.raises((ValueError, FeatureError), match=said):
        prepare("folder", out=tmp_path / "s", images=[astronaut], **setting)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("source", ["samm", "phantom", "composite", "folder"])
def test_photos_go_with_the_folder_alone(astronaut: Path, tmp_path: Path, source: str) -> None:
    with pytest.raises(ValueError, match="go with --source folder"):
        prepare(source, tmp_path, tmp_path / "s", images=[astronaut])


def test_one_bad_face_is_one_problem(astronaut: Path, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (300, 200), (120, 110, 100)).save(wall)
    store = prepare("folder", out=tmp_path / "s", images=[wall, astronaut], skip_bad=True)
    assert [clip.subject for clip in store.clips] == ["astronaut"]
    (skipped,) = store.meta["header"]["skipped"]
    assert skipped["file"] == "folder/wall/wall"
    assert str(tmp_path) not in (store.path / "store.json").read_text()


def test_a_killed_preparation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [s for s in clip_specs(seed=3) if s.clip.num_frames < 40][:4]
    root = smic_tree(tmp_path / "data", specs)
    whole = prepare("smic", root, tmp_path / "whole", image_size=32)
    monkeypatch.setattr("mersynth.prepare.database.CLIPS_A_COMMIT", 1)
    end_clip, added = StoreWriter.end_clip, []

    def killed(self: StoreWriter, *arrays: object) -> None:
        added.append(len(added))
        if len(added) == 3:
            raise KeyboardInterrupt
        end_clip(self, *arrays)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreWriter, "end_clip", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare("smic", root, tmp_path / "cut", image_size=32)
    with pytest.raises(StoreError, match=r"an interrupted store is in .* add --resume"):
        prepare("smic", root, tmp_path / "cut", image_size=32)
    store = prepare("smic", root, tmp_path / "cut", image_size=32, resume=True)
    assert len(added) == 3 + 2  # the two clips that were written are not written again
    assert store.checksum == whole.checksum
    # Killed after the store was in its place: it is whole, and the command goes on to the features.
    store = prepare(
        "smic", root, tmp_path / "cut", image_size=32, resume=True, features={"dynamic_image": {}}
    )
    assert len(added) == 3 + 2
    assert store.checksum == whole.checksum
    assert list((store.path / "features").glob("dynamic_image-*.npy"))
    with pytest.raises(StoreError, match="exists already, and is another store"):
        prepare("smic", root, tmp_path / "cut", image_size=40, resume=True)


def test_a_killed_rendering_of_the_phantom_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"image_size": 32, "subjects": 2, "counts": {"anger": 4}, "max_frames": 8}
    monkeypatch.setattr("mersynth.phantom.population.CLIPS_A_COMMIT", 1)
    whole = write_store(tmp_path / "whole", **settings)
    add, added = StoreWriter.add, []

    def killed(self: StoreWriter, *arrays: object) -> None:
        added.append(len(added))
        if len(added) == 3:
            raise KeyboardInterrupt
        add(self, *arrays)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreWriter, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "cut", **settings)
    assert write_store(tmp_path / "cut", **settings, resume=True).checksum == whole.checksum
    assert len(added) == 3 + 2


def test_a_long_video_is_never_in_memory(tmp_path: Path) -> None:
    """Its frames are read one after another; its apex is looked for in 500 of them."""
    side, most = 64, []
    for count in (600, 2400):
        video = tmp_path / f"{count}.avi"
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (side, side))
        picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        for place in range(count):
            writer.write(np.roll(picture, place % 7, 1))
        writer.release()
        tracemalloc.start()
        store = prepare(
            "folder", out=tmp_path / str(count), videos=[video], image_size=side, geometry="resize"
        )
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(store[0].frames) == count
        assert 0 < store.clips[0].apex < count - 1
    assert most[1] - most[0] < 0.2 * (2400 - 600) * side**2 * 3


def test_the_strength_of_a_rendered_tree_is_recorded(tmp_path: Path) -> None:
    root = smic_tree(tmp_path / "data", clip_specs(seed=3)[:1])
    store = prepare("smic", root, tmp_path / "s", image_size=16, apex="annotated", strength="macro")
    assert {clip.strength for clip in store.clips} == {"macro"}


def test_photos_do_not_decide_whether_videos_get_an_apex(astronaut: Path, tmp_path: Path) -> None:
    spec = next(s for s in clip_specs(seed=3) if s.clip.num_frames > 20)
    frames, _, _ = render_clip(spec, 64)
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 100.0, (64, 64))
    for frame in frames:
        writer.write(frame[..., ::-1].copy())
    writer.release()
    store = prepare(
        "folder", out=tmp_path / "s", images=[astronaut], videos=[video], geometry="resize"
    )
    assert [clip.apex_method for clip in store.clips] == [None, "strain"]


def test_a_phantom_that_is_there_already_is_taken_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    header = {"source": "phantom", "image_size": 32, "seed": 0, "strength": "micro"}
    clips = [replace(clip, source="phantom") for clip in tiny_clips()]
    now = {**header, "phantom": VERSION}
    there = write_tiny_store(tmp_path / "s", clips, header=now)  # type: ignore[arg-type]
    assert prepare("phantom", out=tmp_path / "s", image_size=32).checksum == there.checksum
    assert f"{tmp_path / 's'} exists already, prepared in the same way" in caplog.text
    with pytest.raises(StoreError, match="prepared with image_size 32, not 64: choose another"):
        prepare("phantom", out=tmp_path / "s", image_size=64)
    write_tiny_store(tmp_path / "t", clips, header=header)  # as the stores of before had it
    with pytest.raises(
        StoreError, match=rf"prepared with phantom of version 1, not {VERSION}: choose"
    ):
        prepare("phantom", out=tmp_path / "t", image_size=32)


def test_features_are_added_to_a_store_prepared_in_the_same_way(
    astronaut: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {"flow": {"method": "dis"}}

    def run(**changes: object) -> None:
        settings = {"out": tmp_path / "s", "image_size": 32} | changes
        prepare("folder", **settings)

    run(images=[astronaut])
    for others in ({}, {"images": [astronaut], "features": wanted}):
        with pytest.raises(StoreError, match="exists already; remove it"):
            run(**others)
    with pytest.raises(StoreError, match="prepared with image_size 32, not 64"):
        run(features=wanted, image_size=64)
    caplog.set_level(logging.INFO)
    run(features=wanted)
    assert "exists already" not in caplog.text
    run(features=wanted)
    assert "flow: exists already" in caplog.text
    with pytest.raises(ValueError, match="name what to compute with --features: flow, "):
        add_features(tmp_path / "s", {})


def _moved(frame: np.ndarray, right: float) -> np.ndarray:
    """The frame shifted to the right, by linear interpolation."""
    whole, part = int(right // 1), right % 1
    return (1 - part) * np.roll(frame, whole, 1) + part * np.roll(frame, whole + 1, 1)


def _casme2_table(root: Path, rows: list[list[object]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    header = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"]
    for row in [[*header, "Action Units", "Estimated Emotion"], *rows]:
        book.worksheets[0].append(row)
    book.save(root / "CASME2-coding-20140508.xlsx")
