#!/usr/bin/env bash
# tools/dist_train.sh CONFIG PROCESSES [ARGUMENTS OF train.py]
#
# One process a GPU, or PROCESSES processes on a machine without one.
# NNODES, NODE_RANK, MASTER_ADDR, PORT: for several machines.
set -euo pipefail
SELF=$(readlink -f -- "$0") TOOLS=$(dirname -- "$(readlink -f -- "$0")")
[ $# -ge 2 ] || { sed -n 2p "$SELF" >&2; exit 2; }
CONFIG=$1 PROCESSES=$2
shift 2

# The order of sets of strings; train.py sets it too, but then every process starts twice.
export PYTHONHASHSEED="${PYTHONHASHSEED:-0}"
exec python -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" --nproc_per_node "$PROCESSES" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "$@"
