"""A fold of every system on a device, where a tensor left on the CPU is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mersynth.augment import au_sets
from mersynth.clips import Clip
from recognizers.data.clip_arrays import ClipArrays
from recognizers.folds.plan import FoldPlan
from recognizers.folds.splits import Fold
from recognizers.models import Recognizer, list_models, outline
from recognizers.training.fold_work import Work, train_folds
from recognizers.training.settings import TrainingSettings
from tests.recognizers.models.handful import model_config, noise_for, small_options

CELLS = ["6+12", "4+7", "6+12"]  # two clips to learn from, and one of somebody else
CLASSES = ("anger", "happiness")
OFTEN = ("au_gacn", "mmnet", "ststnet")  # a graph, a network of frames, one of flow


def clips_for(model: Recognizer) -> ClipArrays:
    """Clips of random inputs."""
    label = np.arange(len(CELLS)) % 2
    return ClipArrays(
        inputs={key: value.numpy() for key, value in noise_for(model, len(CELLS)).items()},
        label=label,
        au_set=au_sets(CELLS).numpy(),
        domain=label.copy(),
        clips=tuple(
            Clip(
                source="samm",
                subject=f"{i // 2:03d}",
                name=str(i),
                onset=0,
                apex=2,
                offset=4,
                emotion=CLASSES[label[i]],
                aus=aus,
            )
            for i, aus in enumerate(CELLS)
        ),
        classes=CLASSES,
    )


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in OFTEN else pytest.mark.slow) for n in list_models()],
)
def test_a_fold_of_every_system(name: str, elsewhere: torch.device) -> None:
    config, options = model_config(name), small_options(name)
    model = outline(name, len(CLASSES), **options)
    block = config.get("training", {})
    if not model.fits_directly:
        block["epochs"] = 1
        # torch's fused optimisers know CUDA, but not the pretended device.
        block["optimizer"] |= {} if elsewhere.type == "cuda" else {"fused": False}
    settings = TrainingSettings.from_config(block, model.fits_directly)
    learning = (settings, settings, settings)
    chosen = (name, options, config.get("augment") or {})
    work = Work(clips_for(model), None, *chosen, *learning, "strict", elsewhere.type)
    plan = FoldPlan(0, Fold("samm/001", (0, 1), (2,)), (0, 1), None, None)
    (found,) = train_folds(work, [plan], None, seed=0, keep_weights=False)
    assert found.probabilities.shape == (1, len(CLASSES))
    assert np.isfinite(found.probabilities).all()
