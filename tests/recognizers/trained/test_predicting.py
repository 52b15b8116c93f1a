"""``recognizers fit`` and ``predict`` as a user meets them: stores, frames, videos and arrays."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import recognizers
from mersynth.clips import Clip
from mersynth.face.detect import Face
from mersynth.face.template import HEAD, face_box
from mersynth.sources.video import video_frames
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.cli import app
from recognizers.trained.raw_clips import prepared_clip
from recognizers.trained.recognizer import TrainedRecognizer
from tests.recognizers.data.tiny_features import write
from tests.tiny_store import tiny_clips, write_tiny_store

SIZE = 32
FEW = ["model.training.epochs=1", "device=cpu"]


def call(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store ``samm``, and MMNet fitted to it by the command."""
    folder = tmp_path_factory.mktemp("place")
    store = write_tiny_store(folder / "samm", tiny_clips(subjects=2)).path
    done = call(
        *("fit", "--model", "mmnet_tiny", "--store", store, "--classes", "three"),
        *("--out", folder / "mmnet", *FEW),
    )
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(name="recognizer", scope="module")
def _recognizer(place: Path) -> TrainedRecognizer:
    return recognizers.load(place / "mmnet", "cpu")


@pytest.fixture(name="here")
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def moving(count: int = 9, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3) uint8: a texture in which a spot comes and goes."""
    rng = np.random.default_rng(1)
    frames = np.repeat(rng.integers(80, 140, (1, height, width, 3), dtype=np.uint8), count, axis=0)
    for number in range(count):
        strength = int(90 * np.sin(np.pi * number / (count - 1)))
        frames[number, 12:36, 20:44] += np.uint8(strength)
    return frames


def save(frames: np.ndarray, folder: Path, first: int = 7) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, first):
        Image.fromarray(frame).save(folder / f"img{number}.png")
    return folder


def film(frames: np.ndarray, path: Path) -> Path:
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 50, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def probabilities(folder: Path) -> np.ndarray:
    found = [[float(v) for k, v in row.items() if k.startswith("p_")] for row in rows(folder)]
    return np.array(found)


def test_a_store(place: Path, recognizer: TrainedRecognizer, here: Path) -> None:
    done = call("predict", "--model", place / "mmnet", "--store", place / "samm")
    assert done.exit_code == 0, done.output
    assert "samm/001/surprise_0" in done.output
    folder = here / "predictions" / "mmnet_samm"
    assert sorted(file.name for file in folder.iterdir()) == ["predictions.csv", "predictions.png"]
    expected = recognizer.predict_store(place / "samm")
    assert list(rows(folder)[0]) == [
        *("dataset", "subject", "clip", "predicted", "p_negative", "p_positive", "p_surprise")
    ]
    found = [(row["dataset"], row["subject"], row["clip"]) for row in rows(folder)]
    assert found == [(clip.source, clip.subject, clip.name) for clip in expected.clips]
    assert len(found) == 10  # those whose label has no class in the scheme, too
    assert [row["predicted"] for row in rows(folder)] == expected.predicted
    np.testing.assert_array_equal(probabilities(folder), expected.probabilities)
    with Image.open(folder / "predictions.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert (pixels == (26, 115, 232)).all(2).any()  # a bar
    onset = ClipStore.open(place / "samm")[0].frames[0]
    shown = np.asarray(Image.fromarray(onset).resize((128, 128), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(pixels[44 : 44 + 128, 250 : 250 + 128], shown)
    again = call("predict", "--model", place / "mmnet", "--store", place / "samm")
    assert again.exit_code == 1
    assert "exists already; remove it or choose another --out" in again.output


def test_a_folder_of_frames_is_an_array_is_a_store(
    place: Path, recognizer: TrainedRecognizer, here: Path
) -> None:
    frames = moving(height=SIZE, width=SIZE)
    folder = save(frames, here / "clip_3")
    done = call(
        *("predict", "--model", place / "mmnet", "--clip", folder, "--aligned", "--out", here / "p")
    )
    assert done.exit_code == 0, done.output
    assert "apex spotted by strain" in done.output
    assert "AU intensities are not measured" not in done.output  # nothing asks for them
    assert "mersynth-" not in done.output  # the store that is made and goes again
    (row,) = rows(here / "p")
    assert (row["dataset"], row["subject"], row["clip"]) == ("clip", "clip_3", "clip_3")
    of_array = recognizer.predict_clip(frames, aligned=True)
    np.testing.assert_array_equal(probabilities(here / "p"), of_array.probabilities)
    (clip,) = of_array.clips
    assert (clip.onset, clip.apex, clip.offset, clip.apex_method) == (0, 4, 8, "strain")
    # Onset, apex and offset can be named, by the numbers that the files bear.
    named = recognizer.predict_clip(folder, onset=8, apex=12, offset=14, aligned=True)
    clip = Clip(source="samm", subject="1", name="a", onset=8, apex=12, offset=14, emotion="anger")
    with StoreWriter(here / "store", [clip], SIZE, {"source": "samm"}) as writer:
        writer.add(frames[1:8])
        expected = recognizer.predict_store(writer.finish())
    np.testing.assert_array_equal(named.probabilities, expected.probabilities)
    assert not np.array_equal(named.probabilities, of_array.probabilities)


def test_a_clip_that_does_not_move_is_called_by_its_own_name(place: Path, here: Path) -> None:
    folder = save(moving(height=SIZE, width=SIZE)[:1].repeat(4, 0), here / "still")
    named = ("--clip", folder, "--aligned", "--apex", 8)
    done = call("predict", "--model", place / "mmnet", *named)
    assert done.exit_code == 0, done.output
    assert f"{folder}: in 1 of 1 clips no pixel changes from onset to apex" in done.output
    assert "mersynth-" not in done.output


def test_a_video(place: Path, recognizer: TrainedRecognizer, here: Path) -> None:
    video = film(moving(12), here / "clip.mp4")
    options = ("--aligned", "--onset", 2, "--apex", 5, "--offset", 9)
    done = call("predict", "--model", place / "mmnet", "--video", video, *options)
    assert done.exit_code == 0, done.output
    frames = np.stack(list(video_frames(video)))
    expected = recognizer.predict_clip(frames, onset=2, apex=5, offset=9, aligned=True)
    found = probabilities(here / "predictions" / "mmnet_clip")
    np.testing.assert_array_equal(found, expected.probabilities)
    with prepared_clip(recognizer, video, onset=2, apex=5, offset=9, aligned=True) as store:
        assert store.frames.shape == (8, SIZE, SIZE, 3)
        assert store.clips[0].fps == 50


def test_a_face_is_brought_to_where_the_training_had_it(
    recognizer: TrainedRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The face lies as it shall in a square of the right size: the store holds that square."""
    frames = moving()
    place = np.array([21, 9])
    landmarks = HEAD.landmarks(SIZE, SIZE) + place
    box = face_box(SIZE) + np.tile(place, 2)

    def find_all(finder: object, image: np.ndarray) -> list[Face]:
        return [Face(tuple(box.tolist()), landmarks, None, 1.0, "feat")]  # type: ignore[arg-type]

    monkeypatch.setattr("mersynth.face.detect.FaceFinder.find_all", find_all)
    with prepared_clip(recognizer, frames) as store:
        square = frames[:, 9 : 9 + SIZE, 21 : 21 + SIZE]
        assert np.abs(store.frames.astype(int) - square).max() <= 2  # the transform is rounded
        assert store.framing == HEAD
        path = store.path
    assert not path.exists()


def test_a_feature_file(here: Path) -> None:
    data = write(here / "samm.npz")
    options = ["model.options.image_size=8", *FEW]
    done = call("fit", "--model", "ststnet_tiny", "--data", data, *options)
    assert done.exit_code == 0, done.output
    model = here / "models" / "ststnet_tiny"
    done = call("predict", "--model", model, "--data", data, "--out", here / "p")
    assert done.exit_code == 0, done.output
    assert "and 6 more clips in predictions.csv" in done.output
    expected = recognizers.load(model).predict_file(data)
    np.testing.assert_array_equal(probabilities(here / "p"), expected.probabilities)
    with Image.open(here / "p" / "predictions.png") as sheet:
        assert sheet.width < 700  # no frames, no tiles
    refused = call("predict", "--model", model, "--video", "clip.mp4")
    assert refused.exit_code == 1
    assert "clip.mp4 cannot be predicted; give a feature file with such arrays" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the clips by one of --store, --clip, --video and --data"),
        (["--store", "a", "--clip", "b"], "give the clips by one of"),
        (["--clip", "none"], "no clip at none: give a folder of frames, or a video"),
        (["--clip", "empty"], "empty holds no frames: images with the frame number"),
        (
            ["--video", "broken.mp4"],
            r"broken\.mp4: no frame can be read; the file is dam",
        ),
        (["--clip", "torn", "--aligned"], r"torn cannot be predicted: img8\.png: .*truncated"),
        (["--clip", "gap", "--aligned"], r"gap cannot be predicted: \.: frame 9 of 7\.\.15 miss"),
        (["--clip", "good", "--aligned", "--apex", 99], r"apex 99 lies outside onset\.\.offset 7"),
        (["--clip", "good", "--offset", 99], r"offset must be a whole number from 7 to 15, got 99"),
        (
            ["--clip", "still", "--aligned"],
            r"still has no apex \(.*same.*\), .*needs; name the",
        ),
        (["--clip", "good"], r"good cannot be predicted: clip/good/good: img7\.png: .*no face"),
        (["--store", "nowhere"], "no store at nowhere"),
        (["--store", "nowhere", "--apex", 3], "a store and a feature file know it themselves"),
    ],
)
def test_mistakes_are_told_in_a_line(
    place: Path, here: Path, arguments: list[str], message: str
) -> None:
    frames = moving()
    for name in ("good", "torn", "gap"):
        save(frames, here / name)
    save(frames[:1].repeat(4, 0), here / "still")
    torn = here / "torn" / "img8.png"
    torn.write_bytes(torn.read_bytes()[:400])
    (here / "gap" / "img9.png").unlink()
    (here / "empty").mkdir()
    (here / "broken.mp4").write_bytes(b"no video")
    done = call("predict", "--model", place / "mmnet", *arguments)
    assert done.exit_code in (1, 2), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert re.search(message, done.output), done.output
    assert not (here / "predictions").exists()
