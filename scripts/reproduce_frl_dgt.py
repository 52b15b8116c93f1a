"""Tables 1 to 3 of FRL-DGT's paper (Zhai et al., CVPR 2023) beside our figures.

    python scripts/reproduce_frl_dgt.py --table 2 --store composite=DIR
    python scripts/reproduce_frl_dgt.py --table 3 --quick

`mersynth prepare --source composite` makes the challenge's composite from the stores of
CASME II, SMIC and SAMM. A stopped script continues where it was: every run is in
runs/reproduce/frl_dgt, shared between tables. For the paper's study of shifted and spotted onsets
and apexes see scripts/frl_dgt_sensitivity.py.
"""

from __future__ import annotations

from reproduction.command import main
from reproduction.tables import Row, Setting, Table, columns, row

CDE = Setting(database="composite", split="cde", classes="three")
PARTS = {"Full": "Full", "SMIC": "smic", "SAMM": "samm", "CASME II": "casme2"}
OURS = row(
    "FRL-DGT",
    "0.812 0.811 0.743 0.749 0.772 0.758 0.919 0.903",
    "frl_dgt",
    # scripts/frl_dgt_sensitivity.py reads them.
    overrides={"": ("keep_weights=true",)},
)

_CASME2 = Setting(database="casme2")
_COLUMNS = tuple(
    column
    for head, part in PARTS.items()
    for column in columns(head, CDE, {"UF1": "uf1", "UAR": "uar"}, part)
)
_STARRED = "the paper's *: trained on other data, too"


def _four(label: str, published: str, config: str | None = None) -> Row:
    return row(f"{label}, 4", published, config, classes="four")


TABLES = {
    "1": Table(
        paper="frl_dgt",
        number="1",
        title="FRL-DGT, Table 1: composite database evaluation, three classes, LOSO",
        columns=_COLUMNS,
        rows=(
            row("LBP-TOP", "0.588 0.579 0.200 0.528 0.395 0.410 0.703 0.743", "lbp_top_svm"),
            row("Bi-WOOF", "0.630 0.623 0.573 0.583 0.521 0.514 0.781 0.803", "bi_woof_svm"),
            row("CapsuleNet", "0.652 0.651 0.582 0.588 0.621 0.599 0.707 0.702", "capsulenet"),
            row("STSTNet", "0.735 0.761 0.680 0.701 0.659 0.681 0.838 0.869", "ststnet"),
            row("RCN-A", "0.743 0.719 0.633 0.644 0.760 0.672 0.851 0.812"),
            row("GEME", "0.740 0.750 0.629 0.657 0.687 0.654 0.840 0.851"),
            row("MERSiamC3D", "0.807 0.799 0.736 0.760 0.748 0.728 0.882 0.876"),
            row("FeatRef", "0.784 0.783 0.701 0.708 0.737 0.716 0.892 0.887"),
            OURS,
            row(
                "EMRNet*",
                "0.789 0.782 0.746 0.753 0.775 0.715 0.829 0.821",
                "nmer",
                mix="ckplus",
                note=f"{_STARRED} (CK+); its own paper calls it NMER",
            ),
            row("FGRL-AUF*", "0.791 0.793 0.719 0.722 0.775 0.789 0.880 0.871", note=_STARRED),
            row("ME-PLAN*", "0.772 0.786 0.713 0.726 0.716 0.742 0.863 0.878", note=_STARRED),
        ),
    ),
    "2": Table(
        paper="frl_dgt",
        number="2",
        title="FRL-DGT, Table 2: its components, composite database, three classes, LOSO",
        columns=_COLUMNS,
        rows=(
            row(
                "M0: DGM → OpticalFlow",
                "0.741 0.718 0.671 0.662 0.695 0.662 0.846 0.834",
                "frl_dgt_flow",
            ),
            row(
                "M1: DGM → OF+NORM",
                "0.758 0.739 0.671 0.667 0.778 0.730 0.869 0.831",
                "frl_dgt_normalised_flow",
            ),
            row(
                "M2: DGM → DynamicImage",
                "0.739 0.720 0.684 0.679 0.762 0.745 0.759 0.716",
                "frl_dgt_dynamic_image",
            ),
            row(
                "M3: DGM w/o self-supervise",
                "0.778 0.777 0.707 0.718 0.697 0.677 0.914 0.889",
                "frl_dgt_no_self_supervision",
            ),
            row(
                "M4: → Fu-A-Attn",
                "0.797 0.792 0.746 0.746 0.734 0.719 0.898 0.885",
                "frl_dgt_fusion_after_attention",
            ),
            row(
                "M5: → 3x3 image patches",
                "0.765 0.765 0.665 0.673 0.754 0.734 0.894 0.876",
                "frl_dgt_patches",
            ),
            row(
                "M6: no Full-face Fusion",
                "0.773 0.774 0.689 0.698 0.758 0.704 0.876 0.881",
                "frl_dgt_no_face_fusion",
            ),
            row(
                "M7: no Local Fusion",
                "0.781 0.765 0.741 0.745 0.725 0.672 0.848 0.838",
                "frl_dgt_no_local_fusion",
            ),
            row(
                "M8: no Global Fusion",
                "0.782 0.773 0.701 0.706 0.711 0.671 0.904 0.886",
                "frl_dgt_no_global_fusion",
            ),
            row("M9", " ".join(OURS.published), OURS.config, overrides=OURS.overrides),
        ),
    ),
    "3": Table(
        paper="frl_dgt",
        number="3",
        title="FRL-DGT, Table 3: more classes and whole sequences, CASME II, LOSO",
        columns=columns("CASME II", _CASME2, {"UF1": "uf1", "UAR": "uar", "Acc": "accuracy"}),
        rows=(
            _four("FRL-DGT", "0.750 0.732 0.780", "frl_dgt"),
            row("FRL-DGT, 5", "0.748 0.735 0.757", "frl_dgt"),
            _four("STRCN-A", "0.542 - 0.560"),
            _four("FRL-DGT-S", "0.562 0.549 0.643", "frl_dgt_s"),
            row(
                "ELRCN, 5",
                "0.500 0.440 0.524",
                "elrcn_te",
                note="run with temporal enrichment, the best of its own paper on CASME II",
            ),
            row("FRL-DGT-S, 5", "0.543 0.539 0.594", "frl_dgt_s"),
        ),
    ),
}
"""By number."""


if __name__ == "__main__":
    main(__doc__, TABLES)
