"""Starting a training from an already trained generator."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mersynth.disk.files import sha256_of_file
from mersynth.gan.checkpoint import (
    SHIPPED,
    SHIPPED_NAME,
    CheckpointError,
    load_generator,
)
from mersynth.gan.forms import AnyGenerator
from mersynth.gan.ganimation import init_from_ganimation
from mersynth.gan.generator import Generator


class Start(NamedTuple):
    """The initial weights of a training.

    Attributes:
        sha256: of the weights.
        subjects: ids of the people that they were trained on; empty for a published GANimation
            generator, which was not trained on any database of this field.
    """

    sha256: str
    subjects: tuple[str, ...]


def start_from(generator: AnyGenerator, source: str) -> Start:
    """Give a generator the weights of an already trained one.

    Args:
        generator: changed in place.
        source: a checkpoint's folder, ``"shipped"`` for the one that comes with the package, or a
            file with a published GANimation generator.

    Raises:
        CheckpointError: if there is none, or it does not fit.
    """
    path = SHIPPED if source == SHIPPED_NAME else Path(source)
    if not path.is_dir():
        if not isinstance(generator, Generator):
            raise CheckpointError(
                f"gan.init_from={source}: GANimation's weights only fit gan.generator.form=paint; "
                f"use gan=au_icgan, or gan.init_from=FOLDER of a checkpoint, or {SHIPPED_NAME}"
            )
        init_from_ganimation(generator, path)
        return Start(sha256_of_file(path), ())
    trained, card = load_generator(path)
    try:
        generator.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise CheckpointError(
            f"gan.init_from={source} does not fit gan.generator: it has {card.generator} "
            f"(gan.image_size={card.image_size}); set gan to these values"
        ) from error
    return Start(card.sha256, card.training_subjects)
