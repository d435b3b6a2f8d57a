#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [ARGUMENTS OF test.py]
#
# One process a GPU, or PROCESSES processes on a machine without one.
# NNODES, NODE_RANK, MASTER_ADDR, PORT: for several machines.
set -euo pipefail
SELF=$(readlink -f -- "$0") TOOLS=$(dirname -- "$(readlink -f -- "$0")")
[ $# -ge 3 ] || { sed -n 2p "$SELF" >&2; exit 2; }
CONFIG=$1 CHECKPOINT=$2 PROCESSES=$3
shift 3

exec python -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" --nproc_per_node "$PROCESSES" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
