"""Tables 3 to 7 of MMNet's paper (Li et al., IJCAI 2022) beside our figures.

    python scripts/reproduce_mmnet.py --table 3 --store casme2=DIR --store samm=DIR --partial
    python scripts/reproduce_mmnet.py --table 5 --quick

A stopped script continues where it was: every run is in runs/reproduce/mmnet, shared between
tables.
"""

from __future__ import annotations

from reproduction.command import main
from reproduction.tables import Column, Row, Setting, Table, row

_CASME2 = Setting(database="casme2")
_SAMM = Setting(database="samm")
# Table 1: the four emotions used; "negative" of the scheme is disgust alone.
_MMEW = Setting(
    database="mmew", classes="four", emotions=("happiness", "surprise", "disgust", "others")
)
_ACCURACY, _F1 = "Accuracy (%)", "F1-Score"


def _accuracy(head: str, setting: Setting, metric: str = _ACCURACY) -> Column:
    return Column(head=head, metric=metric, statistic="accuracy", setting=setting, percent=True)


def _f1(head: str, setting: Setting) -> Column:
    return Column(head=head, metric=_F1, statistic="uf1", setting=setting)


_THREE_DATABASES = tuple(
    column(head, setting)
    for head, setting in (
        ("CASME2 (5 classes)", _CASME2),
        ("SAMM (5 classes)", _SAMM),
        ("MMEW (4 classes)", _MMEW),
    )
    for column in (_accuracy, _f1)
)


def _compared(label: str, published: str, config: str, three: bool, **others: bool) -> Row:
    return row(label, published, config, classes="three" if three else None, **others)


TABLES = {
    "3": Table(
        paper="mmnet",
        number="3",
        title="MMNet, Table 3: continuous attention block and position calibration module, LOSO",
        columns=_THREE_DATABASES,
        rows=(
            row("Baseline(ResNet)", "81.12 0.7582 73.53 0.6345 81.75 0.7921", "mmnet_baseline"),
            row("CA block", "83.13 0.7891 76.47 0.6593 84.03 0.8206", "mmnet_ca"),
            row("PC module", "85.14 0.8362 77.21 0.6734 85.55 0.8402", "mmnet_pc"),
            row("PC module + CA block", "88.35 0.8676 80.14 0.7291 87.45 0.8635", "mmnet"),
        ),
    ),
    "4": Table(
        paper="mmnet",
        number="4",
        title="MMNet, Table 4: continuous and independent attention, LOSO",
        columns=_THREE_DATABASES,
        rows=(
            row(
                "Independent attention",
                "84.74 0.8216 77.21 0.7000 80.99 0.7941",
                "mmnet_independent",
            ),
            row("Continuous attention", "88.35 0.8676 80.14 0.7291 87.45 0.8635", "mmnet"),
        ),
    ),
    "5": Table(
        paper="mmnet",
        number="5",
        title="MMNet, Table 5: layers N_L and heads N_H of the ViT, five classes, LOSO",
        columns=(_accuracy("CASME2", _CASME2, "(%)"), _accuracy("SAMM", _SAMM, "(%)")),
        rows=(
            row("i: N_L 2, N_H 2", "86.35 79.41", "mmnet_nl2_nh2"),
            row("ii: N_L 2, N_H 4", "88.35 80.14", "mmnet"),
            row("iii: N_L 2, N_H 8", "85.94 78.68", "mmnet_nl2_nh8"),
            row("iv: N_L 3, N_H 2", "84.74 80.88", "mmnet_nl3_nh2"),
            row("v: N_L 3, N_H 4", "85.94 80.14", "mmnet_nl3_nh4"),
            row("vi: N_L 3, N_H 8", "84.34 76.47", "mmnet_nl3_nh8"),
        ),
    ),
    "6": Table(
        paper="mmnet",
        number="6",
        title="MMNet, Table 6: other methods on CASME II, LOSO",
        columns=(_accuracy("CASME II", _CASME2, "Acc (%)"), _f1("CASME II", _CASME2)),
        rows=(
            _compared("OFF-ApexNet, 3", "88.28 0.8697", "off_apexnet", True),
            _compared("STSTNet, 3", "86.86 0.8382", "ststnet", True),
            _compared("AU-GACN, 3", "71.20 0.3550", "au_gacn", True, pretrained=True),
            row("MTMNet, 3", "75.60 0.7010"),
            row("MiNet&MaNet, 3", "79.90 0.7590"),
            row("GACNN, 3", "89.66 0.8695"),
            _compared("DSSN, 5", "71.19 0.7297", "dssn", False),
            row("TSCNN, 5", "80.97 0.8070"),
            row("Dynamic, 5", "72.61 0.6700"),
            row("Graph-TCN, 5", "73.98 0.7246"),
            row("SMA-STN, 5", "82.59 0.7946"),
            row("AU-GCN, 5", "74.27 0.7047"),
            row("GEME, 5", "75.20 0.7354"),
            row("MERSiamC3D, 5", "81.89 0.8300"),
            _compared("MMNet (Ours), 3", "95.51 0.9494", "mmnet", True),
            _compared("MMNet (Ours), 5", "88.35 0.8676", "mmnet", False),
        ),
    ),
    "7": Table(
        paper="mmnet",
        number="7",
        title="MMNet, Table 7: other methods on SAMM, LOSO",
        columns=(_accuracy("SAMM", _SAMM, "Acc (%)"), _f1("SAMM", _SAMM)),
        rows=(
            _compared("OFF-ApexNet, 3", "68.18 0.5423", "off_apexnet", True),
            _compared("STSTNet, 3", "68.10 0.6588", "ststnet", True),
            _compared("AU-GACN, 3", "70.2 0.4330", "au_gacn", True, pretrained=True),
            row("MTMNet, 3", "74.10 0.7360"),
            row("MiNet&MaNet, 3", "76.70 0.7640"),
            row("GACNN, 3", "88.72 0.8118"),
            _compared("DSSN, 5", "57.35 0.4644", "dssn", False),
            row("Graph-TCN, 5", "75.00 0.6985"),
            row("SMA-STN, 5", "77.20 0.7033"),
            row("AU-GCN, 5", "74.26 0.7045"),
            row("GEME, 5", "55.38 0.4538"),
            row("MERSiamC3D, 5", "68.75 0.6400"),
            _compared("MMNet (Ours), 3", "90.22 0.8391", "mmnet", True),
            _compared("MMNet (Ours), 5", "80.14 0.7291", "mmnet", False),
        ),
    ),
}
"""By number."""


if __name__ == "__main__":
    main(__doc__, TABLES)
