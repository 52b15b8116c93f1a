"""Ranking of several runs, with tests of whether their differences are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mersynth.disk.files import real_path
from mersynth.pages.rendering import figure, signed
from recognizers.evaluation.comparison import Comparison, compare
from recognizers.evaluation.metrics import FULL, Statistic
from recognizers.report.clips import Disagreement, clip_links, disagreements, report_links
from recognizers.report.figures import Figure, headline
from recognizers.report.page import describe_split
from recognizers.report.rendering import render
from recognizers.report.run import Run
from recognizers.runs.files import RunError
from recognizers.runs.records import Selection

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Entry:
    """A run in a ranking.

    Attributes:
        name: the run's folder as it was given.
        model: the model's config.
        split: for instance ``"LOSO, leave one subject out"``.
        tested: databases, clips and subjects.
        headline: the selection whose figures come first; ``"strict"`` unless of protocol paper.
        figures: by selection and statistic, with intervals over subjects; the oracle's are shown
            beside the strict ones, and are never ranked.
        marked: why none of the figures is a result; empty for a strict run.
        comparison: UF1 against the baseline; None for the baseline itself, a run of protocol paper,
            and where the runs cannot be compared.
        incomparable: why it was not compared with the baseline; empty where it was.
    """

    name: str
    model: str
    split: str
    tested: str
    headline: Selection
    figures: dict[Selection, dict[Statistic, Figure]]
    marked: tuple[str, ...] = ()
    comparison: Comparison | None = None
    incomparable: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Runs, ranked by strict UF1.

    Attributes:
        ranked: strict runs, the best first.
        apart: runs of protocol paper in the order given; they are never ranked.
        baseline: name of the run that the others are compared with: the first strict one given;
            None if there is none.
        warnings: what limits the meaning of ranks or differences.
    """

    ranked: tuple[Entry, ...]
    apart: tuple[Entry, ...]
    baseline: str | None
    warnings: tuple[str, ...]

    def __rich__(self) -> Table:
        """As a table for the terminal (:func:`ranking_table`)."""
        return ranking_table(self)


def compare_runs(runs: Sequence[str | Path], out: str | Path | None = None) -> Ranking:
    """Rank finished runs by strict UF1, each compared with the first strict run given.

    Differences are paired over clips and resampled over subjects
    (:func:`recognizers.evaluation.comparison.compare`), and only where both runs test the same
    clips with the same labels. Runs of protocol paper are listed separately.

    Args:
        runs: folders of finished runs.
        out: the page to write, for instance ``comparison.html``; its folder is made if missing.
            By default no page is written.

    Returns:
        The ranking; ``rich`` prints it as a table.

    Raises:
        RunError: if no run is given, one is given twice, or one is not a complete, readable run.
        ValueError: if ``out`` is a folder, or its name does not end in ``.html``.
    """
    if not runs:
        raise RunError("there is not a run to compare; name the folders of one run or more")
    if out is not None and Path(out).is_dir():
        raise ValueError(f"{out} is a folder; name a page, for instance {out}/comparison.html")
    if out is not None and Path(out).suffix != ".html":
        raise ValueError(f"the page's name must end in .html, got {out}")
    paths = [Path(path) for path in runs]
    for path in paths:
        if sum(real_path(path) == real_path(other) for other in paths) > 1:
            raise RunError(f"{path} is named twice; name each run once")
    opened = [Run.open(path) for path in paths]
    strict = [run for run in opened if not run.is_paper]
    best_first = sorted(strict, key=lambda run: -run.scores["strict"][FULL].mean["uf1"])
    ranking = Ranking(
        ranked=tuple(_strict_entry(run, strict[0]) for run in best_first),
        apart=tuple(_entry(run) for run in opened if run.is_paper),
        baseline=str(strict[0].path) if strict else None,
        warnings=tuple(_warnings(strict)),
    )
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        render(
            "comparison.html.j2",
            Path(out),
            ranking=ranking,
            reading=_what_to_read_first(ranking),
            disagreeing=_disagreeing(ranking, strict),
            links=clip_links(strict, Path(out)),
            reports=report_links(opened, Path(out)),
        )
    return ranking


def _what_to_read_first(ranking: Ranking) -> str:
    """Which runs differ from the baseline by more than chance; empty if none was compared."""
    sure, others = [], 0
    for entry in ranking.ranked:
        if entry.comparison is None:
            continue
        by = entry.comparison.difference
        if by.low <= 0 <= by.high:
            others += 1
            continue
        sure.append(
            f"{entry.model} ({entry.name}) is {'better' if by.low > 0 else 'worse'} than "
            f"{ranking.baseline} by {figure(abs(by.estimate))} in UF1, more than chance over "
            f"people explains ({signed(by.low)} to {signed(by.high)})"
        )
    if others:
        one = "1 run" if others == 1 else f"{others} runs"
        sure.append(f"{one} may be as good as {ranking.baseline}")
    return f"{'; '.join(sure)}." if sure else ""


def _disagreeing(ranking: Ranking, strict: Sequence[Run]) -> dict[str, list[Disagreement]]:
    """By a run's name, the clips on which it disagrees with the baseline, where it is compared."""
    of = {str(run.path): run.predictions["strict"] for run in strict}
    return {
        entry.name: disagreements(of[entry.name], strict[0].predictions["strict"])
        for entry in ranking.ranked
        if entry.comparison is not None
    }


def _entry(run: Run) -> Entry:
    predictions = run.predictions["strict"]
    clips, people = predictions.clips, predictions.num_subjects
    return Entry(
        name=str(run.path),
        model=run.results.model.config,
        split=describe_split(run.results),
        tested=f"{', '.join(run.databases)}: {len(clips)} clips, {people} subjects",
        headline=run.headline,
        figures=headline(run),
        marked=run.results.marked,
    )


def _strict_entry(run: Run, baseline: Run) -> Entry:
    entry = _entry(run)
    if run is baseline:
        return entry
    try:
        comparison = compare(run.predictions["strict"], baseline.predictions["strict"])
    except ValueError as error:
        return replace(entry, incomparable=str(error))
    return replace(entry, comparison=comparison)


def _warnings(runs: Sequence[Run]) -> list[str]:
    """How strict runs differ in what they measure."""
    found = []
    if len({frozenset(run.predictions["strict"].true_labels().items()) for run in runs}) > 1:
        found.append("The runs do not test the same clips with the same labels.")
    if len({describe_split(run.results) for run in runs}) > 1:
        found.append("The runs follow different splits.")
    if found:
        found.append("Their ranks are not comparable.")
    return found


def ranking_table(ranking: Ranking) -> Table:
    """The ranking as a ``rich`` table: strict runs by rank, then those of protocol paper, unranked.

    The oracle's figures are below a run's strict ones; these and all figures of protocol paper are
    dimmed. Notes below the table say what was compared, and why a run could not be.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    alone = len(ranking.ranked) + len(ranking.apart) == 1
    table = Table(
        box=box.SIMPLE,
        title=None if alone else "Runs by strict UF1",
        caption=Text("\n".join(_notes(ranking))),
        caption_justify="left",
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("Run", overflow="fold")
    for name in ("UF1", "UAR", "Accuracy", *(() if alone else ("Difference", "p"))):
        table.add_column(name, justify="right", no_wrap=True)
    for rank, entry in enumerate(ranking.ranked, start=1):
        versus = () if alone else (_difference(entry), _p(entry))
        cells = ("" if alone else str(rank), _name(entry), *_figures(entry, "strict"), *versus)
        table.add_row(*(Text(cell) for cell in cells))
        if "oracle" in entry.figures:
            cells = ("", "oracle, not a result", *_figures(entry, "oracle"))
            table.add_row(*(Text(cell, style="dim") for cell in cells))
    table.add_section()
    for entry in ranking.apart:
        mark, name = "-", f"{_name(entry)}\n"
        for selection in sorted(entry.figures, key=lambda one: one != entry.headline):
            cells = (mark, f"{name}{selection}, not a result", *_figures(entry, selection))
            table.add_row(*(Text(cell, style="dim") for cell in cells))
            mark = name = ""
    return table


def _notes(ranking: Ranking) -> list[str]:
    notes = []
    if any(entry.comparison for entry in ranking.ranked):
        notes.append(f"Differences in UF1 are from {ranking.baseline}, resampled over subjects.")
    for entry in ranking.ranked:
        if entry.incomparable:
            notes.append(f"{entry.name} is not compared: {entry.incomparable}.")
    notes += ranking.warnings
    for entry in ranking.apart:
        reasons = "; ".join(entry.marked) or "published habits"
        notes.append(f"{entry.name} is not ranked, since it is not a result: {reasons}.")
    return notes


def _name(entry: Entry) -> str:
    return f"{entry.model}, {entry.split.partition(',')[0]}\n{entry.name}"


def _figures(entry: Entry, selection: Selection) -> tuple[str, str, str]:
    """UF1 with its interval over subjects below, UAR and accuracy."""
    figures = entry.figures[selection]
    interval = figures["uf1"].interval
    uf1 = _with_sd(figures["uf1"], " ")
    if interval:
        uf1 += f"\n{figure(interval.low)} to {figure(interval.high)}"
    return uf1, _with_sd(figures["uar"], "\n"), _with_sd(figures["accuracy"], "\n")


def _with_sd(number: Figure, gap: str) -> str:
    return figure(number.mean) + ("" if number.sd is None else f"{gap}± {figure(number.sd)}")


def _difference(entry: Entry) -> str:
    if entry.incomparable:
        return "not comparable"
    if entry.comparison is None:
        return "baseline"
    by = entry.comparison.difference
    return f"{signed(by.estimate)}\n{signed(by.low)} to {signed(by.high)}"


def _p(entry: Entry) -> str:
    return "" if entry.comparison is None else figure(entry.comparison.p)
