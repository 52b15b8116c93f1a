import io
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from recognizers.comparison import compare
from recognizers.metrics import FULL
from recognizers.predictions import Predictions
from recognizers.report import RunError, compare_runs, ranking_table, write_report
from recognizers.report.charts import HEIGHT, WIDTH, learning_charts
from tests.recognizers.tiny_run import EPOCHS, FIVE, change, write_tiny_run

NOT_A_RESULT = "chosen on the tested subjects: not a result"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A page's tags, the text of each section by its id, and the rows of its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.sections: dict[str, str] = {"": ""}
        self.rows: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(self.html)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = dict(attrs).get("id") or str(self.tags["section"])
            self.sections[self._section] = ""
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in ("td", "th"):
            self.rows[self._section][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.sections[self._section] += data
        if "td" in self._open or "th" in self._open:
            self.rows[self._section][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.sections.values()).split())

    def row(self, section: str, first: str) -> list[str]:
        """Cells of a row of figures, by its first cell."""
        (row,) = (row for row in self.rows[section] if row[0].split(" ")[0] == first)
        return row


def page_of(run: Path) -> Page:
    path = write_report(run)
    assert path == run / "report.html"
    return Page(path)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d{3}", text)]


@pytest.fixture(scope="module")
def composite(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("composite") / "run"
    return write_tiny_run(path, seeds=3, datasets=("casme2", "samm"), protocol="cde")


@pytest.fixture(scope="module")
def composite_page(composite) -> Page:
    return page_of(composite)


@pytest.fixture
def run(tmp_path) -> Path:
    return write_tiny_run(tmp_path / "run")


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
    clips, shares = [], []
    for row, counts in zip(rows, expected, strict=True):
        assert row[0].split()[1] == str(round(counts.sum()))
        # A cell's text is its count and its share, one after the other: "12.375 %" is 12.3, 75 %.
        for cell, count in zip(row[1:], counts, strict=True):
            text = f"{count:.0f}" if abs(count - round(count)) < 0.05 else f"{count:.1f}"
            assert cell.startswith(text)
            clips.append(text)
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
    assert composite_page.tags["svg"] == 5  # three of the folds, two of the pretraining
    assert not {"script", "link", "img", "iframe", "object", "embed"} & composite_page.tags.keys()
    assert not re.search(r"https?:|url\(|@import|@font-face", composite_page.html)
    places = [value for name, value in composite_page.attributes if name in ("src", "href")]
    assert places
    assert all(place.startswith("#") for place in places)
    ids = {value for name, value in composite_page.attributes if name == "id"}
    assert {place[1:] for place in places} <= ids


def test_a_strict_run_carries_no_mark_and_shows_the_oracle_as_no_result(composite_page):
    assert "Paper habit" not in composite_page.text
    for section in ("", "databases", "classes", "confusion"):
        assert NOT_A_RESULT in " ".join(composite_page.sections[section].split())
    text = composite_page.text
    assert text.index("Strict") < text.index("Oracle")
    assert "Never used for choosing" in text


def test_every_section_with_figures_is_marked_under_the_paper_habit(tmp_path):
    page = page_of(write_tiny_run(tmp_path / "run", paper=True, datasets=("casme2", "samm")))
    start = page.text[:600]
    assert "no figure on this page is a result" in start
    assert "epochs chosen on the tested subjects" in start
    for section in ("databases", "classes", "confusion", "subjects", "curves", "run"):
        assert "paper habit: not a result" in page.sections[section], section
    text = " ".join(page.sections[""].split())
    assert text.index("Oracle") < text.index("Strict")
    assert "Never used for choosing" not in page.text
    assert "6 leaks let pass" in page.sections["guard"]
    told = [row for row in page.rows["guard"] if "tested" in row[-1]]
    for fold, rows in (("casme2/001", told[:2]), ("casme2/002", told[2:])):
        assert rows == [
            [fold, "synthetic clips", "2", f"{fold}/x shows {fold}, who is tested"],
            [fold, "bank: b", "1", f"{fold}/z shows {fold}, who is tested"],
        ]


def test_what_was_pretrained_and_guarded_and_read_is_told(composite_page):
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
    change(run, marked=[nasty], protocol=nasty, device=nasty)
    (run / "config.yaml").write_text(nasty)
    compare_runs([run], tmp_path / "comparison.html")
    for page in (page_of(run), Page(tmp_path / "comparison.html")):
        assert page.tags["script"] == 0
        assert nasty in page.text
    assert "a&amp;b/001" in page_of(run).html


def test_learning_charts_draw_the_mean_of_the_folds():
    """Two folds, of 3 clips and of 1; the band's ends by hand."""
    losses = [[2.0, 1.0], [1.0, 0.0]]
    tested = [[1.0, 0.0], [0.0, 1.0]]
    folds = [
        {
            "fold": str(number),
            "clips": ["c"] * clips,
            "curve": [
                {"epoch": epoch, "loss": loss, "test_accuracy": accuracy}
                for epoch, loss, accuracy in zip(
                    (1, 2), losses[number], tested[number], strict=True
                )
            ],
        }
        for number, clips in enumerate((3, 1))
    ]
    loss, test = learning_charts(folds)
    assert [chart.title for chart in (loss, test)] == ["Loss", "Test accuracy"]
    assert (loss.value, test.value, loss.curves) == (0.5, 0.25, 2)
    mean, above, below = 0.75, 0.75 + 0.375 * 2**0.5 / 2, 0.75 - 0.375 * 2**0.5 / 2
    assert values_of(test, test.line) == pytest.approx([mean, 0.25], abs=0.005)
    # sqrt((0.75 * 0.25)^2 + (0.25 * 0.75)^2) = 0.265, cut at 1 and at 0
    assert values_of(test, test.band) == pytest.approx([min(above, 1), 0.515, 0, below], abs=0.005)
    assert values_of(loss, loss.line) == pytest.approx([1.5, 0.5], abs=0.01)
    assert values_of(loss, loss.band) == pytest.approx([2, 1, 0, 1], abs=0.01)


def values_of(chart, points: str) -> list[float]:
    """Values of drawn points, read off by the chart's own ticks."""
    low, high = chart.y_ticks[0], chart.y_ticks[-1]
    scale = (float(high.text) - float(low.text)) / (high.place - low.place)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    return [float(low.text) + (y - low.place) * scale for _, y in places]


@pytest.mark.parametrize("epochs", [1, 2, 7, 30, 800])
def test_ticks_of_epochs_are_few_whole_and_within(epochs):
    curve = [{"epoch": epoch, "loss": 1e-3 / epoch} for epoch in range(1, epochs + 1)]
    (chart,) = learning_charts([{"fold": "a", "clips": [], "curve": curve}])
    ticks = [int(tick.text) for tick in chart.x_ticks]
    assert 1 <= len(ticks) <= 8
    assert all(1 <= tick <= epochs for tick in ticks)
    assert 3 <= len(chart.y_ticks) <= 8
    assert chart.band == ""
    assert values_of(chart, chart.line)[-1] == pytest.approx(1e-3 / epochs, abs=2e-5)


def test_a_fold_that_ended_early_counts_as_far_as_it_goes():
    curves = [[{"epoch": 1, "loss": 1.0}], [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 5.0}]]
    (chart,) = learning_charts([{"group": 0, "seed": 0, "curve": curve} for curve in curves])
    assert chart.shorter
    assert values_of(chart, chart.line) == pytest.approx([2, 5], abs=0.03)


def test_nothing_is_left_of_a_page_that_fails(run, monkeypatch):
    before = sorted(run.iterdir())
    (run / "results.json").write_text("{")
    with pytest.raises(RunError):
        write_report(run)
    assert sorted(run.iterdir()) == before
    write_tiny_run(run.with_name("other"))
    other = run.with_name("other")
    (other / "report.html").write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_report(other)
    assert (other / "report.html").read_text() == "old"
    assert [path.name for path in other.iterdir() if path.suffix == ".tmp"] == []


def lacking(run: Path, *keys: str) -> None:
    results = json.loads((run / "results.json").read_text())
    part = results
    for key in keys[:-1]:
        part = part[int(key) if key.isdigit() else key]
    del part[keys[-1]]
    (run / "results.json").write_text(json.dumps(results))


def spoil_predictions(run: Path) -> None:
    table = Predictions.from_csv(run / "predictions.csv").frame
    table["predicted"] = table["true"]
    Predictions(table, FIVE).to_csv(run / "predictions.csv")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, r"there is no folder .*run; name the folder of a run"),
        (
            lambda run: (run / "results.json").unlink(),
            r"no finished run: it has no results.json; repeat the command that made",
        ),
        (
            lambda run: (run / "results.json").write_text("{"),
            r"results.json is damaged: .*delete it and repeat the command",
        ),
        (lambda run: (run / "results.json").write_text("[]"), r"the file must be an object"),
        (lambda run: lacking(run, "model"), r"results.json lacks model; repeat the command"),
        (lambda run: lacking(run, "folds", "1", "tested"), r"lacks folds\[1\].tested"),
        (lambda run: change(run, seconds="long"), r"seconds must be a whole number or a number"),
        (lambda run: change(run, seeds=[0, True]), r"seeds\[1\] must be a whole number, got True"),
        (lambda run: change(run, habit="lax"), r"habit must be strict or paper, got 'lax'"),
        (lambda run: change(run, headline="oracle"), r"the habit is strict, yet its headline"),
        (lambda run: change(run, marked=["a leak"]), r"only habit paper may have marks"),
        (lambda run: change(run, seeds=[0, 7]), r"holds the seeds \[0, 1\], .* names \[0, 7\]"),
        (
            lambda run: change(run, classes=list(FIVE[:4])),
            r"predictions.csv: probability columns of no class: p_surprise",
        ),
        (lambda run: (run / "predictions.csv").unlink(), r"has no predictions.csv; repeat"),
        (spoil_predictions, r"strict figures of results.json are not those of predictions.csv"),
        (
            lambda run: (run / "folds" / "0_000.json").write_text('{"fold": 1'),
            r"0_000.json is damaged",
        ),
        (
            lambda run: (run / "config.yaml").write_bytes(b"\xff\xfe\xff"),
            r"config.yaml is damaged",
        ),
    ],
)
def test_what_is_no_whole_run_is_refused(run, spoil, message):
    spoil(run)
    with pytest.raises(RunError, match=message):
        write_report(run)
    with pytest.raises(RunError, match=message):
        compare_runs([run])


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> dict[str, Path]:
    """Runs on the same clips, on others, and one of habit paper that beats them all."""
    folder = tmp_path_factory.mktemp("several")
    return {
        "first": write_tiny_run(folder / "first", seeds=1, skill=0.3),
        "better": write_tiny_run(folder / "better", skill=0.8, model="dual_branch"),
        "other": write_tiny_run(folder / "other", clips=50, protocol="lovo"),
        "paper": write_tiny_run(folder / "paper", skill=0.95, paper=True),
    }


def test_strict_runs_are_ranked_and_paper_ones_stand_apart(several):
    ranking = compare_runs([several[name] for name in ("paper", "first", "better", "other")])
    assert [Path(entry.name).name for entry in ranking.ranked] == ["better", "other", "first"]
    assert [Path(entry.name).name for entry in ranking.apart] == ["paper"]
    best, paper = ranking.ranked[0], ranking.apart[0]
    assert paper.figures["strict"]["uf1"].mean > best.figures["strict"]["uf1"].mean
    assert paper.headline == "oracle"
    assert paper.marked == ("epochs chosen on the tested subjects", "6 leaks let pass")
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
    assert "different protocols" in ranking.warnings[1]
    assert compare_runs([several["first"], several["better"]]).warnings == ()


def test_comparison_page_tells_the_same(several, tmp_path):
    path = tmp_path / "new" / "folder" / "comparison.html"
    ranking = compare_runs(several.values(), path)
    page = Page(path)
    strict, _, apart = page.rows["1"], page.rows["2"], page.rows["3"]
    assert [row[0] for row in strict[1:]] == ["1", "2", "3"]
    by = ranking.ranked[0].comparison
    assert f"{by.difference.estimate:+.3f}" in strict[1][5]
    assert f"{by.difference.low:+.3f} to {by.difference.high:+.3f}" in strict[1][5]
    assert strict[1][6] == f"{by.p:.3f}"
    assert f"not comparable: {ranking.ranked[1].incomparable}" in strict[2][5]
    assert "baseline" in strict[3][5]
    assert "paper" in apart[1][0]
    assert "epochs chosen on the tested subjects; 6 leaks let pass" in apart[1][5]
    assert not {"script", "link", "img"} & page.tags.keys()


def printed(ranking) -> str:
    from rich.console import Console

    console = Console(width=160, record=True, file=io.StringIO())
    console.print(ranking)
    return console.export_text()


def test_terminal_table_tells_the_same(several):
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
    assert "is not ranked, since it is no result" in " ".join(text.split())


def test_a_run_alone_is_printed_with_its_oracle_beside(several):
    text = printed(compare_runs([several["better"]]))
    results = json.loads((several["better"] / "results.json").read_text())
    for selection in ("strict", "oracle"):
        for value in results[selection]["Full"]["mean"].values():
            assert f"{value:.3f}" in text
    assert "oracle, not a result" in text
    assert "Difference" not in text
    assert "baseline" not in text


def test_groups_of_subjects_are_another_protocol(several, tmp_path):
    run = write_tiny_run(tmp_path / "run", groups=4)
    assert "LOSO, subjects in 4 groups" in page_of(run).text
    assert "different protocols" in compare_runs([several["first"], run]).warnings[0]


def test_runs_of_habit_paper_alone_have_no_rank(several, tmp_path):
    ranking = compare_runs([several["paper"]], tmp_path / "comparison.html")
    assert ranking.ranked == ()
    assert ranking.baseline is None
    assert "These figures are not results" in Page(tmp_path / "comparison.html").text
    assert ranking_table(ranking).row_count == 2  # oracle and strict


def test_runs_must_be_named_and_named_once(several):
    with pytest.raises(RunError, match="there is no run to compare"):
        compare_runs([])
    with pytest.raises(RunError, match="is named twice"):
        compare_runs([several["first"], several["first"] / ".." / "first"])
    with pytest.raises(
        ValueError, match=r"is a folder; name a page, for instance .*comparison.html"
    ):
        compare_runs([several["first"]], several["first"])


def test_importing_reports_is_light():
    code = (
        "import sys, recognizers.report as r; "
        "print({'jinja2', 'pandas', 'torch', 'rich', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
