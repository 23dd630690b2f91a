#!/usr/bin/env bash
# bash tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# One process per GPU, or PROCESSES on the CPU of a machine without one.
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, the same command on each, e.g.
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 bash tools/dist_train.sh CONFIG 4
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,5p' "$0"; exit 2; fi
CONFIG=$1
PROCESSES=$2
NNODES=${NNODES:-1}
HERE=$(cd "$(dirname "$0")" && pwd)

if [ "$NNODES" -eq 1 ] && [ -z "${PORT:-}" ]; then  # any free port, so that two runs can share a machine
    RENDEZVOUS=(--nnodes=1 --rdzv-backend=c10d --rdzv-endpoint=localhost:0)
else
    RENDEZVOUS=(--nnodes="$NNODES" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
THREADS=$(( $(nproc) / PROCESSES ))  # otherwise every process takes all cores
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(( THREADS > 0 ? THREADS : 1 ))}
export PYTHONPATH="$HERE/..:${PYTHONPATH:-}"
exec "${PYTHON:-python}" -m torch.distributed.run "${RENDEZVOUS[@]}" --nproc_per_node="$PROCESSES" \
    "$HERE/train.py" "$CONFIG" "${@:3}" --launcher pytorch
