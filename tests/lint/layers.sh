#!/bin/sh
# Include arrows: which folder may include headers of which (docs/architecture.md, section 2), no
# folder another one's internal.h, Vulkan headers in device/ only.
. "$(dirname "$0")/common.sh"
found=$(mktemp)

# folder: what it may include beside itself. A word with a dot is one header.
allowed() {
    case $1 in
    src/base) echo "" ;;
    device) echo "base" ;;
    src/gguf | src/quant) echo "base" ;;
    src/text) echo "base gguf" ;;
    src/plan) echo "base quant" ;;
    src/ops) echo "base quant plan device gen shaders/common/step.h shaders/common/kv_types.h" ;;
    src/arch) echo "base gguf quant plan ops/ops.h shaders/common/step.h" ;;
    src/run) echo "base gguf quant text plan ops arch device shaders/common/step.h" ;;
    src/lab) echo "base quant plan ops device gen shaders/common/step.h shaders/common/kv_types.h" ;;
    src/api) echo "base run text include" ;;
    src/eval) echo "base include" ;;
    src/cli) echo "include eval/eval.h lab" ;;
    include) echo "" ;;
    *) echo "?" ;;
    esac
}

check() { # file folder header
    own=${2#src/}
    room=${3%%/*}
    case $3 in
    */internal.h) [ "$room" = "$own" ] || echo "$1: includes $3, internal to another room" ;;
    esac
    [ "$room" = "$own" ] && return
    for word in $(allowed "$2"); do
        [ "$word" = "$3" ] && return
        [ "$word" = "$room" ] && return
    done
    echo "$1: $2 may not include $3"
}

list_c src device include | while read -r file; do
    folder=$(dirname "$file")
    if [ "$(allowed "$folder")" = "?" ]; then
        echo "$file: $folder is no room of the table in tests/lint/layers.sh"
        continue
    fi
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file" | while read -r header; do
        check "$file" "$folder" "$header"
    done
    if [ "$folder" != device ] && grep -Eq '^[ \t]*#[ \t]*include[ \t]*<vulkan/' "$file"; then
        echo "$file: includes Vulkan headers outside device/"
    fi
    if [ "$folder" != src/cli ] && [ "$folder" != src/eval ] && grep -Eq '^[ \t]*#[ \t]*include[ \t]*<jansson' "$file"; then
        echo "$file: includes the JSON library outside src/cli and src/eval"
    fi
done >"$found"
finish "$found"
