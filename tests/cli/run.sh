#!/bin/sh
# The edges of run: nothing to generate, too much prompt, stops, seeds, streams, signals, plans.
# usage: run.sh BINARY SOURCE NPY_CHECK
. "$(dirname "$0")/common.sh"
need_device
prompt='It was a dark and stormy night, and'
ids=11

expect 0 run -m "$f16" -p "$prompt" -n 0
same "$out" "$prompt"
expect 0 run -m "$f16" -p "$prompt" -n 0 --no-display-prompt
same "$out" ''
expect 0 run -m "$f16" -p "$prompt" -n 1 --temp 0 --no-display-prompt
same "$out" 'the'
printf '%s' "$prompt" >"$folder/prompt"
expect 0 run -m "$f16" -f "$folder/prompt" -n 1 --temp 0
same "$out" "$prompt the"

# Context: the prompt fits exactly, or not by one token; generation ends where it is full.
expect 1 run -m "$f16" -p "$prompt" -c $((ids - 1))
last_line "the prompt has $ids tokens"
[ ! -s "$out" ] || fail "text on standard output"
expect 0 run -m "$f16" -p "$prompt" -c $ids -n 0
expect 0 run -m "$f16" -p "$prompt" -c 20 -n -1 --temp 0 --ignore-eos
has "$err" 'a full context'
awk 'BEGIN { for (i = 0; i < 2000; i++) printf "word " }' >"$folder/long"
expect 1 run -m "$f16" -f "$folder/long"
last_line 'the prompt has'
printf 'caf\351 \377' >"$folder/invalid"
expect 0 run -m "$f16" -f "$folder/invalid" -n 2 --temp 0

# Stop texts are not printed; the first one that appears counts.
expect 0 run -m "$f16" -p "$prompt" -n 96 --temp 0 --no-display-prompt -r zzz -r ' shining'
same "$out" 'the sun was'
has "$err" 'a stop text'

# Seeds: the same one gives the same text, the one chosen is printed and gives it again.
expect 0 run -m "$f16" -p "$prompt" -n 24 -s 7
cp "$out" "$folder/seven"
expect 0 run -m "$f16" -p "$prompt" -n 24 -s 7
cmp -s "$out" "$folder/seven" || fail "another text for the same seed"
expect 0 run -m "$f16" -p "$prompt" -n 24 -s 8
cmp -s "$out" "$folder/seven" && fail "the same text for another seed"
expect 0 run -m "$f16" -p "$prompt" -n 24
cp "$out" "$folder/first"
expect 0 run -m "$f16" -p "$prompt" -n 24 -s "$(sed -n 's/^seed: //p' "$err")"
cmp -s "$out" "$folder/first" || fail "another text for the printed seed"
expect 0 run -m "$f16" -p "$prompt" -n 8 --temp 0
grep -q '^seed' "$err" && fail "a seed where nothing is drawn"
cp "$out" "$folder/greedy"
for options in '--top-k 1' '--top-p 0' '--min-p 1' '--top-k 1 --top-p 1 --min-p 0'; do
    # shellcheck disable=SC2086
    expect 0 run -m "$f16" -p "$prompt" -n 8 --temp 1 -s 3 $options
    cmp -s "$out" "$folder/greedy" || fail "$options is not greedy"
done
expect 0 run -m "$f16" -p "$prompt" -n 60 --temp 0 --repeat-penalty 1.5
sed 's/^ *//' "$out" | grep -q 'The sun was setting, and the sun was setting' &&
    fail "repetitions in spite of the penalty"

# Precision of the cache, chunks of the prompt.
for options in '-ctk f32 -ctv f32' '-ctk f32' '-ctv f32' '-ctk q8_0 -ctv q8_0' '-b 1' '-b 3' '-b 64'; do
    # shellcheck disable=SC2086
    expect 0 run -m "$f16" -p "$prompt" -n 8 --temp 0 $options
    cmp -s "$out" "$folder/greedy" || fail "another text with $options"
done

# F16 has no kernel that reads activations in 8 bits: the same text, and a line.
expect 0 run -m "$f16" -p "$prompt" -n 8 --temp 0 --act q8
cmp -s "$out" "$folder/greedy" || fail 'another text with --act q8'
has "$err" 'activations stay as they are, not q8'

# Placement.
expect 0 run -m "$f16" -p "$prompt" -n 8 --temp 0 --device 0,0,0 -ts 1,4,1
cmp -s "$out" "$folder/greedy" || fail "another text with -ts 1,4,1"
has "$err" 'layers 3-10'
expect 0 run -m "$f16" -p "$prompt" -n 8 --temp 0 --device 0,0 -sm none
cmp -s "$out" "$folder/greedy" || fail "another text with -sm none"
has "$err" 'layers 0-11'
expect 1 run -m "$f16" -p "$prompt" --device 0 -ts 1,1
last_line 'split'
expect 0 run -m "$f16" --dry-run --device 0,0,0 -ts 0,1,2
grep -q '\[2\] device' "$err" && fail "a device without a share is in use"
has "$err" 'layers 5-11'
expect 0 run -m "$f16" --dry-run --device 0,0 -ts 1
has "$err" 'layers 0-11'
expect 1 run -m "$f16" -p "$prompt" --device 99
last_line '99'
expect 0 run -m "$f16" --dry-run --device 0,0,0,0
has "$err" 'layers 0-2'
has "$err" 'border [2]->[3]'
[ ! -s "$out" ] || fail "text on standard output"
grep -q 'prefill  ' "$err" && fail "a plan that was run"
expect 0 run -m "$f16" --dry-run -v
has "$err" 'rmsnorm'

# Logits of every position, checked against the independent implementation.
for options in '' '-b 4' '--device 0,0'; do
    # shellcheck disable=SC2086
    expect 0 run -m "$f16" -p "$prompt" -n 0 --logits "$folder/l.npy" $options
    "$3" "$folder/l.npy" "$source/models/classics-13m.json" 0 >"$out" 2>&1 ||
        fail "wrong logits with '$options'"
done
ls "$folder" | grep -q 'l.npy.' && fail "a temporary file was left behind"
expect 1 run -m "$f16" -p "$prompt" -n 0 --logits "$folder/none/l.npy"
last_line "$folder/none/l.npy"
rm "$folder/l.npy"
ln -s /dev/null "$folder/link" # a device, by its own name, is not for a test to lose
for name in link .; do
    expect 1 run -m "$f16" -p "$prompt" -n 0 --logits "$folder/$name"
    last_line 'not a regular file'
    [ ! -s "$out" ] || fail "text on standard output"
done
[ -L "$folder/link" ] || fail "a link was replaced"
expect 1 run -m "$f16" -p "$prompt" -c 5 --logits "$folder/l.npy"
[ ! -e "$folder/l.npy" ] || fail "a file of logits after a failure"

# Standard output that cannot be written.
if [ -e /dev/full ]; then
    last='run into a full device'
    code=0
    "$quadriga" run -m "$f16" -p "$prompt" -n 9 >/dev/full 2>"$err" || code=$?
    [ "$code" -eq 1 ] || fail "exit code $code, not 1"
    last_line 'standard output'
fi
last='run into a closed pipe'
{
    code=0
    "$quadriga" run -m "$f16" -p "$prompt" -n 200 --ignore-eos 2>"$err" || code=$?
    echo "$code" >"$folder/code"
} | true
[ "$(cat "$folder/code")" -eq 1 ] || fail "exit code $(cat "$folder/code"), not 1"
last_line 'standard output'

# Ctrl-C: what was generated is there, the table is printed, the exit code is 130.
last='run and Ctrl-C'
env --default-signal=INT "$quadriga" run -m "$f16" -p "$prompt" -n 900 --ignore-eos --temp 0 \
    --no-display-prompt --device 0,0 >"$out" 2>"$err" &
pid=$!
tries=0
while [ "$(wc -c <"$out")" -lt 20 ] && [ $tries -lt 400 ] && kill -0 $pid 2>/dev/null; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -INT $pid
code=0
wait $pid || code=$?
[ "$code" -eq 130 ] || fail "exit code $code, not 130"
has "$err" 'stopped by Ctrl-C'
has "$out" 'the sun was shining'
finish
