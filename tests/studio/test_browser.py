"""The page in a real browser: sliders move, pictures change, a clip is kept, a photo dropped."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from mersynth.store.clip_store import ClipStore
from mersynth.studio.faces import photo_faces
from mersynth.studio.page import serve
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.studio_tab import studio_tab
from tests.tiny_store import write_tiny_store

pytestmark = pytest.mark.slow

_WAIT = 120_000  # milliseconds; a loaded machine is slow, a dead page never answers
_CONTENT = (
    "place => [...document.querySelectorAll(`${place} .row, ${place} .films`)]"
    ".map(each => each.outerHTML).join('')"
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module", name="browser")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose camera sees the astronaut."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("gradio", reason="gradio is not installed")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("there is no chromium")
    with sync.sync_playwright() as playwright:
        seen = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
        Image.fromarray(astronaut()).save(seen, "JPEG")
        camera = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")
        args = ["--no-sandbox", *(f"--{a}" for a in camera)]
        args.append(f"--use-file-for-fake-video-capture={seen}")
        browser = playwright.chromium.launch(executable_path=program, args=args)
        yield browser
        browser.close()


@pytest.fixture(scope="module", name="served")
def _served(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The page's address, and the folder that it was started in."""
    folder = tmp_path_factory.mktemp("studio")
    store = write_tiny_store(folder / "stores" / "real", image_size=64, measured=True)
    quick = ("keep_weights=true", "executor.workers=1", "device=cpu", "model.training.epochs=1")
    asked = Request(
        data=[store.path], model="ststnet_tiny", overrides=quick, split="loso", groups=2
    )
    evaluate(asked, folder / "runs" / "quick")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        address, end = serve(tabs={"Open a run": studio_tab}, block=False)
        yield address, folder
        end()


@pytest.fixture(name="page")
def _page(browser: Any, served: tuple[str, Path]) -> Iterator[Any]:
    """A page that asks nobody but its own server."""
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    page.set_default_timeout(_WAIT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served[0])
    page.locator("#stills img").first.wait_for()
    yield page
    page.close()
    own = (served[0], "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []


def _content(page: Any, place: str) -> str:
    """What a place of the page shows, without what Gradio lays around it."""
    return str(page.evaluate(_CONTENT, place))


def _changed(page: Any, place: str, before: str) -> str:
    """What a place of the page shows once it is another thing than before."""
    page.wait_for_function(
        f"([place, before]) => ({_CONTENT})(place) !== before", arg=[place, before]
    )
    return _content(page, place)


def _data_urls(content: str, view: str) -> list[str]:
    return re.findall(rf'data-view="{view}" src="([^"]+)"', content)


def _set(page: Any, slider: str, value: float) -> None:
    number = page.locator(f"#{slider} input[type=number]")
    number.fill(str(value))
    number.press("Tab")


def test_pictures_and_films_follow_a_slider(page: Any) -> None:
    stills, films = (_content(page, place) for place in ("#stills", "#films"))
    page.locator("#au4-left input[type=range]").focus()
    page.keyboard.press("End")
    after = _changed(page, "#stills", stills)
    assert after.count("<img") == 10
    onset, apex = _data_urls(after, "onset"), _data_urls(after, "apex")
    assert onset == _data_urls(stills, "onset")
    assert all(a != b for a, b in zip(apex, _data_urls(stills, "apex"), strict=True))
    _set(page, "au4-left", 0.5)
    played = _changed(page, "#films", films)
    assert "AU 4 " in played


def test_a_film_plays(page: Any) -> None:
    film = page.locator(".film").first
    film.scroll_into_view_if_needed()
    seen = set()
    for _ in range(8):
        seen.add(film.screenshot())
        page.wait_for_timeout(150)
    assert len(seen) > 2


def test_sides_come_apart(page: Any) -> None:
    assert not page.locator("#au12-right").is_visible()
    page.get_by_label("Left and right apart").check()
    page.locator("#au12-right").wait_for()
    before = _content(page, "#films")
    _set(page, "au12-right", 0)
    assert "AU 6+L12<" in _changed(page, "#films", before)


def test_an_au_cell_moves_the_sliders_and_a_wrong_one_is_explained(page: Any) -> None:
    cell = page.locator("#cell textarea, #cell input")
    page.get_by_role("tab", name="AU cell").click()
    before = _content(page, "#films")
    cell.fill("1+2")
    cell.press("Enter")
    assert "AU 1 " in _changed(page, "#films", before)
    assert page.locator("#au2-left input[type=number]").input_value() == "1"
    cell.fill("99")
    cell.press("Enter")
    page.get_by_text("FACS has no AU 99").wait_for()


def test_a_clip_is_followed(page: Any) -> None:
    before = _content(page, "#films")
    page.get_by_role("tab", name="Follow a clip").click()
    page.locator("#follow input").click()
    page.get_by_role("option").first.click()
    assert "follows phantom/" in _changed(page, "#films", before)


def test_a_clip_is_kept_saved_and_downloaded(page: Any, served: tuple[str, Path]) -> None:
    page.locator("#keep").click()
    page.get_by_text("1 kept").wait_for()
    page.locator("#store-name input, #store-name textarea").fill("kept")
    page.locator("#save").click()
    page.get_by_text("Saved:").wait_for()
    store = ClipStore.open(served[1] / "stores" / "kept")
    assert [clip.aus for clip in store.clips] == ["6+12"]
    page.locator("#gif").click()
    link = page.locator("#file a").first
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    with Image.open(download.value.path()) as image:
        assert image.format == "GIF"


def test_a_photo_is_dropped(page: Any, tmp_path: Path) -> None:
    photo, blank = tmp_path / "photo.png", tmp_path / "blank.png"
    Image.fromarray(astronaut()).save(photo)
    Image.fromarray(np.full((300, 300, 3), 255, np.uint8)).save(blank)
    before = _content(page, "#stills")
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(photo)
    after = _changed(page, "#stills", before)
    assert _data_urls(after, "onset") != _data_urls(before, "onset")
    page.locator("#photo").get_by_label("Remove Image").click()
    page.locator("#photo input[type=file]").set_input_files(blank)
    page.get_by_text("no face").first.wait_for()
    assert _content(page, "#stills") == after


def test_a_face_of_several_is_chosen(page: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.webp"
    Image.fromarray(np.hstack([astronaut(), astronaut()[:, ::-1]])).save(photo)
    before = _content(page, "#stills")
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(photo)
    first = _changed(page, "#stills", before)
    page.locator("#which label").nth(1).click()
    second = _changed(page, "#stills", first)
    assert _data_urls(first, "onset") != _data_urls(second, "onset")


def test_the_camera_takes_a_photo_that_is_not_mirrored(page: Any, tmp_path: Path) -> None:
    before = _content(page, "#stills")
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo").get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.locator("#photo").get_by_label("capture photo").click()
    taken = _data_urls(_changed(page, "#stills", before), "onset")[0]
    encoded = np.frombuffer(base64.b64decode(taken.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert picture is not None
    Image.fromarray(astronaut()).save(tmp_path / "same.png")
    (same,) = photo_faces(tmp_path / "same.png")
    off = [np.abs(picture[:, ::way, ::-1] - same.image.astype(float)).mean() for way in (1, -1)]
    assert off[0] < off[1] / 2


def test_a_file_that_is_no_photo_is_explained(page: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_text("no picture")
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(photo)
    told = page.get_by_text("this photo cannot be used: the image is truncated or damaged")
    told.wait_for()
    assert told.is_visible()


def test_a_run_opens_and_a_clip_is_explained(page: Any) -> None:
    page.get_by_role("tab", name="Open a run").click()
    page.wait_for_timeout(2000)  # the list is looked up anew
    page.locator("#run input").click()
    page.get_by_role("option", name="runs/quick").click()
    page.frame_locator("#report iframe").get_by_text("UF1").first.wait_for()
    page.locator("#run-clip input").click()
    page.get_by_role("option").first.click()
    page.locator("#explain").click()
    picture = page.frame_locator("#explained iframe").locator("img").first
    picture.wait_for()
    assert picture.is_visible()


def test_a_store_plays(page: Any) -> None:
    page.get_by_role("tab", name="Play a store").click()
    page.wait_for_timeout(2000)  # the list is looked up anew
    page.locator("#play-store input").click()
    page.get_by_role("option", name="stores/real").click()
    page.locator("#play-clips .film").first.wait_for()
    assert page.locator("#play-clips article").count() == 8
    before = page.locator("#play-clips").inner_html()
    page.get_by_label("Class").click()
    page.get_by_role("option", name="surprise").click()
    page.wait_for_function(
        "before => document.querySelector('#play-clips').innerHTML !== before", arg=before
    )
    assert set(page.locator("#play-clips h4").all_inner_texts()) == {"surprise"}


def test_other_files_are_not_served(page: Any, served: tuple[str, Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business")
    for path in (secret, served[1] / "stores" / "real" / "store.json", Path("/etc/hostname")):
        answer = page.request.get(f"{served[0]}gradio_api/file={path}")
        assert answer.status in (403, 404)
        assert "nobody's business" not in answer.text()
