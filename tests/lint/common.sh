# Sourced by the lints: $1 is the root of the tree to check. A lint prints one line per violation and
# ends with exit code 1 when there was one.
set -eu
LC_ALL=C
export LC_ALL
root=$1
lint_folder=$(cd "$(dirname "$0")" && pwd)
cd "$root"

# C and header files below the folders named, without paths of build folders.
list_c() {
    find "$@" -type f \( -name '*.c' -o -name '*.h' \) 2>/dev/null | sort
}

# Ends the lint by what is in the file of violations.
finish() {
    if [ -s "$1" ]; then
        cat "$1"
        rm -f "$1"
        exit 1
    fi
    rm -f "$1"
}
