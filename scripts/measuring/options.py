"""Shared options of the scripts that measure recognizers."""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser, per_class: int, seeds: int) -> None:
    """Add ``--per-class``, ``--seeds`` and ``--seed``, and config values after all options.

    Args:
        parser: of the script.
        per_class: synthetic clips of every class, unless given.
        seeds: number of seeds, unless given.
    """
    parser.add_argument(
        "--per-class", type=int, default=per_class, help="synthetic clips of every class"
    )
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--seed", type=int, default=0, help="the first; also of the stores")
    parser.add_argument("overrides", nargs="*", help="config values to change in every run")
