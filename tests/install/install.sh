#!/bin/sh
# Installs into a temporary folder, moves it, and builds the client against both libraries with
# pkg-config; both must generate the known text.  usage: install.sh BUILD SOURCE CC
set -eu
build=$1
source=$2
cc=$3
command -v pkg-config >/dev/null || {
    echo "skipped: no pkg-config"
    exit 77
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$build" --prefix "$folder/first" >/dev/null
mv "$folder/first" "$folder/tree"
tree=$folder/tree
"$tree/bin/quadriga" --version
for file in share/man/man1/quadriga.1 share/bash-completion/completions/quadriga; do
    [ -s "$tree/$file" ] || {
        echo "$file is not installed"
        exit 1
    }
done
PKG_CONFIG_PATH=$(dirname "$(find "$tree" -name quadriga.pc)")
export PKG_CONFIG_PATH
libraries=$(pkg-config --variable=libdir quadriga)
client=$source/tests/install/client.c
warn="-std=c11 -Wall -Wextra -Wpedantic -Werror"

# shellcheck disable=SC2046,SC2086
$cc $warn "$client" -o "$folder/shared" $(pkg-config --cflags --libs quadriga)
# Names that the library uses inside must be free for the program.
cat >"$folder/names.c" <<'C'
void log_error(void);
void mem_alloc(void);
void plan_finish(void);
void log_error(void) {}
void mem_alloc(void) {}
void plan_finish(void) {}
C
# shellcheck disable=SC2046,SC2086
$cc $warn "$client" "$folder/names.c" -o "$folder/static" $(pkg-config --cflags quadriga) \
    "$libraries/libquadriga.a" \
    $(pkg-config --static --libs-only-l --libs-only-other quadriga | sed 's/-lquadriga//')

LD_LIBRARY_PATH=$libraries
export LD_LIBRARY_PATH
for kind in shared static; do
    code=0
    "$folder/$kind" 2>"$folder/err" || code=$?
    if [ $code -ne 1 ] || ! grep -q usage "$folder/err"; then
        echo "$kind: no usage text"
        exit 1
    fi
done
if ! "$tree/bin/quadriga" devices >/dev/null 2>"$folder/err"; then
    echo "skipped: $(cat "$folder/err")"
    exit 77
fi
IFS= read -r prompt <"$source/tests/cli/golden.txt"
text=$(sed -n 3p "$source/tests/cli/golden.txt")
for kind in shared static; do
    "$folder/$kind" "$source/models/classics-13m-F16.gguf" "$prompt" >"$folder/out" 2>"$folder/err"
    got=$(sed 's/^ *//' "$folder/out")
    case $got in
    '') echo "$kind: no text" && exit 1 ;;
    esac
    case $text in
    "$got"*) ;;
    *)
        echo "$kind: got '$got', not the beginning of '$text'"
        exit 1
        ;;
    esac
    grep -q 'loading 100 %' "$folder/err" || {
        echo "$kind: no progress"
        exit 1
    }
done
