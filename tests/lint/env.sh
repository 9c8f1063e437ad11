#!/bin/sh
# docs/env.md has every environment variable that the code reads, and no variable of ours that it
# does not read.
. "$(dirname "$0")/common.sh"
found=$(mktemp)
{
    list_c src device shaders tests | while read -r file; do
        sed -n 's/.*[^a-z_]\(getenv\|setenv\)("\([A-Za-z0-9_]*\)".*/\2/p' "$file"
    done | sort -u | while read -r name; do
        grep -q "\`$name\`" docs/env.md 2>/dev/null || echo "$name: read, not in docs/env.md"
    done
    grep -o '`QUADRIGA_[A-Z0-9_]*`' docs/env.md 2>/dev/null | tr -d '`' | sort -u |
        while read -r name; do
            grep -rqE "getenv\(\"$name\"\)" src device shaders tests 2>/dev/null ||
                echo "$name: in docs/env.md, read nowhere"
        done
} >"$found"
finish "$found"
