#!/bin/sh
# clang-format 14 changes nothing. Skipped without it: other versions disagree.
. "$(dirname "$0")/common.sh"
tool=$(command -v clang-format-14 || command -v clang-format || true)
case $(${tool:-true} --version 2>/dev/null) in
*"version 14."*) ;;
*)
    echo "skipped: no clang-format 14"
    exit 77
    ;;
esac
found=$(mktemp)
# shellcheck disable=SC2046
"$tool" --dry-run $(list_c src device include shaders tests) 2>&1 |
    sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: .*/\1: run clang-format/p' | sort -u >"$found"
finish "$found"
