from __future__ import annotations

import io
import logging
import re

import pytest
from rich.console import Console

from mersynth import logs


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="mersynth")
    return caplog


def test_progress_ends_with_the_rate(lines: pytest.LogCaptureFixture) -> None:
    with logs.progress("rendering", total=5, unit="frames") as advance:
        advance(2)
        advance(3)
    (message,) = lines.messages
    assert re.fullmatch(r"rendering: 5 frames in \d+\.\d s \(\d+\.\d frames/s\)", message)


def test_without_a_terminal_progress_is_logged_now_and_then(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "console", Console(file=io.StringIO(), force_terminal=False))
    clock = iter([0.0, 1.0, 40.0, 41.0, 80.0])
    monkeypatch.setattr(logs.time, "monotonic", lambda: next(clock))
    with logs.progress("training", total=10, unit="steps") as advance:
        for _ in range(3):
            advance(2)
    assert lines.messages == [
        "training: 4 of 10 steps",
        "training: 6 steps in 80.0 s (0.1 steps/s)",
    ]


def test_on_a_terminal_progress_is_a_bar(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(logs, "console", Console(file=screen, force_terminal=True, width=80))
    with logs.progress("rendering", total=4, unit="frames") as advance:
        advance(4)
    assert "rendering" in screen.getvalue()
    assert "4/4" in screen.getvalue()


def test_a_failure_logs_no_rate(lines: pytest.LogCaptureFixture) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        logs.progress("rendering", total=5, unit="frames"),
    ):
        raise RuntimeError("stop")
    assert lines.messages == []


def test_set_up_shows_this_project_from_info_on_and_others_from_warning_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        logs.set_up()
        logging.getLogger("mersynth.gan").info("ours [bold] info")
        logging.getLogger("mersynth.gan").debug("ours debug")
        logging.getLogger("somebody").info("theirs info")
        logging.getLogger("somebody").warning("theirs warning")
    finally:
        root.handlers[:], root.level = handlers, level
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "ours [bold] info" in shown.err
    assert "ours debug" not in shown.err
    assert "theirs info" not in shown.err
    assert "theirs warning" in shown.err


def test_a_line_is_never_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands are copied from it, in an 80-column terminal as in a file."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    command = f"mersynth prepare --store {'/a/long/path' * 12} --features flow"
    try:
        logs.set_up()
        logging.getLogger("mersynth.gan").warning("do [this]: %s", command)
    finally:
        root.handlers[:], root.level = handlers, level
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"\d\d:\d\d:\d\d WARNING  do \[this\]: {command}", line)
