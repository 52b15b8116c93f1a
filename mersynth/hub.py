"""Trained weights from a folder or from the Hugging Face Hub, and folders to upload there.

The folders are those that mersynth's own commands write: weights as safetensors, and their card, so
that loading runs no code of others. `hf upload OWNER/NAME FOLDER` publishes one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mersynth.card import read_card, read_weights
from mersynth.disk.files import whole_folder

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
MODEL_CARD = "README.md"


class HubError(Exception):
    """Weights cannot be fetched from the Hub, or not be written for it."""


def fetch(name: str | Path, revision: str | None = None) -> Path:
    """The folder of trained weights.

    Args:
        name: a folder on this machine; where there is none, ``owner/name`` of a repository of the
            Hub, of which cards and safetensors are downloaded into its own cache.
        revision: branch, tag or commit of the repository; None: its main branch.

    Returns:
        The folder. A name that is neither is returned as a path, for the loader to report.

    Raises:
        HubError: if a revision is given for a folder, ``huggingface_hub`` is not installed, or the
            repository cannot be had.
    """
    folder = Path(name)
    if folder.exists() or not _REPOSITORY.fullmatch(str(name)):
        if revision is not None:
            raise HubError(f"revision is for a repository of the Hub; {name} is a folder")
        return folder
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise HubError(
            f"there is no folder {name}, and to look for it on the Hugging Face Hub takes "
            "`pip install huggingface_hub`"
        ) from error
    try:
        patterns = ["*.json", "*.safetensors"]
        return Path(snapshot_download(str(name), revision=revision, allow_patterns=patterns))
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise HubError(
            f"there is no folder {name}, and it cannot be had from the Hugging Face Hub "
            f"({reason}); name a folder, or a repository as owner/name"
        ) from error


def save_folder(folder: Path, card: Path, weights: Mapping[str, Tensor], model_card: str) -> None:
    """Copy trained weights and their card into a new folder, with a model card for the Hub.

    The files are copied, not written anew: clips and reports name them by their SHA-256.

    Args:
        folder: must not exist.
        card: of the weights to copy.
        weights: the model's, to make sure that they are still those of the file.
        model_card: text of ``README.md``.

    Raises:
        HubError: if the folder exists, or the weights were changed since they were loaded.
        ValueError: if card or weights are damaged.
    """
    if folder.exists():
        raise HubError(f"{folder} exists already; remove it or choose another folder")
    facts = read_card(card)
    kept = read_weights(card, facts)
    same = kept.keys() == weights.keys() and all(
        torch.equal(value.to(weights[name].dtype), weights[name].cpu())
        for name, value in kept.items()
    )
    if not same:
        raise HubError(
            f"the weights are no longer those of {card.parent}: its card would be wrong about whom "
            "they have seen. Train with mersynth's or recognizers' commands, which write a new one"
        )
    with whole_folder(folder) as partial:
        for file in (card, card.with_name(facts["weights"])):
            shutil.copyfile(file, partial / file.name)
        (partial / MODEL_CARD).write_text(model_card, encoding="utf-8")


def model_card(title: str, task: str, load: str, facts: Sequence[tuple[str, Any]]) -> str:
    """The text of a model card: YAML front matter, how to load it, and facts.

    Args:
        title: its heading.
        task: what it does, a sentence.
        load: Python code.
        facts: names and values of a table; those without a value are left out.
    """
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts if value not in (None, ""))
    return f"""---
library_name: mersynth
license: other
license_name: as-stated-below
license_link: README.md
tags:
- micro-expressions
- facial-action-units
---

# {title}

{task}

```python
{load}
```

| | |
| :--- | :--- |
{rows}

Weights inherit the licence of the data that they were trained on: those of a licensed database
must not be published unless its licence allows that. They are not for conclusions about
individuals; above all, not for lie detection, diagnosis or surveillance. The JSON file holds all
facts.
"""
