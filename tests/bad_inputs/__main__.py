"""``python -m tests.bad_inputs [WORDS]``: try all cases whose names hold the words, and count."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bad_inputs.case import CLEAN
from tests.bad_inputs.collection import all_cases
from tests.bad_inputs.runner import outcomes
from tests.bad_inputs.world import make_world

logger = logging.getLogger(__name__)


def main(words: list[str]) -> int:
    chosen = [case.name for case in all_cases() if all(word in case.name for word in words)]
    start = time.monotonic()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        # Only now: a command that makes a part of it sets up the log as well.
        logging.basicConfig(stream=sys.stdout, format="%(message)s", force=True)
        logger.setLevel(logging.INFO)
        for name, outcome, said, _ in outcomes(chosen, world):
            counts[outcome] += 1
            if outcome not in CLEAN:
                logger.info("%s  %s  %.400s", outcome.upper(), name, said)
    logger.info("tried: %d in %.0f s", counts.total(), time.monotonic() - start)
    for outcome, count in counts.most_common():
        logger.info("%s: %d", outcome, count)
    return int(bool(set(counts) - set(CLEAN)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
