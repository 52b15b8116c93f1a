"""What a browser does on the page of ``mersynth studio``, and how long the answers take.

    python scripts/measure_studio.py --out docs/studio.md --pictures docs/images

A headless Chromium (Debian's package ``chromium``) is led by Playwright (``pip install
playwright``), on a store and a run made for it; its camera sees a photo. Seconds are the browser's
own, from the event to the drawn picture. Those of the server are processor seconds, which other
work on the machine changes less.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from drawing.pictures import SIZE
from measuring.documents import document, machine, paragraph, table
from PIL import Image
from skimage.data import astronaut

from mersynth import logs
from mersynth.store.clip_store import ClipStore
from mersynth.studio.page import serve
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_WAIT = 60_000  # milliseconds
CLASSES = ("anger", "contempt", "happiness", "surprise")  # of the store that is played

# Resolves when what is shown at a place has changed, and is drawn.
_WATCH = """
([place, what]) => {
  const shown = () => {
    const each = document.querySelector(place + ' ' + what);
    return each && (each.src || each.srcdoc || each.style.backgroundImage || each.innerText);
  };
  const before = shown(), start = performance.now();
  window.seen = new Promise((done, failed) => {
    setTimeout(() => failed(`nothing new at ${place} ${what}`), 60000);
    const look = () => {
      const now = shown();
      if (!now || now === before) return;
      watch.disconnect();
      const each = document.querySelector(place + ' ' + what);
      (each.decode ? each.decode() : Promise.resolve()).then(
        () => requestAnimationFrame(() => done((performance.now() - start) / 1000)));
    };
    const watch = new MutationObserver(look);
    watch.observe(document.querySelector(place),
      {childList: true, subtree: true, attributes: true, characterData: true});
  });
}
"""
_PULL = """
([id, value]) => {
  const range = document.querySelector(`#${id} input[type=range]`);
  range.value = value;
  range.dispatchEvent(new Event('input', {bubbles: true}));
}
"""
_LET_GO = """
id => document.querySelector(`#${id} input[type=range]`)
  .dispatchEvent(new PointerEvent('pointerup', {bubbles: true}))
"""
APEX, FILM = ("#stills", "img[data-view=apex]"), ("#films", ".film")


@dataclass(eq=False)
class Log:
    """What was done, and how long it took.

    Attributes:
        page: Playwright's.
        done: action, answer, seconds of each time, processor seconds of each time.
    """

    page: Any
    done: list[tuple[str, str, list[float], list[float]]] = field(default_factory=list)

    def time(
        self,
        action: str,
        answer: str,
        at: tuple[str, str],
        act: Callable[[int], None],
        times: int = 1,
    ) -> None:
        """Do something a number of times, and wait each time until a place shows another thing."""
        seconds, busy = [], []
        for i in range(times):
            self.page.evaluate(_WATCH, list(at))
            start = time.process_time()
            act(i)
            seconds.append(float(self.page.evaluate("() => window.seen")))
            busy.append(time.process_time() - start)
        self.done.append((action, answer, seconds, busy))


def main() -> None:
    """Lead the browser, and write the document and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/studio.md"))
    parser.add_argument("--pictures", type=Path, default=Path("docs/images"))
    parser.add_argument("--group", type=Path, help="a photo of several faces to drop, too")
    parser.add_argument("--times", type=int, default=25, help="how often a slider is moved")
    options = parser.parse_args()
    logs.set_up(debug=False)
    out, pictures = options.out.resolve(), options.pictures.resolve()
    group = options.group.resolve() if options.group else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        load = os.getloadavg()[0]
        with opened_page(Path(folder)) as page:
            log = Log(page)
            lead(log, Path(folder), pictures, group, options.times)
        load = (load + os.getloadavg()[0]) / 2
    out.write_text(describe(log, load), encoding="utf-8")


@contextlib.contextmanager
def opened_page(folder: Path) -> Iterator[Any]:
    """The page in a browser, with a store to play and a run to open."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        raise SystemExit("there is no chromium; apt-get install chromium")
    _make_run(_make_store(folder), folder)
    seen = folder / "camera.mjpeg"
    Image.fromarray(astronaut()).save(seen, "JPEG")
    camera = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")
    args = [
        "--no-sandbox",
        *(f"--{a}" for a in camera),
        f"--use-file-for-fake-video-capture={seen}",
    ]
    address, end = serve(block=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=args)
        page = browser.new_page(viewport={"width": 1280, "height": 1072})
        page.set_default_timeout(_WAIT)
        page.goto(address)
        page.locator("#stills img").first.wait_for()
        page.wait_for_timeout(3000)
        yield page
        browser.close()
    end()


def _make_store(folder: Path) -> ClipStore:
    from mersynth.phantom.population import write_store

    counts = dict.fromkeys(CLASSES, 6)
    return write_store(folder / "stores" / "phantom", subjects=3, counts=counts)


def _make_run(store: ClipStore, folder: Path) -> None:
    quick = ("keep_weights=true", "executor.workers=1", "device=cpu", "model.training.epochs=20")
    request = Request(data=[store.path], model="ststnet_tiny", overrides=quick, split="loso")
    evaluate(request, folder / "runs" / "phantom")


def lead(log: Log, folder: Path, pictures: Path, group: Path | None, times: int) -> None:
    """Do everything that the page offers."""
    page = log.page
    page.screenshot(path=pictures / "studio.png")
    with Image.open(pictures / "studio.png") as picture:
        small = picture.convert("RGB").quantize(256)
    small.save(pictures / "studio.png", optimize=True)

    def pull(slider: str, value: float) -> None:
        page.evaluate(_PULL, [slider, value])

    def click(name: str, role: str = "tab") -> None:
        page.get_by_role(role, name=name, exact=True).click()

    def choose(box: str, option: str | int) -> None:
        page.locator(f"{box} input").click()
        offered = page.get_by_role("option")
        (
            offered.nth(option)
            if isinstance(option, int)
            else offered.filter(has_text=option).first
        ).click()

    def fill(box: str, text: str) -> None:
        field = page.locator(f"{box} textarea, {box} input").first
        field.fill(text)
        field.press("Enter")

    log.time("an AU's slider is moved", "both apexes and all else above the films", APEX,
             lambda i: pull("au4-left", 0.02 + 0.9 * ((7 * i) % times) / times), times)  # fmt: skip
    log.time("the slider is let go", "both films and the curves", FILM,
             lambda i: page.evaluate(_LET_GO, "au4-left"))  # fmt: skip
    page.wait_for_timeout(1000)
    log.time("the strength is moved", "apexes", APEX, lambda i: pull("strength", 0.42))
    page.get_by_label("Left and right apart").check()
    page.locator("#au12-right").wait_for()
    log.time("left and right apart, the right corner of the mouth let down", "apexes", APEX,
             lambda i: pull("au12-right", 0))  # fmt: skip
    log.time("an emotion is chosen", "apexes", APEX, lambda i: choose("#emotion", "surprise"))
    click("AU cell")
    log.time("an AU cell, 4+7+L10, is written", "apexes", APEX, lambda i: fill("#cell", "4+7+L10"))
    click("Follow a clip")
    log.time("a clip is followed", "its curve on the face, as films", FILM,
             lambda i: choose("#follow", 3))  # fmt: skip
    said = ("#said", "p")
    log.time("the clip is kept", "word of it", said, lambda i: page.locator("#keep").click())
    fill("#store-name", "mine")
    log.time("what is kept is saved", "a store", said, lambda i: page.locator("#save").click())
    for kind in ("mp4", "gif"):
        page.locator(f"#{kind}").click()
        page.locator(f'#file a[href$=".{kind}"]').first.wait_for()
        log.done.append((f"{kind.upper()}", "a file to download", [], []))
    click("AU cell")
    log.time("all sliders at rest", "apexes", APEX, lambda i: page.locator("#rest").click())
    page.get_by_label("Left and right apart").uncheck()
    log.time("an AU cell, 6+12, is written", "apexes", APEX, lambda i: fill("#cell", "6+12"))
    page.locator("#strength input[type=number]").fill("0.8")
    page.locator("#strength input[type=number]").press("Tab")
    page.wait_for_timeout(3000)
    click("Photo")
    photo = folder / "photo.jpg"
    Image.fromarray(astronaut()).save(photo, quality=92)
    drop = page.locator("#photo input[type=file]")
    log.time("a photo is dropped", "its face, moved", APEX, lambda i: drop.set_input_files(photo))
    log.time("", "and moving, as films", FILM, lambda i: None)
    # Both began with the drop.
    _, answer, seconds, busy = log.done.pop()
    first = log.done[-1]
    log.done.append(("", answer, [first[2][0] + seconds[0]], [first[3][0] + busy[0]]))
    page.wait_for_timeout(2000)
    page.screenshot(path=pictures / "studio_photo.jpg", type="jpeg", quality=85)
    page.locator("#photo").get_by_label("Remove Image").click()
    page.locator("#photo").get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    shutter = page.locator("#photo").get_by_label("capture photo")
    shutter.wait_for()
    pull("strength", 1)
    page.wait_for_timeout(3000)
    log.time("the camera takes a photo", "its face, moved", APEX, lambda i: shutter.click())
    if group is not None:
        page.wait_for_timeout(3000)
        page.locator("#photo").get_by_label("Remove Image").click()
        page.locator("#photo").get_by_label("Upload file").click()
        log.time("a photo of several people is dropped", "the largest face, moved", APEX,
                 lambda i: drop.set_input_files(group))  # fmt: skip
        log.time("another of its faces is chosen", "apexes", APEX,
                 lambda i: page.locator("#which label").nth(1).click())  # fmt: skip
    click("Play a store")
    page.wait_for_timeout(2000)
    playing = ("#play-clips", ".film")
    log.time("a store is played", "eight clips with their curves", playing,
             lambda i: choose("#play-store", "stores/phantom"))  # fmt: skip
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "studio_store.jpg", type="jpeg", quality=85)
    first = page.locator("#play-clips h4").first.inner_text()
    other = next(name for name in CLASSES if name != first)
    page.get_by_label("Class").click()
    log.time("a class is chosen", "its clips", ("#play-clips", "h4"),
             lambda i: page.get_by_role("option", name=other).click())  # fmt: skip
    click("Open a run")
    page.wait_for_timeout(2000)
    log.time("a run is opened", "its report", ("#report", "iframe"),
             lambda i: choose("#run", "runs/phantom"))  # fmt: skip
    choose("#run-clip", 0)
    log.time("one of its clips is explained", "a map by Grad-CAM", ("#explained", "iframe"),
             lambda i: page.locator("#explain").click())  # fmt: skip
    page.wait_for_timeout(2000)
    page.screenshot(path=pictures / "studio_run.jpg", type="jpeg", quality=85)


def describe(log: Log, load: float) -> str:
    """The document."""
    moved = log.done[0]
    rows = []
    for action, answer, seconds, busy in log.done:
        figures = ["", "", ""]
        if seconds:
            figures = [f"{np.median(seconds):.2f}", f"{max(seconds):.2f}", f"{np.median(busy):.2f}"]
        rows.append([action, answer, *figures])
    text = f"""
        `pip install 'mersynth[studio]' && mersynth studio` opens a page on this machine. A headless
        Chromium did all of the following on it, with faces of {SIZE} pixels; made by
        `python scripts/measure_studio.py --group PHOTO` on {machine("cpu")}, which other jobs kept
        busy (load {load:.1f}). *Seconds* are the browser's, from the event to the drawn picture;
        where there are several, their median and the longest. *Processor* are the seconds that the
        server computed.
        """
    close = f"""
        A slider was moved {len(moved[2])} times; {sum(s < 0.3 for s in moved[2])} answers took less
        than 0.3 s, each of ten pictures: onset, apex, difference, measured motion and mask of
        AU-ICGAN and of the AU warp. The films wait until the slider is let go.
        """
    return document(
        [
            "# The studio",
            paragraph(text),
            "![A smile as the page opens](images/studio.png)",
            "## What a browser did",
            table(["action", "answer", "seconds", "longest", "processor"], rows, words=(0, 1)),
            paragraph(close),
            "![A dropped photo](images/studio_photo.jpg)",
            "![A store plays](images/studio_store.jpg)",
            "![A run's report, and what its recognizer looked at](images/studio_run.jpg)",
        ]
    )


if __name__ == "__main__":
    main()
