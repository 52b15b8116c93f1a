"""What pages say of single clips and where they lead; and what to read first."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from mersynth.clips import Clip
from mersynth.pages.gallery import write_gallery
from recognizers.evaluation.predictions import Predictions
from recognizers.report import compare_runs, write_report
from recognizers.report.clips import disagreements, surest_mistakes
from tests.recognizers.evaluation.tiny_predictions import CLASSES, frame_of
from tests.recognizers.report.report_page import Page, page_of
from tests.recognizers.report.tiny_run import write_tiny_run
from tests.tiny_store import write_tiny_store


class _Links(HTMLParser):
    """The texts of a page's links, by address."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.own: str | None = None
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.own = dict(attrs)["href"]

    def handle_endtag(self, tag: str) -> None:
        self.own = None if tag == "a" else self.own

    def handle_data(self, data: str) -> None:
        if self.own is not None:
            self.found[self.own] = data


def seeds(*predicted: list[str], true: list[str]) -> Predictions:
    frames = [frame_of(true, own, ["a"] * len(true), seed=i) for i, own in enumerate(predicted)]
    return Predictions(pd.concat(frames), CLASSES)


def test_the_surest_mistakes_come_first() -> None:
    run = seeds(
        ["positive", "negative", "positive"],
        ["positive", "surprise", "positive"],
        true=["negative", "negative", "positive"],
    )
    frame = run.frame.copy()
    first = (frame["clip"] == "clip000") & (frame["seed"] == 0)
    frame.loc[first, ["p_negative", "p_positive", "p_surprise"]] = [0.05, 0.9, 0.05]
    both, one = surest_mistakes(Predictions(frame, CLASSES))
    assert (both.clip, both.true, both.predicted) == ("samm/a/clip000", "negative", "positive")
    assert (both.confidence, both.seeds) == pytest.approx((0.8, 1))
    assert (one.clip, one.predicted, one.seeds) == ("samm/a/clip001", "surprise", 0.5)
    assert one.confidence == pytest.approx((0.15 + 0.7) / 2)


def test_runs_disagree_where_half_of_the_seeds_do() -> None:
    true = ["negative"] * 4
    ours = seeds(true, ["negative", "negative", "positive", "positive"], true=true)
    theirs = seeds(["positive"] * 3 + ["negative"], true=true)
    found = disagreements(ours, theirs)
    assert [(each.clip[-1], each.gain) for each in found] == [
        ("0", 1.0),
        ("1", 1.0),
        ("2", 0.5),
        ("3", -0.5),
    ]
    assert found[0].baseline == "positive"
    assert disagreements(ours, ours) == []


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store ``stores/samm``, and two runs that tested its clips."""
    monkeypatch.chdir(tmp_path)
    write_tiny_run(Path("runs/a"), skill=0.2)
    write_tiny_run(Path("runs/b"), skill=0.9, model="ststnet_tiny")
    clips = Predictions.from_csv("runs/a/predictions.csv").true_labels()
    own = {"onset": 1, "apex": 2, "offset": 3}
    made = [
        Clip(source=d, subject=s, name=c, emotion=true, **own) for (d, s, c), true in clips.items()
    ]
    write_tiny_store(Path("stores/samm"), made)
    return tmp_path


def test_clips_lead_to_their_places_in_the_gallery(folder: Path) -> None:
    gallery = write_gallery_of(folder)
    pages = [write_report("runs/a"), Path("pages/comparison.html")]
    compare_runs(["runs/a", "runs/b"], pages[1])
    for page in pages:
        links = {a: text for a, text in _Links(page).found.items() if "gallery.html" in a}
        assert len(links) > 3
        for address, text in links.items():
            file, _, place = address.partition("#")
            assert (page.parent / file).resolve() == gallery.resolve()
            assert unquote(place) == text
            assert f'id="{text}"' in gallery.read_text()
    assert "../runs/a/report.html" in _Links(Path("pages/comparison.html")).found


def write_gallery_of(folder: Path) -> Path:
    from mersynth.store.clip_store import ClipStore

    return write_gallery(ClipStore.open(folder / "stores" / "samm"))


def test_without_a_gallery_the_command_that_makes_it_is_named(folder: Path) -> None:
    page = page_of(Path("runs/a"))
    assert "mersynth gallery --store stores/samm" in page.sections["mistakes"]
    assert not [a for a in _Links(Path("runs/a/report.html")).found if "gallery.html" in a]


def test_the_comparison_lists_the_clips_that_differ(folder: Path) -> None:
    compare_runs(["runs/a", "runs/b"], "comparison.html")
    page = Page(Path("comparison.html"))
    tables = [Predictions.from_csv(f"runs/{name}/predictions.csv") for name in ("b", "a")]
    differing = disagreements(*tables)
    rows = [row for row in page.rows["clips"] if row[0] != "Clip"]
    assert [row[0] for row in rows] == [each.clip for each in differing]
    gained = sum(each.gain > 0 for each in differing)
    assert gained > 5
    assert f"{gained} clips that only this run gets right" in page.sections["clips"]
    assert "Read first: ststnet_tiny (runs/b) is better than runs/a by" in page.sections[""]


def test_what_to_read_first_names_the_interval_and_the_weakest_class(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run", skill=0.6, subjects=20, clips=120)
    said = page_of(run).sections[""]
    frame = pd.read_csv(run / "predictions.csv")
    right = (frame["true"] == frame["predicted"]).groupby(frame["true"]).mean()
    assert f"{right.idxmin()} is found least, in {100 * right.min():.0f} % of its" in said
    assert "above the 0.200 of guessing" in said


def test_what_to_read_first_tells_chance_and_probabilities_that_are_too_sure(
    tmp_path: Path,
) -> None:
    said = page_of(write_tiny_run(tmp_path / "run", skill=0.02, clips=60)).sections[""]
    assert "may be no better than the" in said
    assert "surer than right: 0.700 on average" in said  # of every prediction in a tiny run
    paper = page_of(write_tiny_run(tmp_path / "paper", paper=True)).sections[""]
    assert "Read first: No figure of this run is a result" in paper


def test_calibration_is_drawn_with_its_error(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    page = page_of(run)
    frame = pd.read_csv(run / "predictions.csv")
    gap = abs(0.7 - np.mean(frame["true"] == frame["predicted"]))
    assert f"Expected calibration error {gap:.3f}" in page.sections["calibration"]
