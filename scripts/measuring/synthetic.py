"""Synthetic stores that scripts make once and find again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mersynth.gan.checkpoint import SHIPPED, load_card
from mersynth.store import ClipStore, StoreError
from mersynth.synthesis.generate import generate


def synthetic_store(
    real: Path,
    out: Path,
    per_class: int,
    *,
    generator: str = "icgan",
    checkpoint: Path = SHIPPED,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> Path:
    """A generator's balanced clips of a store, made unless they are there.

    Args:
        real: the store.
        out: of the clips.
        per_class: clips of every class.
        generator: ``icgan`` or ``warp``.
        checkpoint: of the ``icgan``.
        seed: of plan and curves.
        overrides: of ``configs/generate.yaml``.

    Returns:
        ``out``.

    Raises:
        StoreError: if what is there was made by another checkpoint.
    """
    trained = generator == "icgan"
    if not out.exists():
        generate(
            store=real,
            per_class=per_class,
            generator=generator,
            checkpoint=checkpoint if trained else None,
            out=out,
            seed=seed,
            overrides=overrides,
        )
    elif trained:
        (made,) = ClipStore.open(out).meta["header"]["generators"]
        if made["sha256"] != load_card(checkpoint).sha256:
            raise StoreError(
                f"{out} was made by another generator than {checkpoint} holds; remove it and the "
                "runs that used it, or choose another --work"
            )
    return out
