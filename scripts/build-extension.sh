#!/bin/sh
# Builds the extension with maturin and puts it in python/pantile: `build-extension.sh dev|release`.
#
# The package itself is installed in .venv (editable) once, and again when its metadata change. Otherwise maturin only
# compiles and copies, which takes half a second when nothing changed: cargo, not this script, decides what is out of date.
set -eu

case "$1" in
dev) profile="" ;;
release) profile="--release" ;;
*) echo "usage: $0 dev|release" >&2; exit 2 ;;
esac

stamp=.venv/.stamp-editable
mode="--skip-install"
for input in pyproject.toml Cargo.toml; do
    if [ ! -e "$stamp" ] || [ "$input" -nt "$stamp" ]; then mode=""; fi
done

# shellcheck disable=SC2086
.venv/bin/maturin develop --locked $profile $mode
[ -n "$mode" ] || touch "$stamp"
