r"""Make a synthetic store on a Ray cluster, whose machines share the folder of the store.

    python scripts/generate_on_ray.py --shards 16 --address auto -- \
        --store /shared/samm --checkpoint /shared/generator --per-class 20000 --out /shared/large

What follows -- are options of `mersynth generate`, with paths that mean the same on every machine.
Each share is a Ray task; the last step, here, joins them to the bytes that one process writes.
After an interruption, the same command goes on.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from mersynth import logs
from mersynth.logs import progress
from recognizers.executors import make_executor

logger = logging.getLogger("mersynth.scripts.generate_on_ray")


def make(options: Sequence[str], shard: str, folder: str) -> None:
    """Make a share of the store. Runs in a worker.

    Raises:
        RuntimeError: if it fails.
    """
    from mersynth.cli import app

    os.chdir(folder)
    words = ["generate", *options, "--resume", "--shard", shard]
    if app(words, standalone_mode=False):
        raise RuntimeError(f"share {shard} failed: see what its worker said above")


def main() -> None:
    """Make the shares and join them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, required=True, help="shares, a Ray task each")
    parser.add_argument("--address", help="of the cluster, such as auto; a local Ray unless given")
    parser.add_argument("--num-cpus", type=float, default=1, help="cores of a share [1]")
    parser.add_argument("--num-gpus", type=float, default=0, help="GPUs of a share [0]")
    parser.add_argument("--threads", type=int, default=1, help="threads of a share [1]")
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own = parser.parse_args(sys.argv[1:at])
    options = sys.argv[at + 1 :]
    if own.shards < 1 or not options:
        parser.error("give --shards 1 or more, and after -- options of mersynth generate")
    logs.set_up()
    settings = {name: getattr(own, name) for name in ("address", "num_cpus", "num_gpus", "threads")}
    calls = [(options, f"{i}/{own.shards}", os.getcwd()) for i in range(1, own.shards + 1)]
    with (
        make_executor({"name": "ray", **settings}) as executor,
        progress("generating", len(calls), "shares") as advance,
    ):
        for _ in executor.run(make, calls):
            advance(1)
    from mersynth.cli import app

    sys.exit(app(["generate", *options, "--resume"], standalone_mode=False))


if __name__ == "__main__":
    main()
