"""The dataset card of an export: ``README.md`` as the Hugging Face Hub reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from mersynth.export.job import Job
from mersynth.facs.action_units import CONDITION_AUS

_SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6))
_TEXT = """
# {title}

{clips} clips of facial {strength}, {synthetic} of them synthetic, of {subjects}: every frame
from onset to offset, {side} x {side} pixels, with AU intensities and landmarks. The classes are
those of the scheme `{scheme}`:

| class | clips |
| :--- | ---: |
{classes}

```python
from datasets import load_dataset

clips = load_dataset("FOLDER", split="train")
clips[0]["frames"]  # Pillow images
```

`intensities` are (T, 20, 2) in [0, 1]: AUs {aus}, each on the subject's left and right side;
NaN is not measured. Every column is described in the documentation of `mersynth.export`.

## Before it is shared

{terms}

A synthetic clip inherits: from the person whose face it shows, the licence and consent for that
person's pictures; from the clip whose AU curve and head motion it follows, the licence of that
database; from its generator, the licence of what that was trained on. The strictest counts. The
databases of the field forbid redistribution: clips of their people, synthetic ones too, must
not be uploaded where others than their licensees can read them.

## Before it is trained on

All clips are in the one split `train`, for a random split would put the same people on both
sides. A recognizer that is tested on a person must not have learned from that person's clips,
from synthetic clips that show or follow that person, or from a generator that saw that person:

```python
tested = "{tested}"
learned = clips.filter(
    lambda clip: clip["face"] != tested
    and (
        not clip["synthetic"]
        or (tested in clip["unseen"] and not (clip["template"] or "").startswith(tested + "/"))
    )
)
```

Not for conclusions about individuals; above all, not for lie detection, diagnosis or
surveillance.

## How it was made

{made}

`card.json` holds the header of the store, and `provenance.csv` a line per clip.
{citations}"""


def dataset_card(job: Job, files: str) -> str:
    """The card: YAML front matter, then what is in it, its terms, and how to use it without leaks.

    Args:
        job: the export.
        files: glob of the Parquet files.
    """
    clips, card = job.store.clips, job.card
    people = sorted({clip.subject_id for clip in clips})
    counts = Counter(job.class_names)
    return f"---\n{OmegaConf.to_yaml(_front_matter(job, files))}---\n" + _TEXT.format(
        title=card["store"]["name"],
        clips=len(clips),
        strength=" and ".join(f"{s}-expressions" for s in sorted({c.strength for c in clips})),
        synthetic=card["synthetic_clips"],
        subjects=f"{len(people)} {'person' if len(people) == 1 else 'people'}",
        side=job.store.image_size,
        scheme=card["scheme"],
        classes="\n".join(f"| {name} | {counts[name]} |" for name in job.data.classes),
        aus=", ".join(map(str, CONDITION_AUS)),
        terms="\n".join(f"- Licence: {terms}" for terms in card["licences"])
        or "No licence is recorded.",
        tested=people[0],
        made=_how_made(job),
        citations="".join(f"\nCite: {work}\n" for work in card["citations"]),
    )


def _front_matter(job: Job, files: str) -> dict[str, Any]:
    count = len(job.store)
    synthetic = ["synthetic"] if job.card["synthetic_clips"] else []
    return {
        "pretty_name": job.card["store"]["name"],
        "license": "other",
        "license_name": "as-stated-below",
        "license_link": "README.md",
        "task_categories": ["video-classification"],
        "tags": ["micro-expressions", "facial-action-units", "mersynth", *synthetic],
        "size_categories": [next((name for name, most in _SIZES if count < most), "n>1M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": files}]},
        ],
    }


def _how_made(job: Job) -> str:
    header: Mapping[str, Any] = job.card["store"]["header"]
    lines = [
        f"Exported by mersynth {job.card['versions']['mersynth']} from a store with the checksum "
        f"`{job.card['store']['checksum']}` (source: {header['source']}).\n"
    ]
    generators = Counter(clip.generator for clip in job.store.clips if clip.is_synthetic)
    lines += [
        f"- {count} clips by the generator with the SHA-256 `{sha256}`"
        for sha256, count in generators.most_common()
    ]
    if generators and "seed" in header:
        lines.append(f"- seed {header['seed']}")
    return "\n".join(lines)
