"""The code of docs/augment.md, run on a small phantom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mersynth import augment
from mersynth.phantom.population import write_store

DOCUMENT = Path(__file__).parents[2] / "docs" / "augment.md"

pytestmark = pytest.mark.skipif(
    not DOCUMENT.is_file(), reason=f"{DOCUMENT} is not there: run from a checkout"
)


def blocks() -> Iterator[tuple[str, str]]:
    """The heading above each block of Python, and the block."""
    heading = ""
    heading_or_block = r"^#+ ([^\n]+)$|^```python\n(.*?)^```$"
    for part in re.finditer(heading_or_block, DOCUMENT.read_text(), re.M | re.S):
        if part[1]:
            heading = part[1]
        else:
            yield heading, part[2]


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores/phantom, 14 clips of 4 subjects."""
    folder = tmp_path_factory.mktemp("reader")
    counts = {"happiness": 5, "anger": 4, "surprise": 3, "contempt": 2}
    write_store(
        folder / "stores" / "phantom", image_size=64, subjects=4, counts=counts, max_frames=20
    )
    return folder


def run(heading: str) -> dict[str, Any]:
    """The variables after the only block under a heading."""
    (code,) = [block for name, block in blocks() if name == heading]
    names: dict[str, Any] = {}
    exec(compile(code, f"{DOCUMENT.name}: {heading}", "exec"), names)
    return names


def test_training_loop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    left = run("A PyTorch training loop")
    assert left["loss"].isfinite()
    assert all(weight.grad.abs().sum() > 0 for weight in left["model"].parameters())
    batch, au_set = left["sample"], left["au_set"]
    labels = torch.tensor(left["short"].labels)
    assert torch.equal(batch["label"], labels[batch["index"]])
    # AUs moved with the halves and sides: no longer each clip's own, but all of the store's.
    assert not torch.equal(batch["au_set"], au_set[batch["index"]])
    assert batch["au_set"].amax((0, 2))[au_set.amax((0, 2)) == 0].sum() == 0


def test_kornias_sequence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    left = run("kornia's `AugmentationSequential`")
    images, apex = left["images"], left["apex"]
    assert images.shape == apex.shape == (14, 3, 64, 64)
    assert 0 <= images.min() < images.max() <= 1
    assert not torch.equal(images, apex)
    by_hand = apex
    for transform in left["sequence"].children():
        ours = isinstance(transform, augment.Augmentation)
        by_hand = transform(by_hand, params=transform.params if ours else transform._params)
    torch.testing.assert_close(images, by_hand)


def test_torchvisions_compose_in_a_loader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    left = run("torchvision's `v2.Compose` in a DataLoader")
    batch, clips = left["sample"], left["short"]
    assert batch["clip"].shape == (14, 8, 3, 64, 64)
    assert batch["clip"].min() < 0  # normalised, as the last of the chain does
    assert batch["aus"].shape == (14, 8, 20)
    assert batch["landmarks"].shape == (14, 8, 68, 2)
    assert batch["label"].tolist() == [clips.labels[i] for i in batch["index"]]
    drawn = batch["subject"].bincount()
    assert drawn.max() - drawn.min() <= 1


def test_every_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    for heading, code in blocks():  # the integrations, too, as in one notebook
        exec(compile(code, f"{DOCUMENT.name}: {heading}", "exec"), names)
    assert names["flipped"].keys() == names["batch"].keys()
    assert names["warped"].shape == (8, 16, 3, 64, 64)
    assert names["pairs"]["apex"].shape == (8, 3, 64, 64)
    assert names["resampled"]["clip"].shape == (8, 8, 3, 64, 64)


def test_every_transform_has_its_section_and_picture() -> None:
    text = DOCUMENT.read_text()
    transforms = {
        name
        for name in augment.__all__
        if isinstance(getattr(augment, name), type)
        and issubclass(getattr(augment, name), torch.nn.Module)
    }
    sections = dict(re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", text, re.M | re.S))
    for name in transforms - {"Augmentation"}:
        pictures = re.findall(r"\]\((images/\w+\.png)\)", sections[name])
        assert pictures
        assert all((DOCUMENT.parent / picture).stat().st_size < 300_000 for picture in pictures)
