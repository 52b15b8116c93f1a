"""A face that follows a clip of a store or a film."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner

from mersynth.cli import app
from mersynth.config import ConfigError
from mersynth.export.video import write_video
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED, CheckpointError, load_card
from mersynth.phantom.population import write_store
from mersynth.sources.errors import SourceError
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.writer import StoreWriter
from mersynth.transfer import transfer
from tests.tiny_store import write_tiny_store

ERRORS = (StoreError, SourceError, CheckpointError, ConfigError, ValueError, OSError)
SMILE = CONDITION_AUS.index(12)


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Three people's smiles."""
    path = tmp_path_factory.mktemp("transfer") / "phantom"
    return write_store(
        path,
        subjects=3,
        counts={"happiness": 4},
        first_subject=4300,
        strength="macro",
        max_frames=16,
    )


@pytest.fixture(scope="module", name="photo")
def _photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return path


def test_a_photo_follows_a_stores_clip(store: ClipStore, photo: Path, tmp_path: Path) -> None:
    model = store[0]
    film = tmp_path / "out.mp4"
    made = transfer(
        model.clip.id, photo, store=store.path, out=tmp_path / "made", film=film, seed=3
    )
    (item,) = made
    clip = item.clip
    assert (clip.source, clip.template) == ("folder", model.clip.id)
    assert clip.subject.startswith("astronaut")
    assert clip.generator == load_card(SHIPPED).sha256
    assert set(clip.unseen) == {*store.subjects, clip.subject_id}
    assert (clip.num_frames, clip.fps) == (model.clip.num_frames, model.clip.fps)
    assert (clip.apex_index, clip.emotion) == (model.clip.apex_index, "happiness")
    assert item.frames.shape[1:] == (256, 256, 3)
    moved = np.clip(model.intensities - model.intensities[:1], 0, 1)
    np.testing.assert_allclose(item.intensities, moved, atol=1e-6)
    change = np.abs(item.frames.astype(int) - item.frames[0]).mean((1, 2, 3))
    assert change[clip.apex_index] > 0.9 * change.max() > 0.5
    header = made.meta["header"]
    assert header["transfer"] == {"driving": model.clip.id, "curve": "measured"}
    assert (header["synthetic"], header["seed"]) == (True, 3)
    assert header["licence"].startswith("rendered, no real person: free to use; ")
    video = cv2.VideoCapture(str(film))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == clip.num_frames


def test_everybody_else_of_a_store_follows_a_motion(store: ClipStore, tmp_path: Path) -> None:
    model = store[0]
    film = tmp_path / "out.gif"
    options = ["curve=motion", "camera_noise=false", "head_motion=true"]
    made = transfer(
        model.clip.id,
        store.path,
        store=store.path,
        generator="warp",
        out=tmp_path / "made",
        film=film,
        overrides=options,
    )
    others = [name for name in store.subjects if name != model.clip.subject_id]
    assert [clip.subject_id for clip in made.clips] == others
    assert made.meta["header"]["transfer"]["curve"] == "motion"
    read, truth = made[0].intensities[:, SMILE], model.intensities[:, SMILE]
    assert np.corrcoef(read.max(1), truth.max(1))[0, 1] > 0.9
    with Image.open(film) as gif:
        assert gif.size == (2 * 128, 128)
    alone = transfer(
        model.clip.id,
        store.path,
        store=store.path,
        subjects=[model.clip.subject_id],
        generator="warp",
        out=tmp_path / "alone",
    )
    assert alone.subjects == (model.clip.subject_id,)


def test_a_photo_follows_a_film(photo: Path, store: ClipStore, tmp_path: Path) -> None:
    model = store[0]
    big = np.stack([cv2.resize(f, (320, 320), interpolation=cv2.INTER_CUBIC) for f in model.frames])
    film = tmp_path / "smile.mp4"
    write_video(film, big, 50.0, "mp4v")
    made = transfer(film, photo, out=tmp_path / "made", onset=0, offset=12)
    (item,) = made
    assert item.clip.template == "clip/smile/smile"
    assert (item.clip.num_frames, item.clip.fps) == (13, 50.0)
    assert item.clip.apex_method == "strain"
    assert made.meta["header"]["transfer"]["curve"] == "motion"
    peaks = item.intensities.max((0, 2))
    assert peaks[SMILE] > 0.2
    assert peaks[SMILE] == peaks.max()
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(big, 7):
        Image.fromarray(frame).save(folder / f"img{number}.png")
    again = transfer(folder, photo, out=tmp_path / "again", apex=11)
    assert (again[0].clip.num_frames, again[0].clip.apex) == (len(big), 4)


def test_the_apex_of_a_film_that_ends_with_it_is_where_the_curve_is_strong(
    photo: Path, store: ClipStore, tmp_path: Path
) -> None:
    model = store[0]
    assert model.clip.apex_index is not None
    frames = np.array(model.frames)
    shown = frames[[0] * 6 + [model.clip.apex_index] * 4]
    shown = np.stack([cv2.resize(f, (320, 320), interpolation=cv2.INTER_CUBIC) for f in shown])
    film = tmp_path / "film.mp4"
    write_video(film, shown, 50.0, "mp4v")
    (item,) = transfer(film, photo, out=tmp_path / "made", generator="warp")
    assert item.clip.apex_method is None
    assert item.clip.apex_index >= 6


def test_the_same_command_gives_the_same_bytes(store: ClipStore, tmp_path: Path) -> None:
    first, second = (
        transfer(
            store[0].clip.id, store.path, store=store.path, out=tmp_path / name, generator="warp"
        )
        for name in ("a", "b")
    )
    assert first.checksum == second.checksum


def test_errors_say_what_to_do(store: ClipStore, photo: Path, tmp_path: Path) -> None:
    name = store[0].clip.id
    out = tmp_path / "out"

    def refuses(message: str, driving: str | Path, face: Path, **options: object) -> None:
        with pytest.raises(ERRORS, match=message):
            transfer(driving, face, out=out, **options)  # type: ignore[arg-type]
        assert not out.exists()

    refuses("there is no clip.mp4: give a video", "clip.mp4", photo)
    refuses("no store at .*stores/phantom", "phantom/x/y", photo, store=tmp_path / "stores/phantom")
    refuses("has no clip 'phantom/x/y'; it has phantom/", "phantom/x/y", photo, store=store.path)
    refuses("is a store: name a clip of it", store.path, photo)
    refuses("--onset, .* are for films", name, photo, store=store.path, onset=3)
    refuses("there is no .*gone.png", name, tmp_path / "gone.png", store=store.path)
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    refuses(r"--face .*bad\.png: the image is truncated or damaged", name, bad, store=store.path)
    Image.new("RGB", (200, 200), "white").save(bad)
    refuses(r"--face .*bad\.png: .*no face found", name, bad, store=store.path)
    torn = tmp_path / "torn.mp4"
    torn.write_text("no film")
    refuses("torn.mp4: no frame can be read", torn, photo)
    blank = tmp_path / "blank.mp4"
    write_video(blank, np.full((4, 128, 128, 3), 200, np.uint8), 25.0, "mp4v")
    refuses("blank.mp4 cannot be followed: .*no face found.*--aligned", blank, photo)
    refuses("one of .mp4, .gif, got '.avi'", name, photo, store=store.path, film=Path("x.avi"))
    refuses("no folder .*nowhere", name, photo, store=store.path, film=tmp_path / "nowhere/x.gif")
    refuses("nobody called me", name, store.path, store=store.path, subjects=["me"])
    refuses("no generator at", name, photo, store=store.path, checkpoint=tmp_path / "none")
    refuses("curve must be one of auto, motion", name, photo, overrides=["curve=flow"])
    out.mkdir()
    with pytest.raises(StoreError, match="exists already"):
        transfer(name, photo, store=store.path, out=out)


def test_a_clip_that_cannot_be_followed_is_refused(
    store: ClipStore, photo: Path, tmp_path: Path
) -> None:
    model = store[0]
    still, cut = tmp_path / "still", tmp_path / "cut"
    with StoreWriter(still, [model.clip], 128, store.meta["header"]) as writer:
        writer.add(np.repeat(model.frames[:1], model.clip.num_frames, 0))
        writer.finish()
    with pytest.raises(StoreError, match=r"no AU moves in .* nothing to follow"):
        transfer(model.clip.id, photo, store=still, out=tmp_path / "out")
    jump = np.array(model.frames)
    jump[8:] = 255 - jump[8:]
    with StoreWriter(cut, [model.clip], 128, store.meta["header"]) as writer:
        writer.add(jump)
        writer.finish()
    with pytest.raises(StoreError, match=r"frame \d+ does not resemble the first.*--onset and"):
        transfer(model.clip.id, photo, store=cut, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_synthetic_clips_and_stills(tmp_path: Path, photo: Path) -> None:
    def said(*words: object) -> str:
        ran = CliRunner().invoke(app, ["transfer", "--face", str(photo), *map(str, words)])
        assert ran.exit_code == 1
        return ran.output

    tiny = write_tiny_store(tmp_path / "tiny", image_size=64)
    out = ("--out", tmp_path / "out")
    assert "has 1 frame; a clip to follow has 2 to 500" in said(
        "--driving", _one_image(tmp_path), *out
    )
    shutil.rmtree(tiny.path)
    assert "no store at" in said("--driving", "samm/000/anger_0", "--store", tiny.path, *out)


def _one_image(folder: Path) -> Path:
    place = folder / "one"
    place.mkdir()
    Image.fromarray(astronaut()).save(place / "img1.png")
    return place
