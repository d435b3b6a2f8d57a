#!/usr/bin/env bash
# From a bare machine to a trained and tested saliency model with a page about it, on the bundled sample.
#
#   bash tools/quickstart.sh [--fresh] [--device auto|cpu|cuda] [--work-dir DIR]
#
#   --fresh      remove the environment and the results first
#   --device     where to train (default: auto, a GPU where torch finds one)
#   --work-dir   where data, model and page go (default: work_dirs/quickstart)
#   --help       this text
#
# Needs Python 3.11 with pip, and about 8 GB of disk for the environment. Run again, what is there is kept.
# SOS_MM_VENV, SOS_MM_CACHE and SOS_MM_PYTHON: see tools/environment.sh.
set -euo pipefail
unset CDPATH
CALLED_FROM=$PWD SELF=$(readlink -f -- "${BASH_SOURCE[0]}")
cd -- "$(dirname -- "$SELF")/.."
. tools/environment.sh

FRESH=no DEVICE=auto WORK=work_dirs/quickstart
while [ $# -gt 0 ]; do
    case $1 in
    --fresh) FRESH=yes ;;
    --device) DEVICE=${2:?--device needs a value}; shift ;;
    --work-dir) WORK=$(realpath -m -- "$(absolute "${2:?--work-dir needs a value}")"); shift ;;
    --help | -h) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$SELF"; exit ;;
    *) stop "unknown argument $1; see --help" ;;
    esac
    shift
done
# mmengine takes the values of --cfg-options apart at commas, brackets and quotes, and removes blanks.
case $WORK in *[[:space:],\'\"\(\)\[\]]*) stop "--work-dir must have no blanks, commas, quotes or brackets, but got $WORK" ;; esac
case $DEVICE in auto | cuda) ;; cpu) export CUDA_VISIBLE_DEVICES= ;; *) stop "--device must be auto, cpu or cuda, but got $DEVICE" ;; esac

[ $FRESH = yes ] && REMOVE_FIRST=yes
make_environment onedl noops sample
if [ "$DEVICE" = cuda ] && ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    stop "--device cuda, but torch finds no GPU"
fi
if [ $FRESH = yes ] && [ -e "$WORK" ]; then
    [ -e "$WORK/.sos_mm_quickstart" ] || stop "$WORK was not made by this script; remove it or name another folder"
    rm -rf -- "$WORK"
fi
mkdir -p -- "$WORK" 2>/dev/null && [ -w "$WORK" ] || stop "no permission to write $WORK; name another folder with --work-dir"
if [ -z "$(ls -A "$WORK")" ]; then touch "$WORK/.sos_mm_quickstart"; fi

# logged NAME PATTERN COMMAND...: shows the lines that match; all of them go to a log.
logged() {
    local log=$WORK/$1.log pattern=$2
    shift 2
    if ! "$@" 2>&1 | tee "$log" | { grep --line-buffered -E "$pattern" || true; }; then
        tail -n 20 "$log" >&2
        stop "that failed; all it said is in $log"
    fi
}

CONFIG=configs/sod_diffusion/sod_diffusion_tiny.py
DATA=(--cfg-options
    "train_dataloader.dataset.data_root=$WORK/data/train"
    "val_dataloader.dataset.data_root=$WORK/data/held_out"
    "test_dataloader.dataset.data_root=$WORK/data/held_out")

say "Composing data from the bundled sample"
RECIPE=configs/synthesis/sample_saliency.py
python tools/synthesize.py $RECIPE --out "$WORK/data/train" --num 1600 --workers "$(nproc)"
python tools/synthesize.py $RECIPE --out "$WORK/data/held_out" --num 128 --workers "$(nproc)" \
    --seed 1 --cfg-options group=held_out

say "Training $CONFIG (about 6 minutes on two cores)"
logged train 'Epoch\(|resumed' python tools/train.py $CONFIG --work-dir "$WORK/model" --resume "${DATA[@]}"

say "Testing it on objects and backgrounds that it never saw"
logged report '^(centre prior|auxiliary map|full model)|^ +MAE +|The page' \
    python tools/report_saliency.py $CONFIG "$(cat "$WORK/model/last_checkpoint")" \
    --work-dir "$WORK/model" --out "$WORK/report.html" "${DATA[@]}"
say "The table above is of unseen data: S-measure, higher is better; MAE, lower is better"
say "To go on in this environment: source $VENV/bin/activate"
say "Done: open $(realpath -- "$WORK")/report.html in a browser; the composed images are in $WORK/data"
