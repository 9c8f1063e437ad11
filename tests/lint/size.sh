#!/bin/sh
# No source file is longer than 600 lines.
. "$(dirname "$0")/common.sh"
found=$(mktemp)
find src device include shaders tests cmake .ci -type f 2>/dev/null | sort | while read -r file; do
    case $file in
    *.c | *.h | *.comp | *.glsl | *.sh | *.cmake | */CMakeLists.txt | .ci/*) ;;
    *) continue ;;
    esac
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 600 ]; then
        echo "$file: $lines lines, at most 600"
    fi
done >"$found"
finish "$found"
