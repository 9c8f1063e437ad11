#!/bin/sh
# Model and prompt files that are missing or damaged: exit code 1 and one line that names the file.
. "$(dirname "$0")/common.sh"

: >"$folder/empty.gguf"
head -c 1000 /dev/urandom >"$folder/garbage.gguf"
head -c 20000 "$f16" >"$folder/cut.gguf"
printf 'GGUF' >"$folder/magic.gguf"
mkdir "$folder/folder.gguf"
for command in info 'tokenize -p x' 'run -p x'; do
    # shellcheck disable=SC2086
    expect 1 $command -m "$folder/missing.gguf"
    one_line "$folder/missing.gguf"
done
for command in info 'tokenize -p x'; do
    for name in empty garbage cut magic folder; do
        # shellcheck disable=SC2086
        expect 1 $command -m "$folder/$name.gguf"
        one_line "$folder/$name.gguf"
    done
done
expect 1 tokenize -m "$f16" -f "$folder/missing.txt"
one_line "$folder/missing.txt"
expect 1 run -m "$f16" -f "$folder/missing.txt"
one_line "$folder/missing.txt"
expect 1 run -m "$f16" -p ''
one_line 'the prompt is empty'
: >"$folder/empty.txt"
expect 1 run -m "$f16" -f "$folder/empty.txt"
one_line 'the prompt is empty'

# A name from outside does not reach a terminal as it is.
expect 1 info -m "$folder/$(printf 'a\033[31m.gguf')"
grep -q "$(printf '\033')" "$err" && fail "a control character in an error"
finish
