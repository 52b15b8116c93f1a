"""What a clip's annotation must be."""

from __future__ import annotations

import dataclasses

import pytest

from tests.tiny_store import tiny_clips


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": 3}, "offset 3 lies before onset 10"),
        ({"apex": 99}, "apex 99 lies outside"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"strength": "huge"}, "must be one of micro, macro, got 'huge'"),
    ],
)
def test_impossible_clips_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tiny_clips()[0], **change)
