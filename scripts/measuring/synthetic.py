"""Synthetic stores that scripts make once and reuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from mersynth.checks import listed
from mersynth.config import load
from mersynth.disk.files import differences
from mersynth.gan.checkpoint import SHIPPED, find_groups, load_card
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.synthesis.generate import generate
from mersynth.synthesis.warp_generator import WarpGenerator


def synthetic_store(
    real: Path,
    out: Path,
    per_class: int,
    *,
    classes: str = "five",
    tested: Sequence[Path] = (),
    generator: str = "icgan",
    checkpoint: Path = SHIPPED,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> Path:
    """A generator's balanced clips of a store; made if missing, completed if unfinished.

    Args:
        real: the store.
        out: of the clips.
        per_class: clips of every class.
        classes: label scheme.
        tested: further stores on whose people recognizers are tested.
        generator: ``icgan`` or ``warp``.
        checkpoint: of the ``icgan``.
        seed: of plan, curves and heads.
        overrides: of ``configs/generate.yaml``.

    Returns:
        ``out``.

    Raises:
        StoreError: if the existing store was made from other clips or with other settings.
    """
    trained = generator == "icgan"
    if not out.exists():
        generate(
            store=real,
            per_class=per_class,
            classes=classes,
            tested=tested,
            generator=generator,
            checkpoint=checkpoint if trained else None,
            out=out,
            seed=seed,
            overrides=overrides,
            resume=True,
        )
        return out
    made = ClipStore.open(out).meta["header"]
    weights = (
        [load_card(group).sha256 for group in find_groups(checkpoint)]
        if trained
        else [WarpGenerator().sha256]
    )
    wanted = {
        "scheme": classes,
        "per_class": per_class,
        "seed": seed,
        "config": OmegaConf.to_container(load("generate", overrides), resolve=True),
        "generators": weights,
        "real store": ClipStore.open(real).checksum,
    }
    found = {
        **{key: made[key] for key in ("scheme", "per_class", "seed", "config")},
        "generators": [each["sha256"] for each in made["generators"]],
        "real store": made["real_store"]["checksum"],
    }
    if differing := differences(found, wanted):
        raise StoreError(
            f"{out} was made differently: {listed(differing, 5, '; ')}; remove it and the runs "
            "that used it, or choose another --work"
        )
    return out
