#!/bin/sh
# Builds the library with the switches of README.md, alone, in pairs and all together: without a
# warning and with nothing left undefined.
# Usage: [CC=gcc] sh native/test/check_switches.sh
set -eu
cd "$(dirname "$0")/.."
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
methods="EENS_NO_SHARED EENS_NO_DRAWN EENS_NO_JOINT EENS_NO_FILTER EENS_NO_ENTROPY"
all="$methods EENS_NO_READER EENS_ONLY_FLOAT32 EENS_NO_VECTOR"
builds=0

build() { # SWITCHES...
    flags=""
    for switch in "$@"; do
        flags="$flags -D$switch"
    done
    # shellcheck disable=SC2086
    $cc -std=c11 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -ffp-contract=off \
        $flags -Iinclude -fPIC -shared -Wl,-z,defs src/*.c -o "$work/library.so" || {
        echo "check_switches: $* does not build" >&2
        exit 1
    }
    builds=$((builds + 1))
}

for switch in $all; do
    build "$switch"
    build EENS_SMALL "$switch"
done
for first in $methods; do
    for second in $methods; do
        [ "$first" \< "$second" ] && build EENS_SMALL "$first" "$second"
    done
done
# shellcheck disable=SC2086
build $all
# shellcheck disable=SC2086
build EENS_SMALL $all
echo "switches: $builds builds"
