#!/bin/sh
# Both libraries define exactly the functions of quadriga.h for others.
# usage: exports.sh ROOT SHARED [STATIC]
. "$(dirname "$0")/common.sh"
found=$(mktemp)
wanted=$(mktemp)
sed -n 's/^QD_API .*[ *]\(qd_[a-z_]*\)(.*/\1/p' include/quadriga.h | sort >"$wanted"
check() { # nm option, library
    nm "$1" --defined-only -g "$2" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort |
        comm -3 "$wanted" - | sed "s|^\t\(.*\)|\1: defined in $2, not in quadriga.h|; t
            s|\(.*\)|\1: in quadriga.h, not defined in $2|"
}
check -D "$2" >"$found"
if [ $# -gt 2 ]; then
    check -p "$3" >>"$found"
fi
rm -f "$wanted"
finish "$found"
