#!/usr/bin/env bash
# Check a GPU, in a given time: its tests, the benchmarks, and a training of the shipped generator.
#
#     scripts/gpu_check.sh [MINUTES]            # 8 minutes unless told otherwise
#     scripts/gpu_check.sh --quick [MINUTES]    # the whole course in small, also without a GPU
#
# Everything is written below $OUT (./gpu_check by default): summary.txt, and of each part the log
# and its results. A part that fails or takes too long does not keep the next one from running; the
# exit code then is 1. An environment is only made where this Python cannot import mersynth
# (PYTHON=python3.12 chooses another one).
set -uo pipefail

quick=()
if [[ ${1-} == --quick ]]; then
    quick=(--quick)
    shift
fi
minutes=${1:-8}
if (($# > 1)) || [[ ! $minutes =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: scripts/gpu_check.sh [--quick] [MINUTES], got '$*'" >&2
    exit 2
fi
if ((minutes < 3)); then
    echo "MINUTES must be 3 or more, got $minutes" >&2
    exit 2
fi

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${OUT:-gpu_check}" || exit 2
out=$(cd "${OUT:-gpu_check}" && pwd)
cd "$repository" || exit 2
python=${PYTHON:-python3}
total=$((60 * minutes))
failed=0
: >"$out/summary.txt"

say() {
    printf '%4d s  %s\n' "$SECONDS" "$*" | tee -a "$out/summary.txt"
}

# part NAME SECONDS COMMAND...: at most SECONDS, and never beyond the whole time
part() {
    local name=$1 limit=$2 left=$((total - SECONDS)) code
    shift 2
    if ((left < limit)); then
        limit=$left
    fi
    if ((limit < 10)); then
        say "$name: FAILED, no time is left for it"
        failed=1
        return
    fi
    say "$name: begins, at most $limit s"
    timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
    code=$?
    case $code in
        0) say "$name: passed" ;;
        124 | 137) say "$name: FAILED, not finished after $limit s (see $name.log)" ;;
        *) say "$name: FAILED with code $code (see $name.log)" ;;
    esac
    if ((code)); then
        tail -n 15 "$out/$name.log" | sed 's/^/        /'
        failed=1
    fi
}

if ! "$python" -c "import mersynth, recognizers, pytest" 2>/dev/null; then
    # Not part of the repository, so that a copy of the working tree does not take it along.
    environment=${TMPDIR:-/tmp}/mersynth_gpu_check
    part environment 240 bash -c \
        "'$python' -m venv '$environment' && '$environment/bin/pip' install --quiet -e '.[test]'"
    python=$environment/bin/python
fi

part device $((total * 20 / 100)) "$python" -c "
import torch
there = torch.cuda.is_available()
print('torch', torch.__version__, 'for CUDA', torch.version.cuda)
print(torch.cuda.get_device_name() if there else 'no CUDA device')
print('cuda' if there else 'cpu')
"
sed 's/^/        /' "$out/device.log" | tee -a "$out/summary.txt"
device=$(tail -n 1 "$out/device.log")
if [[ $device != cuda ]]; then
    if ((${#quick[@]} == 0)); then
        say "there is no CUDA device; --quick runs the course without one"
        exit 1
    fi
    device=cpu
fi

# One process: several would load CUDA and wait for one another.
part tests $((total * 35 / 100)) "$python" -m pytest -m gpu -n 0 -p no:cacheprovider
part performance $((total * 20 / 100)) "$python" scripts/benchmark_performance.py \
    --device "$device" "${quick[@]}" --out "$out/performance.json"
part augment $((total * 15 / 100)) "$python" scripts/benchmark_augment.py \
    "${quick[@]}" --out "$out/augment.md"

left=$((total - SECONDS))
if ((${#quick[@]})); then
    train=("$python" -m mersynth train --source phantom --out "$out/checkpoint"
        gan=tiny_motion batch_size=2 steps=4 true_frame_steps=2 au_reading_steps=2 gain_pairs=8
        "device=$device")
else
    # --minutes is of training alone: rendering, timing the first steps and measuring the gains take
    # about 150 s more. Without the video critic, no clips have to be rendered for it.
    tenths=$((left > 180 ? (left - 150) / 6 : 5))
    train=("$python" scripts/train_phantom_checkpoint.py --device "$device"
        --minutes "$((tenths / 10)).$((tenths % 10))" --work "$out/training"
        --out "$out/checkpoint" video_every=0 gain_pairs=480)
fi
part training "$left" "${train[@]}"

if ((failed)); then
    say "something FAILED; all of it is in $out"
else
    say "all passed; the results are in $out"
fi
exit "$failed"
