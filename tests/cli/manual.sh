#!/bin/sh
# The man page and the completion of bash name every command and every option that --help names; roff
# takes the page without a warning, and bash completes with the script.
. "$(dirname "$0")/common.sh"

expect 0 help --man
cp "$out" "$folder/quadriga.1"
expect 0 help --bash
cp "$out" "$folder/quadriga.bash"
# names of two words have a _ between them here
commands=$("$quadriga" --help | sed -n 's/^quadriga \(eval \)*\([a-z]*\) .*/\1\2/p' | tr ' ' _)
[ "$(echo "$commands" | wc -w)" -ge 7 ] || fail "few commands"
tr -d '\\' <"$folder/quadriga.1" >"$folder/page"
for command in $commands; do
    words=$(echo "$command" | tr _ ' ')
    grep -qx "\.B quadriga $words" "$folder/page" || fail "no section of $words in the page"
    # shellcheck disable=SC2086
    options=$("$quadriga" $words --help | sed -n 's/^  \(-[^ ]*\(, -[^ ]*\)*\).*/\1/p' | tr -d ,)
    for option in $options; do
        grep -qF -- "fB${option}fR" "$folder/page" || fail "$command $option is not in the page"
        grep -q "^    $command) words='.*$option[ ']" "$folder/quadriga.bash" ||
            fail "$command $option is not completed"
    done
done

if command -v man >/dev/null && command -v groff >/dev/null; then
    last='groff of the page'
    groff -man -Tascii -ww "$folder/quadriga.1" >"$out" 2>"$err" || fail "exit code $?"
    [ ! -s "$err" ] || fail "a warning"
    has "$out" 'interrupted by Ctrl'
fi

complete() { # words...: what bash offers for the last one
    last="completion of: $*"
    # shellcheck disable=SC2016
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _quadriga
        printf "%s\n" "${COMPREPLY[@]}"' bash "$folder/quadriga.bash" "$@" >"$out" 2>"$err"
    [ ! -s "$err" ] || fail "bash: $(cat "$err")"
}
if command -v bash >/dev/null; then
    complete quadriga de
    same "$out" devices
    complete quadriga run --temperat
    same "$out" --temperature
    complete quadriga devices -o j
    same "$out" json
    complete quadriga bench -o j
    same "$out" json
    complete quadriga run -m "$source/models/classics-13m-F"
    same "$out" "$source/models/classics-13m-F16.gguf"
    complete quadriga ev
    same "$out" eval
    complete quadriga eval p
    same "$out" perplexity
    complete quadriga eval hellaswag --per
    same "$out" --per-task
    complete quadriga eval hellaswag --style ll
    same "$out" llama.cpp
    complete quadriga run --top-k 1
    same "$out" ''
fi
finish
