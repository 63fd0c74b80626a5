#!/bin/sh
# Proves with nm what the decoder promises, for the small build and the default one: no heap, no I/O
# and no other outside help than four functions on memory, no data that can be written, no symbol
# without its prefix; and that a shared library shows the functions of edgeens.h and nothing else.
# Usage: [CC=gcc] [CFLAGS=...] [NM=nm] sh native/test/check_symbols.sh
set -eu
cd "$(dirname "$0")/.."
cc=${CC:-cc}
nm=${NM:-nm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# complain TEXT LINES: a failure if there are lines.
complain() {
    if [ -n "$2" ]; then
        echo "check_symbols: $1:" >&2
        echo "$2" | sed 's/^/    /' >&2
        failures=$((failures + 1))
    fi
}

# What a compiler may call for itself: 64-bit arithmetic and floats on small machines, stack guards,
# and its own record of what an x86-64 processor can do, with the way to find it.
runtime='__aeabi_[a-z0-9_]*|__u?(div|mod|divmod)[dst]i[34]|__(mul|ashl|lshr|ashr)[dst]i3'
runtime="$runtime|__[a-z]*[sd]f[a-z0-9]*|__stack_chk_fail|__cpu_model"
runtime="$runtime|_GLOBAL_OFFSET_TABLE_"

check_build() { # NAME FLAGS...
    name=$1
    shift
    mkdir "$work/$name"
    for source in src/*.c; do
        $cc -std=c11 -ffreestanding -ffp-contract=off "$@" ${CFLAGS:-} -Iinclude \
            -c "$source" -o "$work/$name/$(basename "$source" .c).o"
    done
    # nm prints NAME.o: and lines of VALUE TYPE NAME, without VALUE for what is undefined.
    $nm "$work/$name"/*.o | awk 'NF >= 2 {print $(NF - 1), $NF}' | sort -u > "$work/symbols"
    grep -q '^T eens_open$' "$work/symbols" # nm was understood
    complain "$name: undefined symbols that a bare machine does not have" \
        "$(sed -n 's/^U //p' "$work/symbols" | grep -vxE "eens_.*|mem(cpy|set|cmp|move)|$runtime")"
    complain "$name: data that can be written" "$(grep '^[bBcCdDgGsS] ' "$work/symbols")"
    complain "$name: symbols without the prefix eens_" \
        "$(grep '^[A-TV-Z] ' "$work/symbols" | grep -v '^. eens_')"
}

check_build small -Os -DEENS_SMALL
check_build default -O2

# A shared library, as CMakeLists.txt builds it.
$cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -DEENS_BUILD_SHARED -ffp-contract=off -Iinclude \
    src/*.c -o "$work/libedgeens.so"
$nm -D --defined-only "$work/libedgeens.so" | awk '{print $3}' | sort > "$work/shown"
grep -oE '\beens_[a-z0-9_]+\(' include/edgeens.h | tr -d '(' | sort -u > "$work/declared"
complain "the shared library (<) and edgeens.h (>) differ" \
    "$(diff "$work/shown" "$work/declared" | grep '^[<>]')"

[ "$failures" -eq 0 ]
echo "symbols: no heap, no I/O, nothing to write to, nothing unprefixed"
