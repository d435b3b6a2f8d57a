#!/usr/bin/env bash
# Times the quickstart from an empty cache, part by part: seconds since the start before each of its headings.
#
#   bash tools/benchmarks/quickstart.sh [ARGUMENTS OF quickstart.sh]
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
SECONDS=0
SOS_MM_CACHE=$scratch/cache bash tools/quickstart.sh --work-dir "$scratch/work" "$@" 2>&1 |
    while IFS= read -r line; do
        case $line in
        *'==>'*) printf '%5d s  %s\n' "$SECONDS" "$line" ;;
        *images\ made* | centre* | auxiliary* | full\ model* | *MAE\ *Smeasure*) printf '         %s\n' "$line" ;;
        esac
    done
