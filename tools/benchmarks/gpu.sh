#!/usr/bin/env bash
# Measures the full-size saliency model with random weights on one GPU, in bf16, and writes one JSON file.
#
#   bash tools/benchmarks/gpu.sh [--out FILE] [--minutes 8] [--wheels FOLDER] [-- COMMAND ...]
#   bash tools/benchmarks/gpu.sh --dry-run [--out FILE]     # small models on the CPU: shows that the script runs
#
# It needs no network, no weights and no compiled operators. Packages that the machine lacks are installed from the
# wheels of a folder, for this run alone. A command after `--`, such as a training, has what remains of the minutes, and
# is stopped at their end.
set -euo pipefail
repository=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)
out=gpu.json minutes=8 wheels='' options=()
while [ $# -gt 0 ]; do
    case $1 in
    --out | --minutes | --wheels)
        [ $# -ge 2 ] || { echo "gpu.sh: $1 needs a value" >&2; exit 2; }
        printf -v "${1#--}" '%s' "$2"
        shift 2 ;;
    --dry-run) options=(--device cpu --size dry --batch 2 --largest 2 --many 2 --rounds 1); shift ;;
    --) shift; break ;;
    *) sed -n '4,5s/^# *//p' "$0" >&2; echo "gpu.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] || { echo "gpu.sh: --minutes must be an integer from 1 on, but got $minutes" >&2; exit 2; }
SECONDS=0
end=$((60 * minutes))
export PYTHONPATH="$repository${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
if [ -n "$wheels" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf -- "$scratch"' EXIT
    python -m pip install -q --no-index --no-deps --no-compile --target "$scratch" "$wheels"/*.whl
    export PYTHONPATH="$PYTHONPATH:$scratch"
fi
# A minute less than the rest, so that what was begun last can end.
timeout -k 10 $((end - SECONDS)) python "$repository/tools/benchmarks/gpu_saliency.py" --out "$out" \
    --seconds $((end - SECONDS > 90 ? end - SECONDS - 60 : 30)) ${options[@]+"${options[@]}"}
echo "gpu.sh: $out written after $SECONDS s"
if [ $# -gt 0 ]; then
    left=$((end - SECONDS))
    [ "$left" -gt 10 ] || { echo "gpu.sh: no time left for: $*"; exit 0; }
    timeout -k 10 "$left" "$@" || {
        code=$?
        [ "$code" = 124 ] || exit "$code"
        echo "gpu.sh: stopped after $minutes minutes: $*"
    }
fi
