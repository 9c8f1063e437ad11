#!/bin/sh
# All tracked files together stay under 40 MiB. Skipped outside a git checkout.
. "$(dirname "$0")/common.sh"
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    echo "skipped: no git checkout"
    exit 77
fi
bytes=$(git ls-files -z | xargs -0 -r stat -c %s 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }')
if [ "$bytes" -ge 41943040 ]; then
    echo "tracked files: $bytes bytes, must be under 41943040"
    exit 1
fi
