"""The page on which a store's clips play: what it says, and what it does in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mersynth.cli import app
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.pages import gallery
from mersynth.pages.gallery import write_gallery
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.writer import StoreWriter
from tests.tiny_store import tiny_clips, write_tiny_store


class _Clips(HTMLParser):
    """The clips of a page by id: their attributes, text, pictures and curves."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: dict[str, dict[str, Any]] = {}
        self.own: dict[str, Any] | None = None
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "figure" and known.get("class") == "clip":
            self.own = {**known, "text": "", "pictures": [], "curves": []}
            self.found[str(known["id"])] = self.own
        elif self.own is not None and tag == "img":
            self.own["pictures"].append(known)
        elif self.own is not None and tag == "polyline":
            self.own["curves"].append(known["points"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "figure":
            self.own = None

    def handle_data(self, data: str) -> None:
        if self.own is not None:
            self.own["text"] += data


def test_every_clip_has_a_film_of_its_frames_that_is_loaded_when_it_is_needed(
    tmp_path: Path,
) -> None:
    store = write_tiny_store(tmp_path / "samm", measured=True)
    page = write_gallery(store)
    assert page == store.path / "gallery.html"
    clips = _Clips(page).found
    assert list(clips) == [
        clip.id
        for name in ("anger", "contempt", "happiness", "surprise", "other")
        for clip in store.clips
        if clip.emotion == name
    ]
    for item in store:
        (picture,) = clips[item.clip.id]["pictures"]
        assert picture["loading"] == "lazy"
        with Image.open(store.path / picture["src"]) as film:
            tiles = np.asarray(film).reshape(32, 6, 32, 3).swapaxes(0, 1)
        assert np.abs(tiles.astype(int) - item.frames).mean() < 60  # noise, as JPEG keeps it
        assert clips[item.clip.id]["style"] == "--n:6;--a:3"
    assert sum(clip["tabindex"] == "0" for clip in clips.values()) == 1


def test_the_film_shows_the_frames_in_order_and_the_apex_of_a_long_clip(tmp_path: Path) -> None:
    (clip,) = tiny_clips(subjects=1)[:1]
    clip = replace(clip, offset=clip.onset + 99, apex=clip.onset + 41)
    with StoreWriter(tmp_path / "s", [clip], 40, {"source": "samm"}) as writer:
        grey = np.arange(100, dtype=np.uint8)[:, None, None, None]
        writer.add(np.broadcast_to(2 * grey, (100, 40, 40, 3)))
        store = writer.finish()
    write_gallery(store)
    own = _Clips(store.path / "gallery.html").found[clip.id]
    frames, apex = map(int, re.findall(r"\d+", own["style"]))
    with Image.open(store.path / own["pictures"][0]["src"]) as film:
        assert film.size == (24 * 32, 32)  # of 40 pixels, 32 are whole blocks of JPEG
        shown = np.asarray(film).reshape(32, frames, 32, 3).mean((0, 2, 3)) / 2
    assert shown[apex] == pytest.approx(41, abs=1)
    assert shown[[0, -1]] == pytest.approx([0, 99], abs=1)
    assert (np.diff(shown) > 1).all()


def test_curves_are_those_of_the_aus_that_move_on_one_scale(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1)[:2]
    curves = np.zeros((2, 6, 20, 2), np.float32)
    curves[0, :, CONDITION_AUS.index(12)] = np.array([0, 0.2, 0.4, 0.6, 0.3, 0])[:, None]
    curves[0, :, CONDITION_AUS.index(6)] = 0.5  # at rest
    curves[1, :, CONDITION_AUS.index(14), 0] = np.array([0, 0.1, 0.2, 0.3, 0.1, 0])
    with StoreWriter(tmp_path / "s", clips, 32, {"source": "samm"}) as writer:
        for curve in curves:
            writer.add(np.zeros((6, 32, 32, 3), np.uint8), curve)
        store = writer.finish()
    found = _Clips(write_gallery(store)).found
    first, second = (found[clip.id] for clip in clips)
    assert "AU 12 0.60" in first["text"]
    assert first["data-aus"] == "12"
    assert first["curves"] == ["0,40 30,27 60,13 90,0 120,20 150,40"]  # the axis ends at 0.6
    assert "AU L14 0.30" in second["text"]
    assert second["curves"] == ["0,40 30,33 60,27 90,20 120,33 150,40"]
    page = (store.path / "gallery.html").read_text()
    assert "an intensity of 0.6, for all clips. L" in page


def test_a_blink_does_not_flatten_the_curves_of_other_aus(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1)[:1]
    curve = np.zeros((6, 20, 2), np.float32)
    curve[:, CONDITION_AUS.index(43)] = np.array([0, 0.5, 1, 0.5, 0, 0])[:, None]
    curve[:, CONDITION_AUS.index(12)] = np.array([0, 0.1, 0.2, 0.1, 0, 0])[:, None]
    with StoreWriter(tmp_path / "s", clips, 32, {"source": "samm"}) as writer:
        writer.add(np.zeros((6, 32, 32, 3), np.uint8), curve)
        store = writer.finish()
    page = write_gallery(store)
    lids, corners = _Clips(page).found[clips[0].id]["curves"]
    assert corners == "0,40 30,20 60,0 90,20 120,40 150,40"
    assert "60,-160" in lids
    assert "an intensity of 0.2, for all clips; AU 43" in page.read_text()


def test_curves_of_unmeasured_aus_are_those_of_the_annotation_and_it_is_said(
    tmp_path: Path,
) -> None:
    store = write_tiny_store(tmp_path / "samm")
    page = write_gallery(store)
    clips = _Clips(page).found
    assert "AUs were not measured" in page.read_text()
    assert clips["samm/000/contempt_0"]["data-aus"] == "L14"
    assert set(clips["samm/000/happiness_0"]["data-aus"].split()) == {"6", "12"}


def test_of_a_large_store_clips_of_all_classes_are_shown_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=4, each=2))
    monkeypatch.setattr(gallery, "MOST", 10)
    page = write_gallery(store)
    shown = [clip.split("/")[2].split("_")[0] for clip in _Clips(page).found]
    assert {name: shown.count(name) for name in shown} == dict.fromkeys(
        ("anger", "contempt", "happiness", "surprise", "other"), 2
    )
    assert "10 of them shown" in page.read_text()


def test_names_from_a_store_are_text(tmp_path: Path) -> None:
    bad = '"><script>alert(1)</script>'
    clips = [replace(tiny_clips()[0], name=bad, aus=bad)]
    page = write_gallery(write_tiny_store(tmp_path / "s", clips, header={"source": bad}))
    assert "<script>alert" not in page.read_text()
    assert list(_Clips(page).found) == [f"samm/000/{bad}"]


def test_the_command_writes_a_gallery_and_writes_it_anew(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "samm", tiny_clips(subjects=2))
    (store.path / "gallery").mkdir()
    (store.path / "gallery" / "old.jpg").touch()
    result = CliRunner().invoke(app, ["gallery", "--store", str(store.path)])
    assert result.exit_code == 0
    assert len(list((store.path / "gallery").iterdir())) == 10
    assert not list(store.path.glob(".*partial"))
    ClipStore.open(store.path, verify=True)
    missing = CliRunner().invoke(app, ["gallery", "--store", str(tmp_path / "none")])
    assert isinstance(missing.exception, StoreError) or missing.exit_code == 1


_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module", name="page")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The gallery of 1,500 clips, opened from disk, in a browser that may ask nobody."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("there is no chromium")
    clips = tiny_clips(subjects=30, each=10)
    store = write_tiny_store(tmp_path_factory.mktemp("big") / "s", clips, measured=True)
    address = write_gallery(store).as_uri()
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        assert all(url.startswith("file:") for url in asked)
        browser.close()


@pytest.mark.slow
def test_in_a_browser_1500_clips_are_there_within_a_second(page: Any) -> None:
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    painted, loaded = page.evaluate(
        "[performance.getEntriesByName('first-contentful-paint')[0].startTime,"
        " [...document.images].filter(each => each.complete && each.naturalWidth).length]"
    )
    assert painted < 1000  # milliseconds
    assert 0 < loaded < 200  # of 1,500


@pytest.mark.slow
def test_in_a_browser_clips_play_under_pointer_and_keyboard(page: Any) -> None:
    playing = "document.getAnimations().map(each => each.effect.target.closest('.clip').id)"
    assert page.evaluate(playing) == []
    clips = page.locator(".clip")
    clips.nth(2).hover()
    assert set(page.evaluate(playing)) == {clips.nth(2).get_attribute("id")}
    page.mouse.move(0, 0)
    clips.first.focus()
    page.keyboard.press("ArrowRight")
    assert set(page.evaluate(playing)) == {clips.nth(1).get_attribute("id")}
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.clips')).gridTemplateColumns.split(' ').length"
    )
    page.keyboard.press("ArrowDown")
    reached = clips.nth(1 + columns).get_attribute("id")
    assert set(page.evaluate(playing)) == {reached}
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == reached


@pytest.mark.slow
def test_in_a_browser_filters_leave_a_class_and_a_person(page: Any) -> None:
    shown = page.locator(".clip:not([hidden])")
    page.select_option("[name=kind]", label="contempt (300)")
    page.select_option("[name=person]", label="007 (50)")
    assert page.locator("output").inner_text() == "10 of 1,500 clips"
    assert {shown.nth(i).get_attribute("id") for i in range(10)} == {
        f"samm/007/contempt_{i}" for i in range(10)
    }
    page.click("button[type=reset]")
    page.wait_for_function("document.querySelector('output').textContent === '1,500 clips'")
    assert page.locator(".clip:not([hidden])").count() == 1500


@pytest.mark.slow
def test_in_a_browser_all_films_are_there_before_it_prints(page: Any) -> None:
    page.select_option("[name=person]", label="007 (50)")
    page.evaluate(
        # An expression that is a function would be called at once.
        "window.print = () => window.printed ="
        " [...document.querySelectorAll('.clip:not([hidden]) img')]"
        ".filter(film => film.complete && film.naturalWidth).length; 0"
    )
    page.click("[name=print]")
    page.wait_for_function("window.printed")
    assert page.evaluate("window.printed") == 50
    page.click("button[type=reset]")
