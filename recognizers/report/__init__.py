"""Reports on finished runs: a page for one run, a ranking of several."""

from recognizers.report.page import write_report
from recognizers.report.ranking import Entry, Ranking, compare_runs, ranking_table
from recognizers.report.run import Run

__all__ = [
    "Entry",
    "Ranking",
    "Run",
    "compare_runs",
    "ranking_table",
    "write_report",
]
