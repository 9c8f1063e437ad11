#!/bin/sh
# Each header compiles alone as C11; quadriga.h also as C99 and C++.
# usage: headers.sh ROOT [FOLDER OF GENERATED HEADERS]
. "$(dirname "$0")/common.sh"
found=$(mktemp)
cc=${CC:-cc}
flags="-Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L -I. -Isrc ${2:+-I$2}"
compile() { # what, header, compiler and flags
    what=$1
    header=$2
    shift 2
    printf '#include "%s"\n' "$header" >"$unit"
    "$@" -fsyntax-only "$unit" >/dev/null 2>&1 || echo "$header: does not compile alone as $what"
}
folder=$(mktemp -d)
{
    unit=$folder/unit.c
    list_c include device src | grep '\.h$' | while read -r header; do
        # shellcheck disable=SC2086
        compile C11 "$header" "$cc" -std=c11 $flags
    done
    public=include/quadriga.h
    # shellcheck disable=SC2086
    [ ! -e $public ] || compile C99 $public "$cc" -std=c99 $flags
    if [ -e $public ] && command -v c++ >/dev/null; then
        unit=$folder/unit.cc
        # shellcheck disable=SC2086
        compile C++ $public c++ -std=c++11 $flags
    fi
} >"$found"
rm -rf "$folder"
finish "$found"
