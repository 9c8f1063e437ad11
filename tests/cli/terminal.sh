#!/bin/sh
# Colours and the progress bar: on a terminal only, colours never with NO_COLOR.
. "$(dirname "$0")/common.sh"
command -v script >/dev/null || {
    echo "skipped: no script(1)"
    exit 77
}
script -qec true /dev/null >/dev/null 2>&1 </dev/null || {
    echo "skipped: no pseudo-terminal can be had here"
    exit 77
}
escape=$(printf '\033')
unset NO_COLOR

on_terminal() { # the whole command line
    last="on a terminal: $1"
    : >"$err"
    script -qec "$1" /dev/null >"$out" 2>&1 </dev/null || true
}

on_terminal "'$quadriga' run --bogus"
has "$out" "${escape}[31mquadriga:${escape}[0m run: unknown option --bogus"
NO_COLOR=1
export NO_COLOR
on_terminal "'$quadriga' run --bogus"
has "$out" 'quadriga: run: unknown option --bogus'
grep -q "$escape" "$out" && fail "a colour in spite of NO_COLOR"
unset NO_COLOR
expect 2 run --bogus
grep -q "$escape" "$err" && fail "a colour where there is no terminal"

need_device
on_terminal "'$quadriga' run -m '$f16' -p Once -n 2 --temp 0"
has "$out" 'loading ['
has "$out" '100 %'
expect 0 run -m "$f16" -p Once -n 2 --temp 0
grep -q 'loading \[' "$err" && fail "a progress bar where there is no terminal"
finish
