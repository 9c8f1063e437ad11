#!/bin/sh
# What no file may contain: paths of somebody's machine, marks of unfinished work.
. "$(dirname "$0")/common.sh"
found=$(mktemp)
list=$(mktemp)
find . \( -path ./.git -o -path './build*' -o -path ./.gpu -o -name '*.gguf' \) -prune -o -type f -print |
    sed 's|^\./||' | sort >"$list"
while read -r file; do
    grep -InE '(^|[^A-Za-z0-9_.}])/(wor[k]|tm[p]|hom[e]|roo[t]|User[s])/' "$file" |
        sed "s|^\([0-9]*\):.*|$file:\1: a path of one machine|" || true
    grep -InwE 'TOD[O]|FIXM[E]|XX[X]' "$file" |
        sed "s|^\([0-9]*\):.*|$file:\1: unfinished|" || true
done <"$list" >"$found"
rm -f "$list"
finish "$found"
