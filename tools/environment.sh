# shellcheck shell=bash
# Makes the Python environment of quickstart.sh and run_tests.sh. Sourced, not run.
#
#   make_environment LINEAGE OPS EXTRAS...
#
# LINEAGE  onedl (the maintained forks), openmmlab (the originals) or classic (the originals on older Python and torch)
# OPS      ops (mmcv's operators are compiled; mmdet needs them) or noops
# EXTRAS   extras of setup.cfg beside the lineage's own
#
# Sets $VENV, the environment's folder, and puts its programs first on PATH.
#
# REMOVE_FIRST=yes makes the environment anew.
#
# Before it, the script sets CALLED_FROM, from which relative paths of these variables count:
#
# SOS_MM_CACHE      where environments and built wheels are kept (default ~/.cache/sos_mm)
# SOS_MM_VENV       the environment's folder (default: in SOS_MM_CACHE, named by the pins)
# SOS_MM_PYTHON     the Python to start from (default python3.10 for classic, else python3.11; then python3); onedl also
#                   takes 3.12
# MMCV_FIND_LINKS   a folder or page of prebuilt mmcv wheels, used instead of compiling

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
stop() { printf 'error: %s\n' "$*" >&2; exit 1; }

# With it, `cd` goes elsewhere and prints where it went.
unset CDPATH
REPOSITORY=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)
if [ -z "${SOS_MM_CACHE:-}" ] && [ -z "${XDG_CACHE_HOME:-}" ] && [ -z "${HOME:-}" ]; then
    stop "HOME is not set: name a folder for environments and wheels in SOS_MM_CACHE"
fi
SOS_MM_CACHE=${SOS_MM_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/sos_mm}
export PIP_DISABLE_PIP_VERSION_CHECK=1

# absolute PATH: the path as seen from the folder that the script was called from.
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "${CALLED_FROM:-$PWD}/$1" ;; esac; }

SOS_MM_CACHE=$(absolute "$SOS_MM_CACHE")
# A folder that is removed when the script ends, however it ends.
SCRATCH=
trap 'if [ -n "$SCRATCH" ]; then rm -rf -- "$SCRATCH"; fi' EXIT

# python_versions LINEAGE: those that its pins are verified on, the usual one first.
python_versions() {
    case $1 in
    classic) echo 3.10 ;;
    onedl) echo 3.11 3.12 ;;
    *) echo 3.11 ;;
    esac
}

find_python() { # find_python LINEAGE
    local candidate wanted candidates
    wanted=$(python_versions "$1")
    candidates=("python${wanted%% *}" python3)
    if [ -n "${SOS_MM_PYTHON:-}" ]; then
        candidates=("$SOS_MM_PYTHON")
        case $SOS_MM_PYTHON in */*) candidates=("$(absolute "$SOS_MM_PYTHON")") ;; esac
    fi
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] not in '$wanted'.split())" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    wanted=${wanted// / or }
    stop "Python $wanted was not found (tried: ${candidates[*]})." \
        "The pins of $1 are verified on $wanted alone; install it and name it in SOS_MM_PYTHON."
}

# pin LINEAGE PACKAGE: the requirement of one package as setup.cfg pins it.
pin() {
    "$PYTHON" - "$REPOSITORY/setup.cfg" "$1" "$2" <<'PY'
import configparser, sys
path, lineage, package = sys.argv[1:]
config = configparser.ConfigParser()
config.read(path, encoding="utf-8")
print(next(r for r in config["options.extras_require"][lineage].split() if r.startswith(package + "==")))
PY
}

# pins_hash WORDS...: changes when the pins, the Python or the words do.
pins_hash() {
    "$PYTHON" - "$REPOSITORY/setup.cfg" "$@" <<'PY'
import configparser, hashlib, sys
config = configparser.ConfigParser()
config.read(sys.argv[1], encoding="utf-8")
text = repr([sys.argv[2:], sys.version, config["options"]["install_requires"], dict(config["options.extras_require"])])
print(hashlib.sha256(text.encode()).hexdigest()[:12])
PY
}

cuda_tag() { # What compiled operators are built for: cpu, or the CUDA of torch where a compiler for it is at hand.
    "$VENV/bin/python" - <<'PY'
import subprocess

import torch
from torch.utils.cpp_extension import CUDA_HOME

tag = "cpu"
if torch.cuda.is_available() and CUDA_HOME:
    release = subprocess.run([f"{CUDA_HOME}/bin/nvcc", "--version"], capture_output=True, text=True).stdout
    if f"release {torch.version.cuda.split('.')[0]}." in release:
        tag = "cu" + torch.version.cuda.replace(".", "")
print(tag)
PY
}

has_wheel() { # has_wheel FOLDER
    local file
    for file in "$1"/*.whl; do
        if [ -e "$file" ]; then return; fi
    done
    return 1
}

# build_mmcv LINEAGE OPS: a wheel of mmcv in a folder of our own. pip's own cache must not be used: it
# knows neither which torch a wheel was compiled against nor whether the operators are in it.
build_mmcv() {
    local requirement torch_pin cuda=none python folder
    python=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    requirement=$(pin "$1" "$([ "$1" = onedl ] && echo onedl-mmcv || echo mmcv)")
    torch_pin=$(pin "$1" torch)
    [ "$2" = ops ] && cuda=$(cuda_tag)
    folder=$SOS_MM_CACHE/wheels/py${python//./}-${torch_pin//==/}-$cuda-${requirement//==/}-$2
    MMCV_WHEELS=$folder
    if has_wheel "$folder"; then return; fi
    mkdir -p "$SOS_MM_CACHE/wheels"
    SCRATCH=$(mktemp -d "$SOS_MM_CACHE/wheels/.building.XXXXXX")
    if [ "$2" = ops ] && [ -n "${MMCV_FIND_LINKS:-}" ]; then
        if [ -d "$(absolute "$MMCV_FIND_LINKS")" ]; then MMCV_FIND_LINKS=$(absolute "$MMCV_FIND_LINKS"); fi
        say "Taking a prebuilt wheel of $requirement from $MMCV_FIND_LINKS"
        pip wheel --no-deps --no-index --find-links "$MMCV_FIND_LINKS" -w "$SCRATCH" "$requirement"
    elif [ "$2" = ops ]; then
        say "Compiling $requirement for $cuda: 12 to 18 minutes on two cores, once (kept in $folder)"
        pip install --quiet ninja psutil packaging wheel
        # Where torch sees a GPU, mmcv compiles for it, whatever FORCE_CUDA says.
        if [ "$cuda" = cpu ]; then local CUDA_VISIBLE_DEVICES= && export CUDA_VISIBLE_DEVICES; fi
        CFLAGS=-g0 MMCV_WITH_OPS=1 FORCE_CUDA=$([ "$cuda" = cpu ] && echo 0 || echo 1) MAX_JOBS=${MAX_JOBS:-$(nproc)} \
            pip wheel --no-build-isolation --no-deps --no-cache-dir -w "$SCRATCH" "$requirement"
    else
        say "Building $requirement without compiled operators"
        # Its setup.py compiles them wherever it can import torch, so it is built where it cannot.
        pip wheel --quiet --no-deps --no-cache-dir -w "$SCRATCH" "$requirement"
    fi
    has_wheel "$SCRATCH" || stop "no wheel of $requirement came out; see the lines above"
    rm -rf -- "$folder" && mv -T -- "$SCRATCH" "$folder"
    SCRATCH=
}

# own_folder: $VENV may be made or made anew only where it is empty or ours.
own_folder() {
    if [ -e "$VENV" ] && [ ! -e "$VENV/.sos_mm" ] && [ -n "$(ls -A "$VENV" 2>/dev/null)" ]; then
        stop "$VENV is not empty and was not made by this script; name another folder in SOS_MM_VENV or remove it"
    fi
    mkdir -p "$VENV" 2>/dev/null && [ -w "$VENV" ] || stop "no permission to write $VENV; name another folder in SOS_MM_VENV"
}

# empty_environment: removes all but the mark that the folder is ours.
empty_environment() {
    echo making >"$VENV/.sos_mm"
    find "$VENV" -mindepth 1 -maxdepth 1 ! -name .sos_mm -exec rm -rf -- {} +
}

make_environment() {
    local lineage=$1 ops=$2 hash extras stamp made setuptools
    shift 2
    extras=$(IFS=,; echo "$lineage${*:+,$*}")
    PYTHON=$(find_python "$lineage") || exit 1
    hash=$(pins_hash "$lineage" "$ops" "$@")
    VENV=$(absolute "${SOS_MM_VENV:-$SOS_MM_CACHE/environments/$lineage-$ops-$hash}")
    case $VENV$REPOSITORY in
    *:*) stop "there must be no colon, which separates folders in PATH, in $VENV (the environment's folder) and $REPOSITORY" ;;
    esac
    stamp="$hash $REPOSITORY"
    own_folder
    exec 9>"$VENV.lock"
    if command -v flock >/dev/null; then flock 9; fi # One process at a time makes it.
    if [ "${REMOVE_FIRST:-no}" = yes ]; then empty_environment; fi
    # This checkout's code, also while the environment's link points to another.
    export PATH="$VENV/bin:$PATH" VIRTUAL_ENV="$VENV" PYTHONPATH="$REPOSITORY"
    unset PYTHONHOME
    made=$(cat "$VENV/.sos_mm" 2>/dev/null || true)
    if [ "$made" = "$stamp" ]; then exec 9>&-; return; fi
    if [ "${made%% *}" != "$hash" ]; then
        say "Making the environment $VENV ($extras): about 3 minutes"
        empty_environment
        "$PYTHON" -m venv "$VENV" || stop "$PYTHON could not make $VENV; is its venv module installed?"
        setuptools=$([ "$lineage" = onedl ] && echo 'setuptools>=80,<82' || echo 'setuptools<81')
        pip install "$(pin "$lineage" torch)" "$(pin "$lineage" torchvision)" "$(pin "$lineage" numpy)" "$setuptools" wheel || stop "torch could not be installed"
        build_mmcv "$lineage" "$ops" || exit 1
        pip install --no-build-isolation --find-links "$MMCV_WHEELS" -e "${REPOSITORY}[$extras]" || stop "the packages could not be installed"
        pip check || stop "the installed packages contradict each other"
    else # The same pins, another checkout: only the editable link changes.
        pip install --quiet --no-build-isolation --no-deps -e "$REPOSITORY" || stop "this checkout could not be linked into $VENV"
    fi
    echo "$stamp" >"$VENV/.sos_mm"
    exec 9>&-
}
