"""The recognizers that come with the package, as described by their cards."""

from __future__ import annotations

from pathlib import Path

from measuring.documents import document, paragraph, table
from recognizers.trained.card import WEIGHTS, RecognizerCard, Tested, load_card, shipped

HEAD = ("name", "system", "kB", "clips", "people", "tested on", "UAR", "95 %", "UF1", "accuracy")


def shipped_section() -> str:
    """A table of them, in Markdown."""
    cards = {name: (load_card(folder), folder) for name, folder in shipped().items()}
    first = next(iter(cards.values()))[0]
    text = f"""Small recognizers to try and to test with, made by
        `python scripts/train_phantom_recognizers.py`. They have learned from rendered faces only,
        and their predictions for real people mean nothing. Figures are for people whom neither
        their training nor the choice of their settings has seen, each class equally often:
        predicting {first.classes[0]} for every clip gives a UAR of {1 / len(first.classes):.3f}.
        Intervals are a bootstrap over people. They read frames of {first.image_size} pixels;
        `recognizers predict --model NAME --clip FOLDER` prepares a clip for them."""
    rows = [line for card, folder in cards.values() for line in _rows(card, folder)]
    heading = "## Recognizers that come with the package"
    return document([heading, paragraph(text), table(HEAD, rows, words=(0, 1, 5))]).rstrip("\n")


def _rows(card: RecognizerCard, folder: Path) -> list[list[str]]:
    """One line per store that it was tested on."""
    size = f"{(folder / WEIGHTS).stat().st_size / 1000:,.0f}"
    learned = f"{card.learned.clips:,}", f"{len(card.learned.people):,}"
    own = [f"`{folder.name}`", f"`{card.model}`", size, *learned]
    return [
        [*(own if place == 0 else [""] * len(own)), *_figures(tested)]
        for place, tested in enumerate(card.tested)
    ]


def _figures(tested: Tested) -> list[str]:
    where = Path(tested.path).name.removeprefix("test_")
    uar, low, high = tested.uar
    of = f"{tested.clips} clips of {len(tested.people)} {where} people"
    means = (f"{tested.uf1[0]:.3f}", f"{tested.accuracy[0]:.3f}")
    return [of, f"{uar:.3f}", f"{low:.3f} to {high:.3f}", *means]
