"""What the studio shows and keeps, without a browser."""

from __future__ import annotations

import base64
import html
import logging
import re
import tomllib
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from mersynth.augment.au_warp import au_flow
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, condition_vector, parse_au_cell
from mersynth.store.clip_store import StoreError
from mersynth.studio.faces import Face, phantom_face, photo_faces, store_face
from mersynth.studio.keeping import make_clip, write_film, write_store
from mersynth.studio.looking import VIEWS, apex_of, arrows, film, look, measured_flow
from mersynth.studio.markup import curves_chart, film_player
from mersynth.studio.motion import NUM_FRAMES, Wish, cell_of, peaks_of, peaks_of_clip
from mersynth.studio.playing import CLIPS_A_PAGE, EVERY_CLASS, EVERYONE, chosen, page_of
from mersynth.studio.session import (
    BUILT_IN,
    Session,
    clip_to_follow,
    clips_to_follow,
    films,
    prototype_choices,
    stills,
)
from mersynth.studio.shelf import Shelf
from mersynth.studio.sliders import REGIONS, peaks_from
from tests.tiny_store import write_tiny_store

REPOSITORY = Path(__file__).parents[2]
SMILE = Wish(peaks_of("6+12"))


@pytest.fixture(scope="module", name="face")
def _face() -> Face:
    return phantom_face(3)


@pytest.fixture(name="here")
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("cell", ["6+12", "L14", "4+R12+43", "A/L12+25"])
def test_sliders_write_the_cell_that_they_were_set_by(cell: str) -> None:
    assert cell_of(peaks_of(cell)) == cell
    assert (peaks_of(cell) == condition_vector(parse_au_cell(cell), unlettered=1.0)).all()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "names no AU"),
        ("99", "FACS has no AU 99"),
        ("12+18", "AU 18 cannot"),
        ("so", "cannot be read"),
    ],
)
def test_a_cell_that_moves_nothing_is_explained(cell: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        peaks_of(cell)


def test_every_au_has_a_slider_in_one_region() -> None:
    assert sorted(n for numbers in REGIONS.values() for n in numbers) == list(CONDITION_AUS)


def test_sliders_stand_for_both_sides_until_they_are_apart() -> None:
    lateral = [n for n in CONDITION_AUS if ACTION_UNITS[n].lateral]
    left, right = np.linspace(0.1, 0.9, 20), np.linspace(0, 0.5, len(lateral))
    together = peaks_from([False, *left, *right])
    assert np.allclose(together, left[:, None])
    sides = dict(zip(CONDITION_AUS, peaks_from([True, *left, *right]), strict=True))
    assert np.allclose([sides[n][1] for n in lateral], right)
    assert sides[25][0] == sides[25][1] == together[CONDITION_AUS.index(25), 0]


def test_a_curve_rises_to_the_sliders_and_falls_back(face: Face) -> None:
    curve = Wish(peaks_of("6+12"), 0.42).curve(face.item)
    assert curve.shape == (NUM_FRAMES, 20, 2)
    assert not curve[0].any()
    assert not curve[-1].any()
    assert np.allclose(curve[apex_of(curve)], 0.42 * peaks_of("6+12"))


def test_a_followed_clip_gives_its_curve_and_its_length(face: Face) -> None:
    shelf = Shelf()
    name = clips_to_follow(shelf, BUILT_IN)[5]
    item = clip_to_follow(shelf, BUILT_IN, name)
    wish = Wish(strength=1.0, followed=item)
    curve = wish.curve(face.item)
    assert np.allclose(curve.max(0), peaks_of_clip(item), atol=0.02)
    assert NUM_FRAMES / wish.fps == pytest.approx(item.clip.num_frames / item.clip.fps)
    assert wish.aus == item.clip.aus
    with pytest.raises(StoreError, match="has no clip nobody"):
        clip_to_follow(shelf, BUILT_IN, "nobody")


@pytest.mark.parametrize("place", [0, 1])
def test_pictures_show_where_the_face_moves(face: Face, place: int) -> None:
    generator = face.generators[place]
    pictures = look(face.item, generator, SMILE.curve(face.item), list(VIEWS))
    assert list(pictures) == list(VIEWS)
    assert (pictures["onset"] == face.image).all()
    change = np.abs(pictures["apex"].astype(int) - face.image).mean(-1)
    half = len(change) // 2
    assert change[half:].mean() > 2 * change[: half // 2].mean()  # a smile, not the forehead
    assert np.abs(pictures["difference"] - 127.5).mean() > 2 * change.mean()
    kept = pictures["mask"][..., 0]
    assert kept[change > 20].mean() < kept[change < 1].mean() - 40


def test_only_the_views_that_are_asked_for_are_made(face: Face) -> None:
    assert list(look(face.item, face.generators[1], SMILE.curve(face.item), ["mask"])) == ["mask"]


def test_the_warp_shows_the_same_whether_it_has_just_shown_the_face_or_not(face: Face) -> None:
    warp = face.generators[1]
    fresh = replace(face.item)  # another face to the generator, with the same picture
    curve = SMILE.curve(face.item)[:3]
    assert (film(face.item, warp, curve) == film(fresh, warp, curve)).all()
    assert (film(fresh, warp, curve) == film(fresh, warp, curve)).all()


def test_measured_motion_is_the_warps_own(face: Face) -> None:
    curve = SMILE.curve(face.item)[[0, 10]]
    apex = film(face.item, face.generators[1], curve)[1]
    landmarks, asked = torch.from_numpy(face.item.landmarks), torch.from_numpy(curve[None, 1:])
    true = au_flow(landmarks, asked, face.image.shape[:2])[0, 0].permute(1, 2, 0)
    found = measured_flow(face.image, apex)
    strong = true.norm(dim=-1).numpy() > 3
    error = np.linalg.norm(found - true.numpy(), axis=-1)[strong]
    assert np.median(error) < 0.5 * np.median(true.norm(dim=-1).numpy()[strong])


def test_a_still_face_has_no_arrows(face: Face) -> None:
    still = arrows(face.image, np.zeros((*face.image.shape[:2], 2), np.float32))
    moved = arrows(face.image, np.full((*face.image.shape[:2], 2), 3, np.float32))
    colourful = [int((np.ptp(p.astype(int), axis=-1) > 120).sum()) for p in (still, moved)]
    assert colourful[0] < colourful[1] / 20


def test_the_page_holds_pictures_and_films_of_both_generators(face: Face) -> None:
    session = Session(face)
    rows = stills(session, SMILE, ["onset", "apex"])
    assert rows.count("data:image/jpeg") == 4
    assert rows.index("AU-ICGAN") < rows.index("AU warp")
    played = films(session, SMILE)
    assert played.count('class="film"') == 2
    assert "AU 12 <small>lip corner puller" in played


def test_every_prototype_that_is_offered_can_be_worn() -> None:
    choices = prototype_choices()
    assert ("contempt: L14", "L14") in choices
    for _, cell in choices:
        assert peaks_of(cell).any()


def test_a_film_is_its_frames_in_a_row() -> None:
    frames = np.stack([np.full((32, 32, 3), 20 * i, np.uint8) for i in range(5)])
    player = film_player(frames, 32)
    assert "steps(5,jump-none)" in player
    encoded = re.search(r"base64,([^)]+)\)", player)
    assert encoded is not None
    strip = cv2.imdecode(np.frombuffer(base64.b64decode(encoded[1]), np.uint8), 1)
    assert strip is not None
    assert np.allclose(strip[16, 16::32, 0], [0, 20, 40, 60, 80], atol=2)


def test_the_aus_that_move_most_have_curves() -> None:
    curve = np.zeros((9, 20, 2), np.float32)
    curve[4, CONDITION_AUS.index(12), 0] = 0.8
    curve[4, CONDITION_AUS.index(4)] = 0.3
    chart = curves_chart(curve, 4)
    assert chart.index("AU 12") < chart.index("AU 4")
    assert chart.count("<polyline") == 2
    assert "no AU moves" in curves_chart(np.full((9, 20, 2), np.nan, np.float32), None)


def test_clips_that_were_made_become_a_store(face: Face, here: Path) -> None:
    followed = clip_to_follow(Shelf(), BUILT_IN, clips_to_follow(Shelf(), BUILT_IN)[0])
    wishes = [SMILE, Wish(strength=1.0, followed=followed)]
    made = [make_clip(face, face.generators[i], w, "happiness") for i, w in enumerate(wishes)]
    store = write_store("mine", made)
    assert store.path == Path("stores/mine")
    first, second = store.clips
    assert (first.id, first.aus, first.template) == ("phantom/p003/studio_000", "6+12", None)
    assert second.template == followed.clip.id
    assert [c.generator for c in store.clips] == [g.sha256 for g in face.generators]
    assert face.item.clip.subject_id in second.unseen  # the warp saw nobody
    assert (face.item.clip.subject_id in first.unseen) == (
        face.item.clip.subject_id not in face.generators[0].training_subjects
    )
    assert np.allclose(store[0].intensities, SMILE.curve(face.item))
    assert (store[0].frames[0] == made[0].frames[0]).all()
    header = store.meta["header"]
    assert header["synthetic"]
    assert header["licence"] == face.header["licence"]
    assert [g["name"] for g in header["generators"]] == ["icgan", "warp"]
    with pytest.raises(StoreError, match="exists already"):
        write_store("mine", made)


def test_what_cannot_be_kept_is_refused(face: Face, here: Path) -> None:
    with pytest.raises(ValueError, match="nothing moves"):
        make_clip(face, face.generators[0], Wish(), "happiness")
    with pytest.raises(StoreError, match="keep a clip first"):
        write_store("mine", [])
    for name in ("../mine", "", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="letters, digits"):
            write_store(name, [])
    assert not list(here.iterdir())


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_clip_is_written_as_a_film(face: Face, tmp_path: Path, suffix: str) -> None:
    made = make_clip(face, face.generators[1], SMILE, "happiness")
    path = write_film(made, tmp_path / f"clip{suffix}")
    if suffix == ".gif":
        with Image.open(path) as image:
            assert (image.n_frames, image.size) == (NUM_FRAMES, (256, 256))  # type: ignore[attr-defined]
        return
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(60)
    frames = [frame for ok, frame in iter(video.read, (False, None)) if ok]
    assert len(frames) == NUM_FRAMES
    assert np.abs(frames[10][..., ::-1].astype(int) - made.frames[10]).mean() < 8


def test_a_photo_becomes_a_face(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photo = tmp_path / "image.png"
    Image.fromarray(astronaut()).save(photo)
    caplog.set_level(logging.ERROR)
    (face,) = photo_faces(photo)
    assert face.image.shape == (256, 256, 3)
    assert "happiness" in face.emotions
    Image.fromarray(astronaut()[:, ::-1]).save(photo)
    assert photo_faces(photo)[0].item.clip.id != face.item.clip.id
    Image.new("RGB", (300, 300), "white").save(photo)
    with pytest.raises(ValueError, match=r"cannot be used: .*no face"):
        photo_faces(photo)


def test_a_photo_of_two_gives_two_faces(tmp_path: Path) -> None:
    photo = tmp_path / "image.png"
    Image.fromarray(np.hstack([astronaut(), astronaut()[:, ::-1]])).save(photo)
    first, second = photo_faces(photo)
    assert first.item.clip.subject_id != second.item.clip.subject_id
    assert set(first.people) == {f.item.clip.subject_id for f in (first, second)}
    mirrored = second.image[:, ::-1].astype(int)
    assert np.abs(first.image - mirrored).mean() < 0.3 * np.abs(first.image - second.image).mean()


def test_a_person_of_a_store_becomes_a_face(tmp_path: Path, face: Face) -> None:
    store = write_tiny_store(tmp_path / "store", image_size=64)
    other = store_face(store, "samm/003")
    assert (other.image == store[15].frames[0]).all()
    assert other.people == store.subjects
    with pytest.raises(StoreError, match="has no person samm/9"):
        store_face(store, "samm/9")


def test_synthetic_clips_lend_no_face(face: Face, here: Path) -> None:
    store = write_store("mine", [make_clip(face, face.generators[1], SMILE, "happiness")])
    with pytest.raises(StoreError, match="holds synthetic clips"):
        store_face(store, face.item.clip.subject_id)


def test_the_shelf_opens_its_stores_and_no_other_folder(here: Path) -> None:
    write_tiny_store(here / "stores" / "one")
    write_tiny_store(here / "elsewhere" / "two")
    assert Shelf().names() == ["stores/one"]
    shelf = Shelf([here / "elsewhere" / "two"])
    assert len(shelf.names()) == 2
    assert len(shelf.open(str(here / "elsewhere" / "two"))) == 25
    for name in (str(here / "elsewhere" / "two"), "stores/../elsewhere/two", None):
        with pytest.raises(StoreError, match="choose a store from the list"):
            Shelf().open(name)
    with pytest.raises(StoreError, match="no store at"):
        Shelf([here / "nowhere"])


def test_a_store_plays_by_class_and_person(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store", measured=True)
    assert len(chosen(store, EVERY_CLASS, EVERYONE)) == 25
    angry = chosen(store, "anger", EVERYONE)
    assert {clip.emotion for clip in angry.clips} == {"anger"}
    assert len(chosen(store, "anger", "samm/002")) == 1
    page = page_of(store, 4)
    assert page.count('class="film"') == 25 - 3 * CLIPS_A_PAGE
    assert page.count("<polyline") == 5
    assert "no clip of this class" in page_of(chosen(store, "fear", EVERYONE), 1)


def test_text_of_a_store_is_no_markup(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store")
    clip = replace(store.clips[0], emotion="<script>", aus="<b>4")
    page = page_of(store.view([clip], store.starts[:1]), 1)
    assert "<script>" not in page
    assert html.escape("<script>") in page


def test_the_tab_that_recognizers_adds_is_there() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (target,) = project["entry-points"]["mersynth.studio"].values()
    module, _, name = target.partition(":")
    assert callable(getattr(import_module(module), name))
