"""Entry points of ``torch.hub``: ``torch.hub.load(FOLDER, "phantom_generator", source="local")``.

FOLDER is a checkout of this repository. mersynth itself need not be installed, only the packages
that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mersynth.gan.pretrained import PretrainedGenerator
    from recognizers.trained.recognizer import TrainedRecognizer

dependencies = ["torch", "torchvision", "cv2", "hydra", "kornia", "msgspec", "safetensors"]


def phantom_generator() -> PretrainedGenerator:
    """The generator that comes with the package, trained on rendered faces: AU-ICGAN."""
    return generator("shipped")


def generator(name: str, revision: str | None = None) -> PretrainedGenerator:
    """A trained generator, by folder or ``owner/name`` on the Hugging Face Hub."""
    from mersynth.gan.pretrained import PretrainedGenerator

    return PretrainedGenerator.from_pretrained(name, revision=revision)


def phantom_ststnet(device: str = "auto") -> TrainedRecognizer:
    """STSTNet trained on rendered faces, for trials and tests."""
    return recognizer("phantom-ststnet", device)


def phantom_sssn(device: str = "auto") -> TrainedRecognizer:
    """SSSN trained on rendered faces, for trials and tests."""
    return recognizer("phantom-sssn", device)


def recognizer(name: str, device: str = "auto", revision: str | None = None) -> TrainedRecognizer:
    """A trained recognizer, by folder or ``owner/name`` on the Hugging Face Hub."""
    from recognizers.trained.recognizer import TrainedRecognizer

    return TrainedRecognizer.from_pretrained(name, device, revision=revision)
