#!/bin/sh
# Installs what comes from the system: LLVM 22 with its headers, the libraries it links, and a C++ compiler to link with.
#
#   install-system.sh           what building needs
#   install-system.sh browser   what the tests of reports need as well: a browser. Where it cannot be had, those tests
#                               are skipped (with CI=true they fail), so this is no reason to stop.
#
# Does nothing, silently, when all is there. On Debian and its kin it uses apt-get, through sudo when not root; elsewhere it
# says what is needed and stops. LLVM_SYS_221_PREFIX names an LLVM 22.1 that is kept somewhere else.
set -u

# Debian's Chromium; the fonts are for those who look at pictures of the pages.
if [ "${1:-}" = browser ]; then
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" >/dev/null 2>&1 && exit 0
    done
    without() {
        echo "$1 Tests in a browser are left out. To run them, install Chromium." >&2
        exit 0
    }
    command -v apt-get >/dev/null 2>&1 || without "There is no Chromium, and no apt-get to install it with."
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || without "There is no Chromium, and no sudo to install it with."
        as_root="sudo"
    fi
    echo "Installing Chromium for the tests"
    $as_root apt-get update -q </dev/null >/dev/null || echo "apt-get update failed; trying with the index as it is." >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core \
        </dev/null >/dev/null || without "apt-get could not install Chromium."
    exit 0
fi

prefix=${LLVM_SYS_221_PREFIX:-/usr/lib/llvm-22}
packages=""
need() { packages="$packages $1"; }

llvm_version=$("$prefix/bin/llvm-config" --version 2>/dev/null)
case "$llvm_version" in
22.1.*) [ -f "$prefix/include/llvm-c/Core.h" ] || need llvm-22-dev ;;
*) need llvm-22-dev ;;
esac
# LLVM's own list of static libraries names Polly, which Debian packs apart.
[ -e "$prefix/lib/libPolly.a" ] || need libpolly-22-dev
# Asking the linker is the one test that holds wherever a distribution keeps its libraries.
if command -v c++ >/dev/null 2>&1; then
    links() { printf 'int main(){return 0;}' | c++ -x c++ - -o /dev/null "$1" >/dev/null 2>&1; }
    links -lzstd || need libzstd-dev
    links -lz || need zlib1g-dev
    links -lxml2 || need libxml2-dev
    links -lz3 || need libz3-dev
else
    packages="$packages g++ libzstd-dev zlib1g-dev libxml2-dev libz3-dev"
fi
[ -z "$packages" ] && exit 0

echo "Missing system packages:$packages"
by_hand() {
    {
        echo "$1"
        echo "Pantile is built with LLVM 22.1 (headers and libraries), zlib, zstd and a C++ compiler. Install them:"
        echo "    apt-get update && apt-get install$packages"
        echo "or set LLVM_SYS_221_PREFIX to the folder of an LLVM 22.1, and try again."
    } >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || by_hand "There is no apt-get on this machine, so this step is yours."
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || by_hand "Installing them needs root, and there is no sudo on this machine."
    as_root="sudo"
fi

# A stale or partly failing index may still hold what is needed, so its failure alone is not the end.
$as_root apt-get update -q </dev/null || echo "apt-get update failed; trying with the index as it is." >&2
if ! apt-cache show llvm-22-dev >/dev/null 2>&1; then
    by_hand "This system's package index has no llvm-22-dev; https://apt.llvm.org has it for Debian and Ubuntu."
fi
# `env` because sudo drops variables; no questions may be asked where nobody is there to answer.
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages </dev/null ||
    by_hand "apt-get could not install the packages."
