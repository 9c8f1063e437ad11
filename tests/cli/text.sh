#!/bin/sh
# info and tokenize: no device is needed, and none is looked for.
. "$(dirname "$0")/common.sh"
VK_ICD_FILENAMES=none
VK_DRIVER_FILES=none
export VK_ICD_FILENAMES VK_DRIVER_FILES

while IFS= read -r prompt && read -r ids && read -r _; do
    expect 0 tokenize -m "$f16" -p "$prompt"
    same "$out" "$ids"
    expect 0 tokenize -m "$f16" -p "$prompt" --no-bos
    same "$out" "${ids#* }"
    printf '%s' "$prompt" >"$folder/prompt"
    expect 0 tokenize -m "$f16" -f "$folder/prompt"
    same "$out" "$ids"
    printf '%s\n' "$prompt" >>"$folder/lines"
    printf '%s\n' "$ids" >>"$folder/ids"
done <"$source/tests/cli/golden.txt"

expect 0 tokenize -m "$f16" -f "$folder/lines" --lines
cmp -s "$out" "$folder/ids" || fail "not the ids of the lines"
printf '%s' "$(cat "$folder/lines")" >"$folder/unended"
expect 0 tokenize -m "$f16" -f "$folder/unended" --lines
cmp -s "$out" "$folder/ids" || fail "a last line without newline"
last='tokenize of standard input'
"$quadriga" tokenize -m "$f16" --lines <"$folder/lines" >"$out" 2>"$err" || fail "exit code $?"
cmp -s "$out" "$folder/ids" || fail "not the ids of the lines"
printf 'a\n\nb\n' >"$folder/gap"
expect 0 tokenize -m "$f16" -f "$folder/gap" --lines --no-bos
[ "$(wc -l <"$out")" -eq 3 ] || fail "not a line of ids for each of three lines"
[ -z "$(sed -n 2p "$out")" ] || fail "ids for an empty line"
expect 0 tokenize -m "$f16" -p 'a</s>' --no-bos
[ "$(wc -w <"$out")" -eq 2 ] || fail "</s> was not parsed"
expect 0 tokenize -m "$f16" -p 'a</s>' --no-bos --no-parse-special
[ "$(wc -w <"$out")" -gt 3 ] || fail "</s> was parsed"
printf 'caf\351 \377\376' >"$folder/invalid"
expect 0 tokenize -m "$f16" -f "$folder/invalid"
[ "$(wc -w <"$out")" -gt 3 ] || fail "few ids for invalid UTF-8"

for model in "$f16" "$q4"; do
    expect 0 info -m "$model"
    has "$out" 'architecture  llama'
    has "$out" 'vocabulary    4096 tokens'
    has "$out" 'llama.block_count u32 12'
    has "$out" 'token_embd.weight'
    has "$out" 'blk.11.ffn_down.weight'
    [ ! -s "$err" ] || fail "something on standard error"
done
grep -qE '^  [fF]16 +4096 x 256 ' "$out" && fail "Q4_K_M with an f16 embedding"
expect 0 info -m "$f16"
grep -qE '^  [fF]16 +4096 x 256 +token_embd.weight' "$out" || fail "no f16 embedding of 4096 x 256"

if [ -e /dev/full ]; then
    last='info into a full device'
    code=0
    "$quadriga" info -m "$f16" >/dev/full 2>"$err" || code=$?
    : >"$out"
    [ "$code" -eq 1 ] || fail "exit code $code, not 1"
    one_line 'standard output'
fi

# A closed standard stream is an error, not the model file that took its number.
last='tokenize without standard input'
code=0
"$quadriga" tokenize -m "$f16" >"$out" 2>"$err" <&- || code=$?
[ "$code" -eq 1 ] || fail "exit code $code, not 1"
one_line 'standard input: cannot be read'
finish
