# Sourced by the tests of the program: $1 is the binary, $2 the source folder. Each check prints what
# it expected when it fails; the test goes on and fails at its end (`finish`).
set -u
LC_ALL=C
export LC_ALL
quadriga=$1
source=$2
# shellcheck disable=SC2034
f16=$source/models/classics-13m-F16.gguf
# shellcheck disable=SC2034
q4=$source/models/classics-13m-Q4_K_M.gguf
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
out=$folder/out
err=$folder/err
bad=0

fail() {
    bad=$((bad + 1))
    echo "FAILED: $last: $*"
    sed 's/^/    out: /' "$out" | head -n 5
    sed 's/^/    err: /' "$err" | head -n 5
}

# expect CODE ARGUMENTS...: runs the program, its streams are in $out and $err.
expect() {
    wanted=$1
    shift
    last="quadriga $*"
    code=0
    "$quadriga" "$@" >"$out" 2>"$err" </dev/null || code=$?
    [ "$code" -eq "$wanted" ] || fail "exit code $code, not $wanted"
}

# The last run's standard error is one line that has the text; nothing on standard output.
one_line() {
    [ "$(wc -l <"$err")" -eq 1 ] || fail "not one line of error"
    grep -qF -- "$1" "$err" || fail "the error does not have: $1"
    [ ! -s "$out" ] || fail "something on standard output"
}

# As one_line, with the lines about devices and plan before it.
last_line() {
    tail -n 1 "$err" | grep -qF -- "$1" || fail "the last line does not have: $1"
    [ "$(grep -c '^quadriga: ' "$err")" -eq 1 ] || fail "not one line of error"
}

has() { # file, text
    grep -qF -- "$2" "$1" || fail "missing: $2"
}

same() { # file, text: the whole of it, spaces at both ends aside
    got=$(sed 's/^ *//' "$1")
    [ "$got" = "$2" ] || fail "got '$got', not '$2'"
}

# Skips the test where no device is usable.
need_device() {
    last='quadriga devices'
    code=0
    "$quadriga" devices >"$out" 2>"$err" || code=$?
    if [ $code -eq 1 ] && grep -qE '^quadriga: .*Vulkan (driver|loader|device)' "$err"; then
        echo "skipped: $(cat "$err")"
        exit 77
    elif [ $code -ne 0 ]; then
        fail "exit code $code"
        exit 1
    fi
}

finish() {
    [ "$bad" -eq 0 ] || {
        echo "$bad checks failed"
        exit 1
    }
    exit 0
}
