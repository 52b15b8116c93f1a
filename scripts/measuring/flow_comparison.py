"""Comparison of sets of flow images, in figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from measuring import flow_statistics as statistics
from measuring.documents import paragraph, table
from measuring.flow_sets import FlowSet

COMPONENTS = 10
QUANTILES = (0.1, 0.5, 0.9)


def compared(real: Sequence[FlowSet], rendered: Sequence[FlowSet]) -> dict[str, Any]:
    """The statistics of every set, and of every pair of a real one and another."""
    masks = statistics.regions(real[0].images.shape[-1])
    rim = masks["rim"]
    own, axes, contrasts = {}, {}, {}
    for each in (*real, *rendered):
        axes[each.name], size = statistics.components(each.images, COMPONENTS)
        contrasts[each.name] = statistics.class_contrasts(
            each.images, each.labels, len(each.classes)
        )
        at_rim = statistics.shares(statistics.lengths(each.images) ** 2, rim)
        own[each.name] = {
            "clips": len(each.images),
            "people": len(set(each.people)),
            "lengths": statistics.length_quantiles(each.images, masks, QUANTILES),
            "strain": {name: mean_share(each, mask) for name, mask in masks.items()},
            "energy_at_rim": float(np.nanmean(at_rim)),
            "mostly_rim": float(np.mean(at_rim > 0.5)),
            "components": size.tolist(),
            "halves": halves(each),
        }
    pairs = {
        f"{a.name}, {b.name}": {
            "overlap": statistics.overlap(axes[a.name], axes[b.name]),
            "explained": statistics.explained(a.images, axes[b.name])
            / statistics.explained(a.images, axes[a.name]),
            "agreement": statistics.agreement(contrasts[a.name], contrasts[b.name]).tolist(),
        }
        for a in real
        for b in (*real, *rendered)
        if a is not b
    }
    areas = {name: float(mask.mean()) for name, mask in masks.items()}
    return {"sets": own, "pairs": pairs, "areas": areas, "quantiles": QUANTILES}


def mean_share(each: FlowSet, mask: np.ndarray) -> float:
    """The mean of the clips' shares of strain in a region."""
    return float(np.nanmean(statistics.shares(each.images[:, 2], mask)))


def halves(each: FlowSet) -> float:
    """Overlap of the components of one half of a set's people with those of the other."""
    people = sorted(set(each.people))
    chosen = set(np.random.default_rng(0).permutation(people)[: len(people) // 2].tolist())
    first = np.array([person in chosen for person in each.people])
    one, other = (
        statistics.components(each.images[part], COMPONENTS)[0] for part in (first, ~first)
    )
    return statistics.overlap(one, other)


def statistic_tables(found: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """The tables of :func:`compared`."""
    sets, regions = found["sets"], list(found["areas"])
    lengths = [
        [name, *(" / ".join(f"{v:.2f}" for v in own["lengths"][region]) for region in regions)]
        for name, own in sets.items()
    ]
    strain = [
        [
            name,
            *(f"{own['strain'][region]:.2f}" for region in regions),
            f"{own['energy_at_rim']:.2f}",
            f"{own['mostly_rim']:.0%}",
        ]
        for name, own in sets.items()
    ]
    area = [
        "of the image's area",
        *(f"{found['areas'][region]:.2f}" for region in regions),
        f"{found['areas']['rim']:.2f}",
        "",
    ]
    parts = [
        [
            pair,
            f"{values['overlap']:.2f}",
            f"{values['explained']:.2f}",
            *(" / ".join(f"{v:+.2f}" for v in row) for row in values["agreement"]),
            f"{np.mean(values['agreement']):+.2f}",
        ]
        for pair, values in found["pairs"].items()
    ]
    own = ", ".join(f"{name} {own['halves']:.2f}" for name, own in sets.items())
    return [
        "## How long flow is in the parts of the face",
        paragraph(
            "Distance of u and v from the clip's medians, each as a share of its own range in the "
            "clip, since lengths in pixels are unknown for real flow: the 10, 50 and 90 % "
            "quantiles over all pixels of a region."
        ),
        table(("set", *regions), lengths),
        "## Where strain and energy lie",
        paragraph(
            "The mean share of a clip's strain in each region; the mean share of its energy "
            "(squared lengths) that lies at the rim, and the share of clips that have most of "
            "theirs there."
        ),
        table(("set", *regions, "energy at the rim", "mostly rim"), [*strain, area]),
        "## First components, and what distinguishes a class",
        paragraph(
            f"Overlap: the mean squared cosine between the spaces of the first {COMPONENTS} "
            "principal components of u and v; that of the two halves of a set's people is "
            f"{own}. Explained: the variance of the first set that the second's components "
            "explain, as a share of what its own do. Classes: correlation over the image of the "
            "class's mean map minus the mean of all, for u / v / strain; and the mean of all nine."
        ),
        table(("sets", "overlap", "explained", *classes, "mean"), parts),
    ]
