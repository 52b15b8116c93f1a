"""Annotation tables: what is written comes back, junk is named by its row (property-based)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import assume, given
from hypothesis import strategies as st

from mersynth.facs.emotions import native_labels
from mersynth.sources import get_source
from mersynth.sources.errors import Problem
from mersynth.sources.table import Row
from tests.conftest import FakeClip, FakeSource
from tests.sources import test_casme2, test_mmew, test_samm

LAYOUTS = (test_samm.TestSAMM(), test_casme2.TestCASME2(), test_mmew.TestMMEW())
FIELDS = ("subject", "name", "onset", "apex", "offset", "aus", "emotion")
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
JUNK = WORDS | st.integers() | st.floats() | st.booleans() | st.sampled_from(["/", "?", "=1+2"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[FakeSource, list[FakeClip]]:
    """A database, and clips of it with different names."""
    layout = draw(st.sampled_from(LAYOUTS))
    clips = []
    for number in range(draw(st.integers(1, 5))):
        subject = draw(st.sampled_from(["001", "02", "13"])).zfill(
            3 if layout.source == "samm" else 2
        )
        onset, offset = sorted(draw(st.tuples(*[st.integers(0, 99999)] * 2)))
        apex = draw(st.integers(onset, offset) | st.just("/"))
        aus = draw(st.sampled_from(["4+7", "L12", "?", "R14A or 17A", 4]))
        emotion = draw(st.sampled_from(native_labels(layout.source)))
        written = draw(st.sampled_from([emotion, emotion.title(), f" {emotion.upper()}"]))
        clips.append(FakeClip(subject, f"clip_{number}", onset, apex, offset, aus, written))
    return layout, clips


def read(
    layout: FakeSource, rows: Sequence[Sequence[object]], kind: str
) -> tuple[list[Row], list[Problem]]:
    with TemporaryDirectory() as folder:
        if kind == "xlsx":
            table = layout.write_sheet(Path(folder), rows)
        else:
            table = (Path(folder) / layout.table_name).with_suffix(".csv")
            with table.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, delimiter=kind).writerows(rows)
        return get_source(layout.source).read_annotations(table)


def facts(layout: FakeSource, clip: FakeClip) -> tuple[object, ...]:
    """What the row of a clip says."""
    subject = get_source(layout.source).subject_folder(clip.subject)
    apex = None if clip.apex == "/" else clip.apex
    emotion = clip.emotion.strip().lower()
    return subject, clip.name, clip.onset, apex, clip.offset, str(clip.aus), emotion


def told(row: Row) -> tuple[object, ...]:
    return tuple(getattr(row.clip, name) for name in FIELDS)


@given(tables(), st.sampled_from([",", ";", "\t", "|", "xlsx"]))
def test_the_rows_that_are_written_come_back(
    table: tuple[FakeSource, list[FakeClip]], kind: str
) -> None:
    layout, clips = table
    rows, problems = read(layout, layout.sheet(clips), kind)
    assert [told(row) for row in rows] == [facts(layout, clip) for clip in clips]
    assert len(problems) == sum(clip.apex == "/" for clip in clips)
    assert not any(problem.fatal for problem in problems)


@given(tables(), st.data(), st.sampled_from([",", "xlsx"]))
def test_a_junk_cell_is_named_by_its_row_and_spoils_no_other(
    table: tuple[FakeSource, list[FakeClip]], data: st.DataObject, kind: str
) -> None:
    layout, clips = table
    cells = layout.sheet(clips)
    first = len(layout.sheet([]))  # rows up to the header
    spoilt = data.draw(st.integers(0, len(clips) - 1), label="row")
    wanted = facts(layout, clips[spoilt])
    given_cells = [clips[spoilt].__dict__[name] for name in FIELDS]
    columns = [i for i, cell in enumerate(cells[first + spoilt]) if cell in given_cells]
    column = data.draw(st.sampled_from(columns), label="column")
    junk = data.draw(JUNK, label="junk")
    cells[first + spoilt][column] = junk
    assume(str(junk).strip() not in {clip.name for clip in clips})

    rows, problems = read(layout, cells, kind)
    number = first + spoilt + 1
    others = [facts(layout, clip) for i, clip in enumerate(clips) if i != spoilt]
    assert [told(row) for row in rows if row.number != number] == others
    own = [problem for problem in problems if problem.row == number]
    read_rows = [row for row in rows if row.number == number]
    clip = read_rows[0].clip if read_rows else None
    # A row is either stored, or a fatal problem says why; and what the junk left alone is kept.
    assert (clip is None) == any(problem.fatal for problem in own)
    for problem in own:
        assert (problem.file[:4], f"{number}" in problem.place) == (layout.table_name[:4], True)
    if clip is not None:
        kept = [a == b for a, b in zip(told(read_rows[0]), wanted, strict=True)]
        assert sum(kept) >= len(FIELDS) - 1
