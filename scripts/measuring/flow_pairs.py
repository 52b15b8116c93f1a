"""Renders only onset and apex of an annotation table's clips, enough for flow images."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mersynth import __version__, logs
from mersynth.clips import Clip
from mersynth.face.template import TIGHT
from mersynth.facs.emotions import label
from mersynth.phantom.capture import LAB, Capture
from mersynth.phantom.layouts import Layout, choose_layout, with_prototype
from mersynth.phantom.population import ClipSpec, render_clip
from mersynth.phantom.variety import WIDE, Population
from mersynth.store.writer import StoreWriter


def write_pairs(
    table: Path,
    database: str,
    out: Path,
    seed: int,
    size: int,
    population: Population = WIDE,
    capture: Capture = LAB,
) -> Path:
    """A store of what ``mersynth phantom --like TABLE`` shows at onset and apex, framed tight.

    The clips are those of the three classes, and have two frames, as far apart in time as onset and
    apex; without an annotated apex it is put in the middle.

    Args:
        table: annotation table.
        database: whose: a layout of ``mersynth phantom``.
        out: the store, made unless it is there.
        seed: of movements and noise.
        size: side of the frames, in pixels.
        population: how people look and are recorded.
        capture: what clips show besides the expression.

    Raises:
        ValueError, SourceError: as ``mersynth.phantom.tree.write_tree``.
    """
    if out.exists():
        return out
    layout = choose_layout(table, database)
    specs = [
        spec
        for clip in layout.clips(table)
        if clip is not None and label(database, clip.emotion, "three") is not None
        if (spec := pair_of(clip, layout, seed)) is not None
    ]
    specs.sort(key=lambda spec: spec.subject)  # each head is built once
    header: Mapping[str, Any] = {
        "source": database,
        "image_size": size,
        "framing": TIGHT.as_dict(),
        "seed": seed,
        "population": population.as_dict(),
        "capture": capture.as_dict(),
        "licence": "rendered, no real person: free to use",
        "mersynth": __version__,
    }
    with (
        StoreWriter(out, [spec.clip for spec in specs], size, header) as writer,
        logs.progress(f"rendering {out.name}", len(specs), "clips") as advance,
    ):
        for spec in specs:
            rendered = render_clip(
                spec, size, framing=TIGHT, population=population, capture=capture
            )
            writer.add(*rendered)
            advance(1)
        writer.finish()
    return out


def pair_of(clip: Clip, layout: Layout, seed: int) -> ClipSpec | None:
    """Onset and apex of a clip as a clip of two frames; None if they are the same frame."""
    shown = clip if layout.has_aus else with_prototype(clip, seed)
    apart = (clip.num_frames - 1) // 2 if clip.apex_index is None else clip.apex_index
    if apart == 0:
        return None
    pair = replace(shown, onset=0, apex=1, offset=1, fps=clip.fps / apart)
    number = layout.first_subject + int(re.sub(r"\D", "", clip.subject))
    return ClipSpec(pair, number, (seed, zlib.crc32(clip.id.encode())))
