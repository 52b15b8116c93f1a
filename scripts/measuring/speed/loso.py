"""Leave-one-subject-out of STSTNet on flow, and epochs of MMNet on a store.

The data are random, of the size of MEGC2019's composite and of MMNet's frames. The plain loops have
the same networks, batches, epochs and augmentations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import v2

from measuring.speed.comparison import Comparison, Work
from mersynth import config
from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.data.clip_arrays import join
from recognizers.data.inputs import build_inputs
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.models import create_model
from recognizers.training.settings import TrainingSettings
from recognizers.training.trainer import Training

CLASSES = {"negative": 250, "positive": 109, "surprise": 83}  # of MEGC2019
PEOPLE = 68
BATCH, RATE = 256, 5e-5  # of configs/model/ststnet.yaml
EMOTIONS = ("anger", "contempt", "happiness", "surprise", "other")
FRAMES, APEX = 12, 8


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """STSTNet from the file of features to the report, and MMNet an epoch."""
    with tempfile.TemporaryDirectory() as name:
        yield _ststnet(Path(name), quick, device)
        yield _mmnet(Path(name), quick, device)


def _ststnet(folder: Path, quick: bool, device: torch.device) -> Comparison:
    """Ours is the whole command: reading, guard, processes, folds, figures and report."""
    people, epochs, plain = (4, 3, 1) if quick else (PEOPLE, 10, 2)
    file = folder / "flow.npz"
    write_flow(file, people)
    return Comparison(
        f"STSTNet, {people} folds",
        "fold and epoch",
        Work(
            "DataLoader, fold after fold",
            partial(plain_loso, file, plain, epochs, device),
            plain * epochs,
        ),
        [Work("recognizers loso", partial(_our_loso, file, epochs, device), people * epochs)],
        8.0,
    )


def write_flow(path: Path, people: int) -> None:
    """Random flow and strain, as many clips of each class as the composite has."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(len(CLASSES)), list(CLASSES.values())))
    rest = rng.integers(0, people, len(y) - people)
    np.savez(
        path,
        x=rng.normal(size=(len(y), 3, 28, 28)).astype(np.float32),
        y=y,
        subject=np.array([f"{i:02}" for i in [*range(people), *rest]]),
        classes=np.array(list(CLASSES)),
        channels=np.array(["u", "v", "strain"]),
    )


def _our_loso(file: Path, epochs: int, device: torch.device) -> None:
    overrides = [f"model.training.epochs={epochs}", f"device={device.type}"]
    request = Request(split="loso", model="ststnet", data=[file], overrides=overrides)
    with tempfile.TemporaryDirectory() as out:
        evaluate(request, Path(out) / "run")


class PlainSTSTNet(nn.Module):
    """Table I as its authors' PyTorch code has it: three streams, each by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, filters, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(3, 3, padding=1),
                nn.Dropout(0.5),
            )
            for filters in (3, 5, 8)
        )
        self.pool = nn.AvgPool2d(2)
        self.classifier = nn.Linear(400, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 28, 28) to logits (B, C)."""
        joined = torch.cat([stream(x) for stream in self.streams], 1)
        return self.classifier(self.pool(joined).flatten(1))


def plain_loso(file: Path, folds: int, epochs: int, device: torch.device) -> list[np.ndarray]:
    """Train and test the first folds; returns the predictions of each after its last epoch."""
    data = np.load(file)
    x, y, subject = torch.from_numpy(data["x"]), torch.from_numpy(data["y"]), data["subject"]
    found = []
    for person in sorted(set(subject))[:folds]:
        tested = torch.from_numpy(subject == person)
        deviation, mean = torch.std_mean(x[~tested], (0, 2, 3), keepdim=True)
        scaled = (x - mean) / deviation
        train = TensorDataset(scaled[~tested], y[~tested])
        loader = DataLoader(train, BATCH, shuffle=True)
        test = DataLoader(TensorDataset(scaled[tested], y[tested]), BATCH)
        model = PlainSTSTNet().to(device)
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        for _ in range(epochs):
            _plain_epoch(model, optimizer, loader, device)
            predicted = _plain_test(model, test, device)
        found.append(predicted)
    return found


def _plain_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader[Any],
    device: torch.device,
) -> float:
    """One pass; returns the mean loss."""
    model.train()
    total, count = 0.0, 0
    for *inputs, labels in loader:
        labels = labels.to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(*(each.to(device) for each in inputs)), labels)
        loss.backward()
        optimizer.step()
        total, count = total + loss.item() * len(labels), count + len(labels)
    return total / count


@torch.no_grad()
def _plain_test(model: nn.Module, loader: DataLoader[Any], device: torch.device) -> np.ndarray:
    model.eval()
    return np.concatenate([model(x.to(device)).softmax(1).cpu().numpy() for x, _ in loader])


def _mmnet(folder: Path, quick: bool, device: torch.device) -> Comparison:
    block: dict[str, Any] = config.load(
        "evaluate", [f"model=mmnet{'_tiny' if quick else ''}"]
    ).model
    size = block["options"]["image_size"]
    count = 8 if quick or device.type == "cpu" else 128
    store = write_store(folder / "store", count, size)
    training = TrainingSettings.from_config({**block["training"], "epochs": 1})
    return Comparison(
        f"MMNet, {count} clips of {size} pixels",
        "epoch",
        Work("decodes at each access", _plain_mmnet(folder, store, block, device), 1),
        [Work("clips in memory", _our_mmnet(store, block, training, device), 1)],
        1.3 if device.type == "cpu" else 10.0,
    )


def write_store(path: Path, count: int, size: int) -> ClipStore:
    """Clips of smooth random frames."""
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            source="samm",
            subject=f"{i:03}",
            name="clip",
            onset=0,
            apex=APEX,
            offset=FRAMES - 1,
            emotion=EMOTIONS[i % len(EMOTIONS)],
        )
        for i in range(count)
    ]
    with StoreWriter(path, clips, size, {"source": "samm", "licence": "none"}) as writer:
        for _ in clips:
            noise = rng.integers(0, 256, (FRAMES, 16, 16, 3), dtype=np.uint8)
            writer.add(np.stack([cv2.resize(frame, (size, size)) for frame in noise]), None)
        return writer.finish()


def _our_mmnet(
    store: ClipStore, block: dict[str, Any], settings: TrainingSettings, device: torch.device
) -> Callable[[], object]:
    model = create_model("mmnet", len(EMOTIONS), **block["options"]).to(device)
    clips = join([build_inputs(store, model.inputs, "five", device)])
    rows = range(len(clips.clips))
    training = Training(model, clips, rows, settings, block["augment"], device)
    return partial(training.run, lambda epoch: None)


class JPEGs(Dataset[tuple[Tensor, Tensor, int]]):
    """Frames near onset and apex, decoded and augmented at each access."""

    def __init__(self, folder: Path, store: ClipStore, block: dict[str, Any]) -> None:
        augment, size = block["augment"], block["options"]["image_size"]
        self.folder, self.labels = folder, [EMOTIONS.index(clip.emotion) for clip in store.clips]
        self.change = v2.Compose(
            [
                v2.RandomHorizontalFlip(**augment["RandomHorizontalFlip"]),
                v2.RandomCrop(size, **augment["RandomCrop"]),
                v2.ColorJitter(**augment["ColorJitter"]),
            ]
        )
        folder.mkdir()
        for i, item in enumerate(store):
            for j, frame in enumerate(item.frames):
                cv2.imwrite(str(folder / f"{i}_{j}.jpg"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        near = torch.randint(4, (2,)).tolist()
        frames = [
            cv2.cvtColor(cv2.imread(str(self.folder / f"{index}_{place}.jpg")), cv2.COLOR_BGR2RGB)
            for place in (near[0], APEX - near[1])
        ]
        pair = torch.from_numpy(np.stack(frames)).movedim(-1, 1).float() / 255
        onset, apex = self.change(pair)
        return onset, apex, self.labels[index]


def _plain_mmnet(
    folder: Path, store: ClipStore, block: dict[str, Any], device: torch.device
) -> Callable[[], object]:
    options = {**block["options"], "training_frames": "annotated"}  # the data set draws the frames
    network = create_model("mmnet", len(EMOTIONS), **options).to(device)
    training = dict(block["training"])
    optimizer = TrainingSettings.from_config(training).make_optimizer(network)
    loader = DataLoader(
        JPEGs(folder / "frames", store, block), training["batch_size"], shuffle=True
    )
    return partial(_plain_epoch, _Logits(network), optimizer, loader, device)


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        return self.network(onset=onset, apex=apex).logits
