"""The page in a real browser: sliders move, pictures change, a clip is kept, a photo dropped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from mersynth.store.clip_store import ClipStore
from mersynth.studio.page import serve
from tests.tiny_store import write_tiny_store

pytestmark = pytest.mark.slow

_WAIT = 120_000  # milliseconds; a loaded machine is slow, a dead page never answers
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("gradio", reason="gradio is not installed")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("there is no chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module", name="served")
def _served(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The page's address, and the folder that it was started in."""
    folder = tmp_path_factory.mktemp("studio")
    write_tiny_store(folder / "stores" / "real", image_size=64, measured=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        address, end = serve(tabs={}, block=False)
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


def _changes(page: Any, place: str, before: str) -> str:
    """What a place of the page holds once it is another thing than before."""
    page.wait_for_function(
        "([place, before]) => document.querySelector(place).innerHTML !== before",
        arg=[place, before],
    )
    after: str = page.locator(place).inner_html()
    return after


def _set(page: Any, slider: str, value: float) -> None:
    number = page.locator(f"#{slider} input[type=number]")
    number.fill(str(value))
    number.press("Tab")


def test_pictures_and_films_follow_a_slider(page: Any) -> None:
    stills, films = (page.locator(place).inner_html() for place in ("#stills", "#films"))
    page.locator("#au4-left input[type=range]").focus()
    page.keyboard.press("End")
    after = _changes(page, "#stills", stills)
    assert after.count("<img") == 10
    onset, apex = (
        re.findall(rf'data-view="{view}" src="([^"]+)"', after) for view in ("onset", "apex")
    )
    assert onset == re.findall(r'data-view="onset" src="([^"]+)"', stills)
    assert all(a != b for a, b in zip(onset, apex, strict=True))
    _set(page, "au4-left", 0.5)
    played = _changes(page, "#films", films)
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
    before = page.locator("#films").inner_html()
    _set(page, "au12-right", 0)
    assert "A/L" in _changes(page, "#films", before) or "L12" in page.locator("#films").inner_html()


def test_an_au_cell_moves_the_sliders_and_a_wrong_one_is_explained(page: Any) -> None:
    cell = page.locator("#cell textarea, #cell input")
    page.get_by_role("tab", name="AU cell").click()
    before = page.locator("#films").inner_html()
    cell.fill("1+2")
    cell.press("Enter")
    assert "AU 1 " in _changes(page, "#films", before)
    assert page.locator("#au2-left input[type=number]").input_value() == "1"
    cell.fill("99")
    cell.press("Enter")
    page.get_by_text("FACS has no AU 99").wait_for()


def test_a_clip_is_followed(page: Any) -> None:
    before = page.locator("#films").inner_html()
    page.get_by_role("tab", name="Follow a clip").click()
    page.locator("#follow input").click()
    page.get_by_role("option").first.click()
    assert "follows phantom/" in _changes(page, "#films", before)


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
    before = page.locator("#stills").inner_html()
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(photo)
    after = _changes(page, "#stills", before)
    assert re.findall(r'data-view="onset" src="([^"]+)"', after) != re.findall(
        r'data-view="onset" src="([^"]+)"', before
    )
    page.locator("#photo").get_by_label("Clear").click()
    page.locator("#photo input[type=file]").set_input_files(blank)
    page.get_by_text("no face").first.wait_for()
    assert page.locator("#stills").inner_html() == after


def test_a_store_plays(page: Any) -> None:
    page.get_by_role("tab", name="Play a store").click()
    page.locator("#play-store input").click()
    page.get_by_role("option", name="stores/real").click()
    page.locator("#play-clips .film").first.wait_for()
    assert page.locator("#play-clips article").count() == 8


def test_other_files_are_not_served(page: Any, served: tuple[str, Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business")
    for path in (secret, served[1] / "stores" / "real" / "store.json", Path("/etc/hostname")):
        answer = page.request.get(f"{served[0]}gradio_api/file={path}")
        assert answer.status in (403, 404)
        assert "nobody's business" not in answer.text()
