"""Tables 2 to 6 of AU-GACN's paper (Xie et al., ACM MM 2020) beside our figures.

    python scripts/reproduce_au_gacn.py --table 5 --store casme2=DIR --store samm=DIR \
        --pretrain casme2=DIR --pretrain samm=DIR
    python scripts/reproduce_au_gacn.py --table 5 --quick

Pretraining uses synthetic clips whose generators never saw the people of a fold (`mersynth
train --subject-groups K`, `mersynth generate`). A stopped script continues where it was: every run
is in runs/reproduce/au_gacn, shared between tables.
"""

from __future__ import annotations

from reproduction.command import main
from reproduction.tables import Column, Setting, Table, columns, row

from recognizers.evaluation.metrics import Statistic
from recognizers.folds.splits import Split

_NATIVE = {"casme2": "seven", "samm": "eight"}  # classes: all labels of the database
_METRICS: dict[str, Statistic] = {"ACC": "accuracy", "F1-score": "uf1"}
_HEADS = {"casme2": "CASME II", "samm": "SAMM"}
_PRETRAINED = "pretrained on AU-ICGAN's clips; table {} has its figures without pretraining"
_MEANS = (
    "The paper takes means over people for its figures, which gives people with few clips more "
    "weight than pooling does."
)
_GAINS = "The gains that the paper prints in brackets after its figures are left out."


def _columns(split: Split, three: bool) -> tuple[Column, ...]:
    found: list[Column] = []
    for database, native in _NATIVE.items():
        head = _HEADS[database]
        chosen = {f"{head} (3 categories)": "three"} if three else {}
        for name, classes in {**chosen, head: native}.items():
            setting = Setting(database=database, split=split, classes=classes)
            found += columns(name, setting, _METRICS)
    return tuple(found)


def _crossed() -> tuple[Column, ...]:
    found: list[Column] = []
    for database, head in _HEADS.items():
        setting = Setting(database=database, split="cross", classes="three", test="smic")
        found += columns(f"{head} -> SMIC", setting, _METRICS)
    return tuple(found)


TABLES = {
    "2": Table(
        paper="au_gacn",
        number="2",
        title="AU-GACN, Table 2: other methods on CASME II and SAMM, LOSO",
        columns=_columns("loso", three=True),
        notes=(_MEANS, _GAINS),
        rows=(
            row("STCNN", "0.610 0.253 0.368 0.132 0.676 0.271 0.289 0.094", "stcnn"),
            row("ELRCN", "0.623 0.342 0.443 0.325 0.691 0.272 0.358 0.066", "elrcn"),
            row("CapsuleNet", "0.568 0.347 0.331 0.194 0.575 0.392 0.259 0.111", "capsulenet"),
            row("MER-GCN", "0.544 0.303 0.405 0.163 0.534 0.283 0.294 0.010", "mer_gcn"),
            row(
                "Ours",
                "0.712 0.355 0.561 0.394 0.702 0.433 0.523 0.357",
                "au_gacn",
                pretrained=True,
                note=_PRETRAINED.format(5),
            ),
        ),
    ),
    "3": Table(
        paper="au_gacn",
        number="3",
        title="AU-GACN, Table 3: other methods on CASME II and SAMM, LOVO",
        columns=_columns("lovo", three=True),
        notes=(_GAINS,),
        rows=(
            row("STCNN", "0.607 0.398 0.407 0.184 0.694 0.424 0.384 0.149", "stcnn"),
            row("ELRCN", "0.609 0.429 0.396 0.197 0.682 0.227 0.359 0.066", "elrcn"),
            row("CapsuleNet", "0.582 0.356 0.324 0.155 0.592 0.384 0.266 0.158", "capsulenet"),
            row("MER-GCN", "0.532 0.412 0.398 0.173 0.542 0.257 0.273 0.108", "mer_gcn"),
            row(
                "Ours",
                "0.634 0.521 0.519 0.424 0.721 0.454 0.426 0.228",
                "au_gacn",
                pretrained=True,
                note=_PRETRAINED.format(6),
            ),
        ),
    ),
    "4": Table(
        paper="au_gacn",
        number="4",
        title="AU-GACN, Table 4: from one database to another, three classes",
        columns=_crossed(),
        rows=(
            row("STCNN", "0.314 0.190 0.325 0.190", "stcnn"),
            row("CapsuleNet", "0.322 0.152 0.324 0.179", "capsulenet"),
            row("MER-GCN", "0.367 0.272 0.361 0.178", "mer_gcn"),
            row(
                "AU-GACN",
                "0.344 0.319 0.451 0.309",
                "au_gacn",
                note="the paper does not say whether pretrained; run without, as in tables 5 and 6",
            ),
        ),
    ),
    "5": Table(
        paper="au_gacn",
        number="5",
        title="AU-GACN, Table 5: with and without pretraining on AU-ICGAN's clips, LOSO",
        columns=_columns("loso", three=False),
        notes=(_MEANS,),
        rows=(
            row("STCNN", "0.368 0.132 0.289 0.094", "stcnn"),
            row("STCNN + AU-ICGAN", "0.411 0.253 0.367 0.167", "stcnn", pretrained=True),
            row("CapsuleNet", "0.331 0.194 0.259 0.111", "capsulenet"),
            row("CapsuleNet + AU-ICGAN", "0.368 0.267 0.275 0.193", "capsulenet", pretrained=True),
            row("MER-GCN", "0.405 0.163 0.294 0.010", "mer_gcn"),
            row("MER-GCN + AU-ICGAN", "0.441 0.181 0.328 0.124", "mer_gcn", pretrained=True),
            row("AU-GACN", "0.492 0.273 0.489 0.310", "au_gacn"),
            row("AU-GACN + AU-ICGAN", "0.561 0.394 0.523 0.357", "au_gacn", pretrained=True),
        ),
    ),
    "6": Table(
        paper="au_gacn",
        number="6",
        title="AU-GACN, Table 6: with and without pretraining on AU-ICGAN's clips, LOVO",
        columns=_columns("lovo", three=False),
        rows=(
            row("STCNN", "0.407 0.184 0.384 0.149", "stcnn"),
            row("STCNN + AU-ICGAN", "0.403 0.273 0.383 0.159", "stcnn", pretrained=True),
            row("CapsuleNet", "0.324 0.155 0.266 0.158", "capsulenet"),
            row("CapsuleNet + AU-ICGAN", "0.338 0.257 0.259 0.161", "capsulenet", pretrained=True),
            row("MER-GCN", "0.398 0.173 0.273 0.108", "mer_gcn"),
            row("MER-GCN + AU-ICGAN", "0.439 0.186 0.344 0.118", "mer_gcn", pretrained=True),
            row("AU-GACN", "0.420 0.347 0.409 0.212", "au_gacn"),
            row("AU-GACN + AU-ICGAN", "0.519 0.424 0.426 0.228", "au_gacn", pretrained=True),
        ),
    ),
}
"""By number."""


if __name__ == "__main__":
    main(__doc__, TABLES)
