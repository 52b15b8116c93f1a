"""Comparison of several runs: their ranks and differences, on a page and in the terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from recognizers.evaluation.comparison import compare
from recognizers.evaluation.predictions import Predictions
from recognizers.report import compare_runs, ranking_table
from recognizers.runs import RunError
from tests.recognizers.report.report_page import Page, page_of
from tests.recognizers.report.tiny_run import write_tiny_run


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> dict[str, Path]:
    """Runs on the same clips, on others, and one of protocol paper that beats them all."""
    folder = tmp_path_factory.mktemp("several")
    return {
        "first": write_tiny_run(folder / "first", seeds=1, skill=0.3),
        "better": write_tiny_run(folder / "better", skill=0.8, model="dual_branch"),
        "other": write_tiny_run(folder / "other", clips=50, split="lovo"),
        "paper": write_tiny_run(folder / "paper", skill=0.95, paper=True),
    }


def test_strict_runs_are_ranked_and_paper_ones_stand_apart(several):
    ranking = compare_runs([several[name] for name in ("paper", "first", "better", "other")])
    assert [Path(entry.name).name for entry in ranking.ranked] == ["better", "other", "first"]
    assert [Path(entry.name).name for entry in ranking.apart] == ["paper"]
    best, paper = ranking.ranked[0], ranking.apart[0]
    assert paper.figures["strict"]["uf1"].mean > best.figures["strict"]["uf1"].mean
    assert paper.headline == "oracle"
    assert paper.marked == ("epochs chosen on the tested subjects", "6 leaks allowed")
    assert paper.comparison is None
    assert ranking.baseline == str(several["first"])
    for entry in ranking.ranked:
        strict = json.loads((Path(entry.name) / "results.json").read_text())["strict"]["Full"]
        assert entry.figures["strict"]["uf1"].mean == pytest.approx(strict["mean"]["uf1"])


def test_differences_are_to_the_first_run_and_only_on_the_same_clips(several):
    ranking = compare_runs([several[name] for name in ("first", "better", "other")])
    better, other, first = ranking.ranked
    tables = [Predictions.from_csv(several[n] / "predictions.csv") for n in ("better", "first")]
    assert better.comparison == compare(*tables)
    assert first.comparison is None
    assert first.incomparable == ""
    assert other.comparison is None
    clips = [
        set(Predictions.from_csv(several[name] / "predictions.csv").clips)
        for name in ("other", "first")
    ]
    alone = sorted(clips[0] - clips[1])
    message = f"{len(alone)} clips of the run not in the baseline: {alone[0]}"
    assert other.incomparable.startswith(message)
    assert "do not test the same clips" in ranking.warnings[0]
    assert "different splits" in ranking.warnings[1]
    assert compare_runs([several["first"], several["better"]]).warnings == ()


def test_comparison_page_shows_the_same(several, tmp_path):
    path = tmp_path / "new" / "folder" / "comparison.html"
    ranking = compare_runs(several.values(), path)
    page = Page(path)
    strict, _, apart = page.rows["1"], page.rows["2"], page.rows["4"]
    assert [row[0] for row in strict[1:]] == ["1", "2", "3"]
    by = ranking.ranked[0].comparison
    assert f"{by.difference.estimate:+.3f}" in strict[1][5]
    assert f"{by.difference.low:+.3f} to {by.difference.high:+.3f}" in strict[1][5]
    assert strict[1][6] == f"{by.p:.3f}"
    assert f"not comparable: {ranking.ranked[1].incomparable}" in strict[2][5]
    assert "baseline" in strict[3][5]
    assert "paper" in apart[1][0]
    assert "epochs chosen on the tested subjects; 6 leaks allowed" in apart[1][5]
    assert not {"script", "link", "img"} & page.tags.keys()


def printed(ranking) -> str:
    from rich.console import Console

    console = Console(width=160, record=True, file=io.StringIO())
    console.print(ranking)
    return console.export_text()


def test_terminal_table_shows_the_same(several):
    ranking = compare_runs([several[name] for name in ("first", "better", "other", "paper")])
    text = printed(ranking)
    assert text == printed(ranking_table(ranking))
    ranks = [line.split()[0] for line in text.splitlines() if re.match(r" [\d-]  \w", line)]
    assert ranks == ["1", "2", "3", "-"]
    by = ranking.ranked[0].comparison
    assert f"{by.difference.estimate:+.3f}" in text
    assert "not comparable" in text
    assert text.count("oracle, not a result") == 4
    assert text.count("strict, not a result") == 1
    assert "is not ranked, since it is not a result" in " ".join(text.split())


def test_a_run_alone_is_printed_with_its_oracle_beside(several):
    text = printed(compare_runs([several["better"]]))
    results = json.loads((several["better"] / "results.json").read_text())
    for selection in ("strict", "oracle"):
        for value in results[selection]["Full"]["mean"].values():
            assert f"{value:.3f}" in text
    assert "oracle, not a result" in text
    assert "Difference" not in text
    assert "baseline" not in text


def test_groups_of_subjects_are_another_split(several, tmp_path):
    run = write_tiny_run(tmp_path / "run", groups=4)
    assert "LOSO, subjects in 4 groups" in page_of(run).text
    assert "different splits" in compare_runs([several["first"], run]).warnings[0]


def test_runs_of_protocol_paper_alone_have_no_rank(several, tmp_path):
    ranking = compare_runs([several["paper"]], tmp_path / "comparison.html")
    assert ranking.ranked == ()
    assert ranking.baseline is None
    assert "These figures are not results" in Page(tmp_path / "comparison.html").text
    assert ranking_table(ranking).row_count == 2  # oracle and strict


def test_runs_must_be_named_and_named_once(several):
    with pytest.raises(RunError, match="there is not a run to compare"):
        compare_runs([])
    with pytest.raises(RunError, match="is named twice"):
        compare_runs([several["first"], several["first"] / ".." / "first"])
    with pytest.raises(
        ValueError, match=r"is a folder; name a page, for instance .*comparison.html"
    ):
        compare_runs([several["first"]], several["first"])
    with pytest.raises(ValueError, match=r"the page's name must end in \.html, got .*page\.md"):
        compare_runs([several["first"]], several["first"] / "page.md")
    assert not (several["first"] / "page.md").exists()
