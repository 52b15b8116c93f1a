"""Renders few frames of an annotation table's clips: onset and apex, or 25 a second."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
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

Shown = Callable[[Clip, Layout, int], ClipSpec | None]
"""What is rendered of a clip, with a seed; None: nothing."""


def write_pairs(
    table: Path,
    database: str,
    out: Path,
    seed: int,
    size: int,
    population: Population = WIDE,
    capture: Capture = LAB,
    shown: Shown | None = None,
) -> Path:
    """A store of some frames of what ``mersynth phantom --like TABLE`` shows, framed tight.

    The clips are those of the three classes; without an annotated apex it is put in the middle.

    Args:
        table: annotation table.
        database: whose: a layout of ``mersynth phantom``.
        out: the store, made unless it is there.
        seed: of movements and noise.
        size: side of the frames, in pixels.
        population: how people look and are recorded.
        capture: what clips show besides the expression.
        shown: which frames; None: :func:`pair_of`.

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
        if (spec := (shown or pair_of)(clip, layout, seed)) is not None
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
    apart = _apex(clip)
    if apart == 0:
        return None
    pair = replace(clip, onset=0, apex=1, offset=1, fps=clip.fps / apart)
    return _spec(pair, layout, seed)


def thinned(clip: Clip, layout: Layout, seed: int) -> ClipSpec | None:
    """A clip at about 25 frames a second, with frames before and after its apex.

    None if onset and apex are the same frame.
    """
    if _apex(clip) == 0:
        return None
    last = clip.num_frames - 1
    steps = max(2, round(last * 25 / clip.fps))
    apex = min(max(round(_apex(clip) * steps / last), 1), steps - 1)
    thin = replace(clip, onset=0, apex=apex, offset=steps, fps=clip.fps * steps / last)
    return _spec(thin, layout, seed)


def _apex(clip: Clip) -> int:
    return (clip.num_frames - 1) // 2 if clip.apex_index is None else clip.apex_index


def _spec(clip: Clip, layout: Layout, seed: int) -> ClipSpec:
    shown = clip if layout.has_aus else with_prototype(clip, seed)
    number = layout.first_subject + int(re.sub(r"\D", "", clip.subject))
    return ClipSpec(shown, number, (seed, zlib.crc32(clip.id.encode())))
