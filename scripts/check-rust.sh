#!/bin/sh
# Says nothing when Rust is new enough (the `rust-version` of Cargo.toml), and what to do when it is not.
set -u

need=$(sed -n 's/^rust-version *= *"\([0-9]*\.[0-9]*\).*/\1/p' Cargo.toml)

advice() {
    echo "Install or update it with rustup (https://rustup.rs):" >&2
    echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    echo "    rustup update stable" >&2
    exit 1
}

if ! command -v cargo >/dev/null 2>&1 || ! have=$(rustc --version 2>/dev/null); then
    echo "Pantile needs Rust $need or newer, and no working cargo and rustc are on PATH or in ~/.cargo/bin." >&2
    advice
fi
have=$(echo "$have" | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
# Compared number by number: 1.100 is newer than 1.95.
if [ "${have%%.*}" -lt "${need%%.*}" ] ||
    { [ "${have%%.*}" -eq "${need%%.*}" ] && [ "${have#*.}" -lt "${need#*.}" ]; }; then
    echo "Pantile needs Rust $need or newer, and this is Rust $have ($(command -v rustc))." >&2
    advice
fi
