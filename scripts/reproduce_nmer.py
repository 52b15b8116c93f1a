"""Table I of NMER's paper (Liu et al., FG 2019, MEGC2019) beside our figures.

    python scripts/reproduce_nmer.py --store composite=DIR --store ckplus=DIR
    python scripts/reproduce_nmer.py --quick

`mersynth prepare --source composite` makes the challenge's composite from the stores of
CASME II, SMIC and SAMM. A stopped script continues where it was: every run is in
runs/reproduce/nmer.
"""

from __future__ import annotations

from reproduction.command import main
from reproduction.tables import Setting, Table, columns, row

_CDE = Setting(database="composite", split="cde", classes="three")
_PARTS = {"Full": "Full", "SMIC": "smic", "CASME II": "casme2", "SAMM": "samm"}

TABLES = {
    "I": Table(
        paper="nmer",
        number="I",
        title="NMER, Table I: composite database evaluation, three classes, LOSO",
        columns=tuple(
            column
            for head, part in _PARTS.items()
            for column in columns(head, _CDE, {"UF1": "uf1", "UAR": "uar"}, part)
        ),
        rows=(
            row(
                "LBP-TOP",
                "0.5882 0.5785 0.2000 0.5280 0.7026 0.7429 0.3954 0.4102",
                "lbp_top_svm",
            ),
            row(
                "Part + EMR",
                "0.7663 0.7531 0.7001 0.6859 0.8615 0.8398 0.7180 0.6994",
                "nmer_part_emr",
                mix="ckplus",
            ),
            row(
                "Part + Adversarial + EMR",
                "0.7885 0.7824 0.7461 0.7530 0.8293 0.8209 0.7754 0.7152",
                "nmer",
                mix="ckplus",
            ),
        ),
    ),
}
"""By number."""


if __name__ == "__main__":
    main(__doc__, TABLES)
