#!/usr/bin/env bash
# Lint, types and tests, in an environment with mmcv's compiled operators.
#
#   bash tools/run_tests.sh [--lineage onedl|openmmlab] [--fresh] [ARGUMENTS OF pytest]
#
#   --lineage   the maintained forks of OpenMMLab (default) or the originals
#   --fresh     remove the environment first
#   --help      this text
#
# The first run installs for about 3 minutes and compiles mmcv for 12 to 18 on two cores; MMCV_FIND_LINKS
# names prebuilt wheels to take instead. `-m slow` and `-m wheel` run what the default leaves out (the latter installs
# from PyPI), `--cov=sos_mm` tells what of the package is run, `--numprocesses 0` runs all in one process.
# SOS_MM_VENV, SOS_MM_CACHE and SOS_MM_PYTHON: see tools/environment.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh

LINEAGE=onedl
while [ $# -gt 0 ]; do
    case $1 in
    --lineage) LINEAGE=${2:?--lineage needs a value}; shift 2 ;;
    --fresh) REMOVE_FIRST=yes; shift ;;
    --help | -h) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit ;;
    *) break ;;
    esac
done
case $LINEAGE in onedl | openmmlab) ;; *) stop "--lineage must be onedl or openmmlab, but got $LINEAGE" ;; esac

make_environment "$LINEAGE" ops "$LINEAGE-detection" sample tests
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-}"
say "ruff"
ruff check . && ruff format --check .
say "mypy"
mypy
say "shellcheck"
shellcheck -x tools/*.sh .ci/run
say "pytest ($LINEAGE)"
# Two processes of one thread each; the tests of a file share what it sets up, and the slowest files come first.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
