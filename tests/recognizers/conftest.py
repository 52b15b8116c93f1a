"""Shared by tests of whole runs: clips to train on, and access to the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.recognizers.data.tiny_features import GROUPS, synthetic, write


@pytest.fixture(name="data", scope="session")
def _data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature file of six people, five clips of each."""
    return write(tmp_path_factory.mktemp("data") / "samm.npz")


@pytest.fixture(name="made", scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of three generators, each of which never saw one of the groups."""
    return synthetic(tmp_path_factory.mktemp("data") / "made.npz", GROUPS)


@pytest.fixture(name="hear")
def _hear(caplog: pytest.LogCaptureFixture) -> None:
    """All log messages from INFO; a record that cannot be formatted fails the test."""
    caplog.set_level(logging.INFO)
