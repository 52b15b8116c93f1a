r"""Submit a command to SLURM in shares: an array of jobs, then a job that joins what they made.

    python scripts/submit_slurm.py --shards 8 --sbatch '--time=4:00:00 --mem=4G' -- \
        mersynth generate --store stores/samm --per-class 20000 --out stores/large --resume
    python scripts/submit_slurm.py --shards 5 --models all --sbatch '--time=8:00:00 --mem=8G' -- \
        recognizers loso --model {model} --store stores/samm --seeds 5 --out runs/{model}

Each job of the array runs the command with --shard I/N, and with {model} replaced where several
are named; the last ones run it without --shard. Where there is no sbatch, or with --dry-run, the
jobs are only shown.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from mersynth import logs
from recognizers.listing import recorded

logger = logging.getLogger("mersynth.scripts.submit_slurm")


def job(
    command: Sequence[str], models: Sequence[str], shards: int, sbatch: str, threads: int
) -> str:
    """A script for sbatch: a job for each model and shard; with ``shards`` 0 one for each model."""
    words = shlex.join(command).replace("{model}", "'\"$model\"'")
    each = max(1, shards)
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={command[0]}_{command[1] if len(command) > 1 else ''}",
        f"#SBATCH --array=0-{each * max(1, len(models)) - 1}",
        *(f"#SBATCH {option}" for option in shlex.split(sbatch)),
        "set -euo pipefail",
        # Everywhere the same, because what is computed may depend on it.
        f"export OMP_NUM_THREADS={threads}",
    ]
    if models:
        lines.append(f"models=({' '.join(models)})")
        lines.append(f'model="${{models[$((SLURM_ARRAY_TASK_ID / {each}))]}}"')
    share = f' --shard "$((SLURM_ARRAY_TASK_ID % {shards} + 1))/{shards}"' if shards else ""
    return "\n".join([*lines, words + share, ""])


def submit(script: str, *options: str) -> str:
    """Hand a script to sbatch; returns the job's number."""
    words = ["sbatch", "--parsable", *options]
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip().partition(";")[0]


def main() -> None:
    """Submit the jobs, or show them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, required=True, help="shares of each model's work")
    parser.add_argument("--models", nargs="+", default=[], help="all: those of recognizers list")
    parser.add_argument("--sbatch", default="", help="options of sbatch, such as '--mem=8G'")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process [1]")
    parser.add_argument("--dry-run", action="store_true", help="only show the jobs")
    own, command = _parted(sys.argv[1:])
    options = parser.parse_args(own)
    logs.set_up()
    if options.shards < 1 or not command:
        parser.error("give --shards 1 or more, and after -- the command")
    models = list(recorded()) if options.models == ["all"] else options.models
    if bool(models) != any("{model}" in word for word in command):
        parser.error("--models and {model} in the command belong together")
    share, join = (
        job(command, models, shards, options.sbatch, options.threads)
        for shards in (options.shards, 0)
    )
    if options.dry_run or shutil.which("sbatch") is None:
        if not options.dry_run:
            logger.warning("there is no sbatch here; this is what would be submitted")
        sys.stdout.write(f"# sbatch --parsable\n{share}\n")
        sys.stdout.write(f"# sbatch --parsable --dependency=afterok:<the job above>\n{join}")
        return
    number = submit(share)
    last = submit(join, f"--dependency=afterok:{number}")
    logger.info("job %s makes the shares, job %s joins them", number, last)


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before and after ``--``."""
    at = words.index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1 :])


if __name__ == "__main__":
    main()
