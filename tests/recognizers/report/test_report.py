"""The page of a run: its figures against scikit-learn's, and what it says and marks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from recognizers.evaluation.metrics import FULL
from recognizers.report import compare_runs
from tests.recognizers.report.report_page import Page, page_of
from tests.recognizers.report.tiny_run import EPOCHS, FIVE, change, write_tiny_run

NOT_A_RESULT = "chosen on the tested subjects: not a result"


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d{3}", text)]


@pytest.fixture(scope="module")
def composite(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("composite") / "run"
    return write_tiny_run(path, seeds=3, datasets=("casme2", "samm"), split="cde")


@pytest.fixture(scope="module")
def composite_page(composite) -> Page:
    return page_of(composite)


@pytest.mark.parametrize(("table", "place"), [("predictions.csv", 3), ("oracle.csv", 6)])
@pytest.mark.parametrize("part", ["Full", "casme2", "samm"])
def test_figures_of_each_database_are_those_of_scikit_learn(
    composite, composite_page, table, place, part
):
    frame = pd.read_csv(composite / table, dtype=str)
    frame = frame[(frame["dataset"] == part) | (part == FULL)]
    scored = [
        [
            f1_score(rows["true"], rows["predicted"], average="macro"),
            recall_score(rows["true"], rows["predicted"], average="macro"),
            accuracy_score(rows["true"], rows["predicted"]),
        ]
        for _, rows in frame.groupby("seed")
    ]
    row = composite_page.row("databases", part)
    subjects = frame.groupby("dataset")["subject"].nunique().sum()
    assert [int(cell) for cell in row[1:3]] == [len(frame) // 3, subjects]
    shown = [numbers(cell) for cell in row[place : place + 3]]
    expected = np.transpose([np.mean(scored, axis=0), np.std(scored, axis=0, ddof=1)])
    np.testing.assert_allclose(shown, expected, atol=5.1e-4)


def test_recall_and_f1_of_each_class_are_those_of_scikit_learn(composite, composite_page):
    frame = pd.read_csv(composite / "predictions.csv", dtype=str)
    for name in FIVE:
        row = composite_page.row("classes", name)
        assert int(row[1]) == (frame["true"] == name).sum() / 3
        for cell, scorer in zip(row[2:4], (recall_score, f1_score), strict=True):
            scored = [
                scorer(rows["true"] == name, rows["predicted"] == name)
                for _, rows in frame.groupby("seed")
            ]
            expected = [np.mean(scored), np.std(scored, ddof=1)]
            np.testing.assert_allclose(numbers(cell), expected, atol=5.1e-4)


def test_confusion_counts_are_means_over_seeds_with_shares_of_the_row(composite, composite_page):
    frame = pd.read_csv(composite / "predictions.csv", dtype=str)
    expected = confusion_matrix(frame["true"], frame["predicted"], labels=FIVE) / 3
    rows = [row for row in composite_page.rows["confusion"] if row[0]][: len(FIVE)]
    shares = []
    for row, counts in zip(rows, expected, strict=True):
        assert row[0].split()[1] == str(round(counts.sum()))
        # A cell's text is its count and its share, one after the other: "12.375 %" is 12.3, 75 %.
        for cell, count in zip(row[1:], counts, strict=True):
            text = f"{count:.0f}" if abs(count - round(count)) < 0.05 else f"{count:.1f}"
            assert cell.startswith(text)
            shares.append(float(cell.removeprefix(text).rstrip(" %")))
    np.testing.assert_allclose(
        shares, (100 * expected / expected.sum(1, keepdims=True)).ravel(), atol=0.51
    )


def test_subjects_are_sorted_by_their_accuracy(composite, composite_page):
    frame = pd.read_csv(composite / "predictions.csv", dtype=str)
    frame["right"] = frame["true"] == frame["predicted"]
    frame["person"] = frame["dataset"] + "/" + frame["subject"]
    people = frame.groupby("person")["right"].agg(["mean", "size"])
    text = composite_page.sections["subjects"]
    listed = re.findall(r"((?:casme2|samm)/\d{3})\s*(\d\.\d{3})(\d+) clip", text)
    assert len(listed) == len(people) == 12
    for name, accuracy, clips in listed:
        assert float(accuracy) == pytest.approx(people["mean"][name], abs=5.1e-4)
        assert int(clips) == people["size"][name] / 3
    accuracies = [float(accuracy) for _, accuracy, _ in listed]
    assert accuracies == sorted(accuracies, reverse=True)


def test_headline_holds_the_intervals_and_what_the_commonest_class_gives(composite, composite_page):
    results = json.loads((composite / "results.json").read_text())
    text = " ".join(composite_page.sections[""].split())
    for selection in ("strict", "oracle"):
        for name in ("uf1", "uar", "accuracy"):
            interval = results["intervals"][selection][name]
            mean, sd = (results[selection]["Full"][key][name] for key in ("mean", "sd"))
            assert f"{mean:.3f} ± {sd:.3f}" in text
            assert f"{interval['low']:.3f} to {interval['high']:.3f}" in text
    assert "95 % bootstrap intervals over 12 subjects (200 resamples)" in text
    frame = pd.read_csv(composite / "predictions.csv", dtype=str).query("seed == '0'")
    always = [frame["true"].mode()[0]] * len(frame)
    uf1 = f1_score(frame["true"], always, average="macro")
    accuracy = accuracy_score(frame["true"], always)
    assert f"UF1 {uf1:.3f}, UAR {1 / 5:.3f}, accuracy {accuracy:.3f}" in text
    gain = results["oracle"]["Full"]["mean"]["uf1"] - results["strict"]["Full"]["mean"]["uf1"]
    assert f"changes UF1 by {gain:+.3f}" in text


def test_a_page_needs_nothing_but_itself(composite_page):
    assert (
        composite_page.tags["svg"] == 7
    )  # three of the folds, two of the pretraining, two of calibration
    assert not {"script", "link", "img", "iframe", "object", "embed"} & composite_page.tags.keys()
    assert not re.search(r"https?:|url\(|@import|@font-face", composite_page.html)
    places = [value for name, value in composite_page.attributes if name in ("src", "href")]
    assert places
    assert all(place.startswith("#") for place in places)
    ids = {value for name, value in composite_page.attributes if name == "id"}
    assert {place[1:] for place in places} <= ids


def test_a_strict_run_carries_no_mark_and_shows_the_oracle_as_no_result(composite_page):
    assert "paper protocol" not in composite_page.text.lower()
    for section in ("", "databases", "classes", "confusion"):
        assert NOT_A_RESULT in " ".join(composite_page.sections[section].split())
    text = composite_page.text
    assert text.index("Strict") < text.index("Oracle")
    assert "Never used for choosing" in text


def test_every_section_with_figures_is_marked_under_the_paper_protocol(tmp_path):
    page = page_of(write_tiny_run(tmp_path / "run", paper=True, datasets=("casme2", "samm")))
    start = page.text[:600]
    assert "no figure on this page is a result" in start
    assert "epochs chosen on the tested subjects" in start
    figures = ("databases", "classes", "confusion", "subjects", "calibration", "seeds", "curves")
    for section in (*figures, "mistakes"):
        assert "paper protocol: not a result" in page.sections[section], section
    text = " ".join(page.sections[""].split())
    assert text.index("Oracle") < text.index("Strict")
    assert "Never used for choosing" not in page.text
    assert "6 leaks allowed" in page.sections["guard"]
    told = [row for row in page.rows["guard"] if "tested" in row[-1]]
    for fold, rows in (("casme2/001", told[:2]), ("casme2/002", told[2:])):
        assert rows == [
            [fold, "synthetic clips", "2", f"{fold}/x shows {fold}, who is tested"],
            [fold, "bank: b", "1", f"{fold}/z shows {fold}, who is tested"],
        ]


def test_pretraining_guard_and_data_are_shown(composite_page):
    pretraining, guard = (composite_page.sections[name] for name in ("pretraining", "guard"))
    assert "Every fold started from one of these" in pretraining
    assert "stores/samm_synthetic" in pretraining
    assert "casme2/001, casme2/003" in pretraining  # the folds of group 0
    assert "12 folds checked" in guard
    assert "No leak." in guard
    assert composite_page.row("guard", "contempt")[1:] == ["1", "casme2/002"]
    data = composite_page.sections["data"]
    assert "stores/casme2" in data
    assert "ababababab" in data
    told = " ".join(composite_page.sections["run"].split())
    for text in ("1,234,567 parameters", "0, 1, 2", "12 min 34 s on cpu", "mersynth 0.1.0"):
        assert text in told
    assert f"epochs: {EPOCHS}" in told


def test_missing_parts_are_left_out_or_said_in_words(tmp_path):
    run = write_tiny_run(tmp_path / "run", seeds=1, pretrained=False)
    change(run, oracle=None, intervals={"strict": None, "oracle": None})
    for name in ("oracle.csv", "config.yaml"):
        (run / name).unlink()
    shutil.rmtree(run / "folds")
    page = page_of(run)
    assert "databases" not in page.sections
    assert "curves" not in page.sections
    assert "No fold was pretrained" in page.text
    assert "No interval over subjects was computed" in page.text
    assert "One seed" in page.text
    assert "oracle" not in page.text.lower()
    assert "±" not in page.text
    assert page.tags["pre"] == 0


def test_a_class_that_no_clip_has_is_shown_by_a_dash(tmp_path):
    run = write_tiny_run(tmp_path / "run")
    for name in ("predictions.csv", "oracle.csv"):
        frame = pd.read_csv(run / name, dtype=str)
        frame.insert(len(frame.columns), "p_fear", "0.0")
        frame.to_csv(run / name, index=False)
    change(run, classes=[*FIVE, "fear"])
    page = page_of(run)
    assert page.row("classes", "fear") == ["fear", "0", *["\N{EN DASH}"] * 4]
    (row,) = (row for row in page.rows["confusion"][:7] if row[0] == "fear 0")
    assert row[1:] == ["00 %"] * 6


def test_text_of_others_is_escaped(tmp_path):
    nasty = "<script>alert('x')</script>"
    run = write_tiny_run(tmp_path / "run", datasets=("a&b", "samm"), model=nasty, paper=True)
    change(run, marked=[nasty], device=nasty)
    (run / "config.yaml").write_text(nasty)
    compare_runs([run], tmp_path / "comparison.html")
    for page in (page_of(run), Page(tmp_path / "comparison.html")):
        assert page.tags["script"] == 0
        assert nasty in page.text
    assert "a&amp;b/001" in page_of(run).html


def test_importing_reports_is_light():
    code = (
        "import sys, recognizers.report as r; "
        "print({'jinja2', 'pandas', 'torch', 'rich', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
