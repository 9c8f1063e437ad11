#!/bin/sh
# Shows that a lint can fail: a small clean tree passes, the same tree with a planted violation does
# not, and the message names it.  usage: selftest.sh LINT
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
lint=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cc=${CC:-cc}

mkdir -p "$tree/src/base" "$tree/src/plan" "$tree/src/cli" "$tree/device" "$tree/include" "$tree/docs"
printf '#ifndef B_H\n#define B_H\nint base_get(void);\n#endif\n' >"$tree/src/base/b.h"
printf '#include "base/b.h"\n\n/* a malloc(1) in a comment */\nint base_get(void)\n{\n    return 1;\n}\n' \
    >"$tree/src/base/b.c"
printf '#ifndef D_H\n#define D_H\nint device_get(void);\n#endif\n' >"$tree/device/d.h"
printf '#ifndef Q_H\n#define Q_H\n#define QD_API\nQD_API int qd_get(void);\n#endif\n' \
    >"$tree/include/quadriga.h"
printf 'variables: `QUADRIGA_CACHE`\n' >"$tree/docs/env.md"
printf '#include <stdlib.h>\nconst char *cache(void);\nconst char *cache(void)\n{\n    return getenv("QUADRIGA_CACHE");\n}\n' \
    >"$tree/src/base/os.c"
printf 'int qd_get(void);\nint qd_get(void)\n{\n    return 1;\n}\n' >"$tree/api.c"
[ "$lint" != format ] || cp "$folder/../../.clang-format" "$tree"
if [ "$lint" = weight ]; then
    git -C "$tree" init -q 2>/dev/null || exit 77
    git -C "$tree" add -A
fi

run() {
    set -- "$tree"
    case $lint in
    globals) "$cc" -c "$tree/api.c" -o "$tree/a.o" && set -- "$tree" "$tree/a.o" ;;
    exports) "$cc" -shared -fPIC "$tree/api.c" -o "$tree/a.so" && set -- "$tree" "$tree/a.so" ;;
    esac
    status=0
    sh "$folder/$lint.sh" "$@" >"$tree/out" 2>&1 || status=$?
}

fails() { # text that the message must have
    run
    if [ "$status" -ne 1 ] || ! grep -q -- "$1" "$tree/out"; then
        echo "$lint did not find '$1' (exit code $status):"
        cat "$tree/out"
        exit 1
    fi
}

run
if [ "$status" -eq 77 ]; then
    cat "$tree/out"
    exit 77
elif [ "$status" -ne 0 ]; then
    echo "$lint fails on a clean tree:"
    cat "$tree/out"
    exit 1
fi

case $lint in
layers)
    printf '#include "device/d.h"\n' >"$tree/src/plan/bad.c"
    fails 'src/plan/bad.c: src/plan may not include device/d.h'
    printf '#include "base/internal.h"\n' >"$tree/src/plan/bad.c"
    fails 'internal to another room'
    printf '#include <vulkan/vulkan.h>\n' >"$tree/src/plan/bad.c"
    fails 'Vulkan headers outside device'
    ;;
size)
    awk 'BEGIN { for (i = 0; i < 601; i++) print "int x;" }' >"$tree/src/plan/bad.c"
    fails 'src/plan/bad.c: 601 lines'
    ;;
banned)
    printf 'x = strcpy(a, b);\n' >"$tree/src/plan/bad.c"
    fails 'src/plan/bad.c:1: unsafe string function'
    printf '\nx = malloc(1);\n' >"$tree/src/plan/bad.c"
    fails 'src/plan/bad.c:2: heap call'
    printf 'abort();\n' >"$tree/device/bad.c"
    fails 'device/bad.c:1: ends the process'
    ;;
globals)
    printf 'int counter = 1;\nint qd_get(void);\nint qd_get(void)\n{\n    return counter++;\n}\n' \
        >"$tree/api.c"
    fails 'mutable data: counter'
    printf 'int qd_get(void);\nint qd_get(void)\n{\n    static int hidden;\n    return hidden++;\n}\n' \
        >"$tree/api.c"
    fails 'mutable data: hidden'
    ;;
exports)
    printf 'int qd_get(void);\nint qd_get(void)\n{\n    return 1;\n}\nint loose(void);\nint loose(void)\n{\n    return 1;\n}\n' >"$tree/api.c"
    fails 'loose: defined in'
    printf 'int other;\n' >"$tree/api.c"
    fails 'qd_get: in quadriga.h, not defined'
    ;;
headers)
    printf 'uint32_t x(void);\n' >"$tree/src/plan/bad.h"
    fails 'src/plan/bad.h: does not compile alone'
    rm "$tree/src/plan/bad.h"
    printf 'int class(int new);\n' >"$tree/include/quadriga.h"
    fails 'include/quadriga.h: does not compile alone as C++'
    ;;
format)
    printf 'int  x( void );\n' >"$tree/src/plan/bad.c"
    fails 'src/plan/bad.c: run clang-format'
    ;;
text)
    printf 'see /hom%s/me/file\n' e >"$tree/docs/bad.md"
    fails 'docs/bad.md:1: a path of one machine'
    printf 'TOD%s: later\n' O >"$tree/docs/bad.md"
    fails 'docs/bad.md:1: unfinished'
    ;;
env)
    printf 'x = getenv("SECRET_SWITCH");\n' >"$tree/src/plan/bad.c"
    fails 'SECRET_SWITCH: read, not in docs/env.md'
    rm "$tree/src/plan/bad.c"
    printf 'also `QUADRIGA_GONE`\n' >>"$tree/docs/env.md"
    fails 'QUADRIGA_GONE: in docs/env.md, read nowhere'
    ;;
weight)
    truncate -s 41M "$tree/big"
    git -C "$tree" add big
    fails 'must be under'
    ;;
*)
    echo "no self-test for $lint"
    exit 1
    ;;
esac
