"""Tests of the AU table and of the parser of AU cells."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from mersynth.facs import (
    ACTION_UNITS,
    CONDITION_AUS,
    LETTER_INTENSITY,
    SIDES,
    AUCell,
    AUEvent,
    condition_vector,
    on_both_sides,
    parse_au_cell,
    stronger_side,
    why_unread,
)


def test_table_puts_every_condition_au_in_a_half_of_the_face() -> None:
    halves = {number: ACTION_UNITS[number].half for number in CONDITION_AUS}
    assert [n for n, half in halves.items() if half == "eyes"] == [1, 2, 4, 5, 6, 7, 9, 43]
    assert set(halves.values()) == {"eyes", "mouth"}
    assert ACTION_UNITS[12].muscles == ("zygomaticus major",)
    assert ACTION_UNITS[56].half == "other"
    assert all(number == unit.number for number, unit in ACTION_UNITS.items())


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("L14", AUEvent(14, side="left")),
        ("R12", AUEvent(12, side="right")),
        ("A12", AUEvent(12, asymmetric=True)),
        ("A/L12", AUEvent(12, side="left", asymmetric=True)),
        ("A14C", AUEvent(14, asymmetric=True, letters=("C",))),
        ("15A", AUEvent(15, letters=("A",))),
        ("10A/B", AUEvent(10, letters=("A", "B"))),
        ("L12C ", AUEvent(12, side="left", letters=("C",))),
        ("T18", AUEvent(18, part="top")),
        ("B18", AUEvent(18, part="bottom")),
        ("ref(7B)", AUEvent(7, letters=("B",), reflex=True)),
        ("ref(L10)", AUEvent(10, side="left", reflex=True)),
        ("l10", AUEvent(10, side="left")),
        (4, AUEvent(4)),
        (4.0, AUEvent(4)),
        ("4.0", AUEvent(4)),
        ("AU4", AUEvent(4)),
        ("au 4b", AUEvent(4, letters=("B",))),
        ("AU L12", AUEvent(12, side="left")),
        ("LAU12", AUEvent(12, side="left")),
        ("R 12", AUEvent(12, side="right")),
    ],
)
def test_event(cell: str | float, expected: AUEvent) -> None:
    assert parse_au_cell(cell) == AUCell(groups=((expected,),))


@pytest.mark.parametrize(
    "cell",
    [
        *("AU4+AU7", "AU4 + AU 7", "au4+au07", "4,7", "4, 7", "4;7", "4 7", "AU4 AU7", "4.0+7.0"),
        *("\uff14\uff0b\uff17", "4\uff0c7", "4\u30017", "4\xa0+\xa07", "4+7+", "(4),7"),
    ],
)
def test_every_way_to_join(cell: str) -> None:
    assert parse_au_cell(cell) == AUCell(groups=((AUEvent(4),), (AUEvent(7),)))


@pytest.mark.parametrize(
    ("cell", "unread", "reason"),
    [
        (4.7, "4.7", "a decimal number; spreadsheets turn AUs joined by a comma into one"),
        ("2026-04-07 00:00:00", None, "a date; spreadsheets turn numbers such as 4-7 into one"),
        ("4, 7 or 12", None, "the alternatives are unclear; write 4+(7 or 12)"),
        ("AU99", None, "FACS has no AU 99"),
        ("4-7", None, "cannot be read"),
        ("4/7", None, "cannot be read"),
        ("4?7", "4 7", "cannot be read"),
        ("4 99", None, "cannot be read"),
        ("4 B 18", None, "cannot be read"),
        ("4 7 or 12", None, "cannot be read"),
        ("ref(4,7)", None, "cannot be read"),
    ],
)
def test_the_ambiguous_is_refused_with_the_reason(
    cell: str | float, unread: str | None, reason: str
) -> None:
    parsed = parse_au_cell(cell)
    assert parsed.groups == ()
    assert parsed.unread == (unread or cell,)
    assert reason in why_unread(parsed.unread[0])


def test_a_bracket_says_which_aus_are_alternatives() -> None:
    cell = parse_au_cell("4, (7 or AU12)")
    assert [[event.number for event in group] for group in cell.groups] == [[4], [7, 12]]


def test_alternatives_stay_together_and_are_not_certain() -> None:
    cell = parse_au_cell("(R6 or R12) + R15")
    assert cell.groups == (
        (AUEvent(6, side="right"), AUEvent(12, side="right")),
        (AUEvent(15, side="right"),),
    )
    assert cell.numbers == (15,)
    assert [event.number for event in cell.events] == [6, 15]

    (group,) = parse_au_cell("R14A or 17A or 24A").groups
    assert [event.number for event in group] == [14, 17, 24]
    assert [event.intensity for event in group] == [0.2, 0.2, 0.2]


def test_letters_are_kept_and_averaged() -> None:
    assert [parse_au_cell(f"1{x}").events[0].intensity for x in "ABCDE"] == [
        0.2, 0.4, 0.6, 0.8, 1.0,
    ]  # fmt: skip
    assert list(LETTER_INTENSITY) == list("ABCDE")
    assert parse_au_cell("10A/B").events[0].intensity == pytest.approx(0.3)
    assert parse_au_cell("10").events[0].intensity is None


def test_remarks_question_marks_and_the_unreadable_are_kept_apart() -> None:
    assert parse_au_cell("R14+17+soft focus").remarks == ("soft focus",)
    assert parse_au_cell("?") == AUCell(unclear=True)
    unclear = parse_au_cell("L12?")
    assert unclear.unclear
    assert unclear.numbers == (12,)
    # 99 is not an AU, x7 not a notation; a choice with an unreadable member is unreadable.
    assert parse_au_cell("4+99+x7").unread == ("99", "x7")
    assert parse_au_cell("4+99+x7").numbers == (4,)
    assert parse_au_cell("(4 or x7)+12").unread == ("(4 or x7)",)
    assert parse_au_cell("(4+5").unread == ("(4+5",)
    assert parse_au_cell(12.5).unread == ("12.5",)


@pytest.mark.parametrize("cell", [None, "", "  ", math.nan])
def test_empty_cell(cell: str | float | None) -> None:
    assert parse_au_cell(cell) == AUCell()


def test_condition_vector_follows_letters_and_asks_for_the_rest() -> None:
    vector = condition_vector(parse_au_cell("1A+L12+(R6D or R14)+T18+39"), unlettered=0.3)
    expected = dict.fromkeys(CONDITION_AUS, (0, 0)) | {1: (0.2, 0.2), 12: (0.3, 0), 6: (0, 0.8)}
    np.testing.assert_allclose(vector, list(expected.values()), rtol=1e-6)
    assert vector.dtype == np.float32


@pytest.mark.parametrize(
    ("cell", "au", "sides"),
    [
        ("L14B+R14D", 14, (0.4, 0.8)),
        ("14A+R14C", 14, (0.2, 0.6)),  # on each side the stronger
        ("A/R12D", 12, (0.4, 0.8)),  # both sides, the right one more
        ("A12D", 12, (0.8, 0.8)),  # nobody knows which side moves more
        ("L17D", 17, (0.8, 0.8)),  # there is one chin
        ("ref(L10B)", 10, (0.4, 0)),
    ],
)
def test_condition_vector_has_the_sides_of_the_cell(
    cell: str, au: int, sides: tuple[float, float]
) -> None:
    vector = condition_vector(parse_au_cell(cell), unlettered=0.1)
    assert vector[CONDITION_AUS.index(au)] == pytest.approx(sides)


def test_aus_of_the_middle_have_no_sides_of_their_own() -> None:
    middle = [au for au in CONDITION_AUS if not ACTION_UNITS[au].lateral]
    assert middle == [17, 23, 24, 25, 26, 28]


def test_sides_come_and_go() -> None:
    measured = np.array([[0.2, np.nan], [0.5, 0.1]], np.float32)
    sides = on_both_sides(measured)
    assert sides.shape == (2, 2, len(SIDES))
    np.testing.assert_array_equal(stronger_side(sides), measured)
    np.testing.assert_array_equal(stronger_side(np.array([[0.1, 0.4], [0.3, 0.0]])), [0.4, 0.3])


@pytest.mark.parametrize("cell", ["?", None, "soft focus"])
def test_condition_vector_of_a_cell_without_aus_is_not_measured(cell: str | None) -> None:
    assert np.isnan(condition_vector(parse_au_cell(cell), unlettered=0.3)).all()


def test_condition_vector_refuses_an_intensity_outside_the_scale() -> None:
    with pytest.raises(ValueError, match=r"unlettered must be a number, in 0..1, got 3"):
        condition_vector(parse_au_cell(4), unlettered=3)


def _cells(path: Path, header_row: int) -> set[object]:
    sheet = openpyxl.load_workbook(path).worksheets[0]
    header = [cell.value for cell in sheet[header_row]]
    column = header.index("Action Units") + 1
    rows = range(header_row + 1, sheet.max_row + 1)
    return {sheet.cell(row, column).value for row in rows}


@pytest.mark.parametrize(
    ("file", "header_row", "count"),
    [("CASME2-coding-20140508.xlsx", 1, 68), ("SAMM_Micro_FACS_Codes_v2.xlsx", 14, 97)],
)
def test_every_real_cell_is_read_in_full(
    annotations: Path, file: str, header_row: int, count: int
) -> None:
    cells = _cells(annotations / file, header_row)
    assert len(cells) == count
    for value in cells:
        cell = parse_au_cell(value)  # type: ignore[arg-type]
        assert not cell.unread, value
        # Independent of the grammar: the numbers, the letters behind them and the words.
        text = str(value)
        events = [event for group in cell.groups for event in group]
        assert [event.number for event in events] == [int(n) for n in re.findall(r"\d+", text)]
        lettered = re.findall(r"\d([A-E](?:/[A-E])?)", text)
        assert ["/".join(event.letters) for event in events if event.letters] == lettered
        assert sum(event.side == "left" for event in events) == text.count("L")
        assert sum(event.side == "right" for event in events) == text.count("R")
        assert sum(event.reflex for event in events) == text.count("ref(")
        assert sum(len(group) - 1 for group in cell.groups) == text.count(" or ")
        assert sum(event.part is not None for event in events) == len(re.findall("T|B1", text))
        assert sum(event.asymmetric for event in events) == len(re.findall(r"A/?L?\d", text))
        assert cell.unclear == ("?" in text)
        assert cell.remarks == (("soft focus",) if "soft" in text else ())


@pytest.mark.parametrize(
    "cell", ["(" * 100_000, "4+" * 50_000, "(" * 50_000 + "4" + ")" * 50_000, "9" * 10_000]
)
def test_cells_that_nobody_annotated_are_unread(cell: str) -> None:
    read = parse_au_cell(cell)
    assert (read.groups, read.unread) == ((), (cell,))
    assert len(why_unread(cell)) < 120


def test_a_cell_of_many_brackets_is_read() -> None:
    assert parse_au_cell("(" * 200 + "4" + ")" * 200).numbers == (4,)


@pytest.mark.parametrize("cell", [[4], {"a": 4}, b"4"])
def test_what_is_no_cell_is_refused(cell: object) -> None:
    with pytest.raises(ValueError, match="an AU cell is a text, a number or None, got"):
        parse_au_cell(cell)  # type: ignore[arg-type]
