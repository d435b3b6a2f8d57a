#!/usr/bin/env bash
# tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [ARGUMENTS OF train.py]
#
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS: what to ask slurm for.
set -euo pipefail
SELF=$(readlink -f -- "$0") TOOLS=$(dirname -- "$(readlink -f -- "$0")")
[ $# -ge 4 ] || { sed -n 2p "$SELF" >&2; exit 2; }
PARTITION=$1 JOB_NAME=$2 CONFIG=$3 WORK_DIR=$4
shift 4
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}

# The order of sets of strings; train.py sets it too, but then every process starts twice.
export PYTHONHASHSEED="${PYTHONHASHSEED:-0}"
# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
exec srun -p "$PARTITION" --job-name="$JOB_NAME" --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$TOOLS/train.py" "$CONFIG" --work-dir "$WORK_DIR" --launcher slurm "$@"
