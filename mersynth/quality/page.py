"""The page of the figures: ``quality.html``, self-contained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mersynth.disk.files import real_path
from mersynth.pages.rendering import figure, render
from mersynth.quality.plots import (
    control_bars,
    control_plot,
    course_plot,
    density_plot,
    matrix_rows,
)
from mersynth.quality.sample import Sample
from mersynth.quality.worst import KINDS, describe, strip

_TEMPLATES = Path(__file__).parent


def write_page(
    path: Path,
    result: Mapping[str, Any],
    measures: Mapping[str, Mapping[str, Any]],
    worst: Sequence[Mapping[str, Any]],
    real: Sample,
    synthetic: Sample,
) -> Path:
    """Write the page; its folder must exist.

    Args:
        path: the page.
        result: the contents of ``quality.json``.
        measures: every measure with its arrays by clip, for the plots.
        worst: by :func:`mersynth.quality.worst.find_worst`.
        real: the real clips.
        synthetic: the clips measured.

    Returns:
        The page.
    """
    control = measures["au_control"]
    figures = result["measures"]
    readable = [row["au"] for row in control.get("aus", []) if row["readable"]]
    return render(
        _TEMPLATES,
        "page.html.j2",
        path,
        result=result,
        name=real_path(result["synthetic"]["path"]).name,
        real_name=real_path(result["real"]["path"]).name,
        kind="synthetic" if result["synthetic"]["synthetic"] else "second real",
        m=figures,
        tiles=_tiles(figures),
        bars=control_bars(figures["au_control"]),
        readable=readable,
        matrices=_matrices(figures["au_control"], readable),
        plots=_plots(measures, real, synthetic),
        strips=_strips(worst, synthetic, control.get("read"), readable),
    )


def _tiles(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The headline figures: value, reference, and which direction is good."""
    control, identity = figures["au_control"], figures["identity"]
    motion, distribution = figures["motion"], figures["distribution"]
    outside, separability = figures["outside"], figures["separability"]

    def at(measure: Mapping[str, Any], *keys: str) -> Any:
        for key in keys:
            measure = (measure or {}).get(key)  # type: ignore[assignment]
        return measure

    alike = at(control, "mean_of_reader_aus", "correlation")
    rows = (
        ("AU control", at(control, "mean", "correlation"),
         "correlation of asked and read; 1 is best",
         f"over the AUs that real clips show {figure(alike)}, the reader there",
         at(control, "reader_mean", "correlation"), 3),
        ("Identity", at(identity, "apex"), "cosine of apex and source face; 1 is best",
         "real apex and onset", at(identity, "own_apex"), 3),
        ("Strength of motion", at(motion, "magnitude_ratio"),
         "of the real clips' median; 1 is best", "real", 1.0, 2),
        ("KID", at(distribution, "kid", "synthetic"), "from the real frames; 0 is best",
         "real to real", at(distribution, "kid", "real_to_real_by_clip"), 3),
        ("Change elsewhere", at(outside, "synthetic", "difference"),
         "outside the moved region; low is good", "real", at(outside, "real", "difference"), 4),
        ("Synthetic to real", at(separability, "synthetic_to_real", "uar"),
         "UAR on real clips, trained on synthetic ones; 1 is best",
         "trained on real ones", at(separability, "real_to_real", "uar"), 3),
    )  # fmt: skip
    keys = ("name", "value", "note", "beside", "other", "digits")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _matrices(control: Mapping[str, Any], readable: Sequence[int]) -> list[dict[str, Any]]:
    if "cross_talk" not in control:
        return []
    names = {"synthetic": "Synthetic clips", "reader": "Real clips, the reader's own"}
    return [
        {"title": title, **matrix_rows(control["cross_talk"], which, readable)}
        for which, title in names.items()
    ]


def _plots(
    measures: Mapping[str, Mapping[str, Any]], real: Sample, synthetic: Sample
) -> dict[str, Any]:
    identity = measures["identity"].get("drawn", {})
    nearest = measures["distribution"].get("drawn", {})
    motion = measures["motion"]["drawn"]
    return {
        "control": control_plot(measures["au_control"]),
        "course": course_plot(measures["motion"]),
        "magnitude": density_plot(
            "Strength at the apex",
            "How far the strongest twentieth of the face moves. The two should cover each other.",
            "% of the side",
            (("real", "real", motion["real"]), ("synthetic", "made", motion["synthetic"])),
        ),
        "identity": density_plot(
            "Likeness",
            "Synthetic apexes should lie with, or right of, pairs of one subject.",
            "cosine",
            (
                ("different subjects", "faint", identity.get("different_subjects")),
                ("same subject", "real", identity.get("same_subject")),
                ("synthetic apex, source face", "made", identity.get("apex")),
            ),
        ),
        "nearest": density_plot(
            "Nearest real frame of another clip",
            "Far left of the real clips' own distances would mean copying.",
            "distance",
            (
                ("real", "real", nearest.get("real")),
                ("synthetic", "made", nearest.get("synthetic")),
            ),
        ),
    }


def _strips(
    worst: Sequence[Mapping[str, Any]],
    sample: Sample,
    read: np.ndarray | None,
    readable: list[int],
) -> list[dict[str, Any]]:
    return [
        {
            "title": one["title"],
            "unit": KINDS[one["kind"]].unit,
            "clips": [
                {
                    "id": clip["clip"],
                    "class": sample.classes[clip["row"]],
                    "value": clip["value"],
                    "picture": strip(sample, clip["row"]),
                    "what": describe(sample, clip["row"], read, readable),
                }
                for clip in one["clips"]
            ],
        }
        for one in worst
    ]
