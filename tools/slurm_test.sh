#!/usr/bin/env bash
# bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG [options of tools/test.py]
# GPUS (8), GPUS_PER_NODE (at most 8), CPUS_PER_TASK (5) and SRUN_ARGS change the job, e.g.
#   GPUS=4 SRUN_ARGS='--time=12:00:00' bash tools/slurm_test.sh gpu adapter configs/hand_adapter_arctic.py
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,4p' "$0"; exit 2; fi
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$(( GPUS < 8 ? GPUS : 8 ))}
HERE=$(cd "$(dirname "$0")" && pwd)
export MASTER_PORT=${PORT:-29500}
export PYTHONPATH="$HERE/..:${PYTHONPATH:-}"
# SRUN_ARGS holds several words
# shellcheck disable=SC2086
exec srun --partition="$1" --job-name="$2" --gres=gpu:"$GPUS_PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$HERE/test.py" "$3" "${@:4}" --launcher slurm
