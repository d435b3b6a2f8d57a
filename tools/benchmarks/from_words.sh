#!/usr/bin/env bash
# Runs the chain of docs/from_words.md word for word, with small stand-ins for the models and the labelled images.
# The figures of the detectors say nothing: only that each command reads what the one before has written.
#   bash tools/benchmarks/from_words.sh [FOLDER]
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${1:-work_dirs/from_words}
mkdir -p "$folder"
cd "$folder"
export PYTHONPATH="$repository:$repository/tools/benchmarks${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# The command, also where the package is not installed.
sos-mm() { python -m sos_mm "$@"; }

seconds=$SECONDS
python "$repository/tools/benchmarks/from_words_stand_ins.py"
sed -n '/^<!-- chain:/,/^```$/p' "$repository/docs/from_words.md" | sed '/^<!--/d; /^```/d' > chain.sh
[ "$(grep -c '^sos-mm' chain.sh)" -ge 10 ] || { echo "docs/from_words.md holds no chain of commands" >&2; exit 1; }
set -x
# shellcheck source=/dev/null
source chain.sh
set +x
echo "the chain ran in $((SECONDS - seconds)) s, in $PWD; user and system time of the shell, and of its commands:"
times
