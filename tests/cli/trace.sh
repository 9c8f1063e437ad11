#!/bin/sh
# --trace: the file opens, each device does every step in order, and as long as the statistics say;
# both ways to join clocks; files that cannot be written; bench with several streams.
# usage: trace.sh BINARY SOURCE TRACE_CHECK JSON_CHECK
. "$(dirname "$0")/common.sh"
need_device
check=$3
json=$4
trace=$folder/trace.json

text='It is a truth universally acknowledged, that a single man in possession of a good fortune,
must be in want of a wife. However little known the feelings or views of such a man may be on his
first entering a neighbourhood, this truth is so well fixed in the minds of the families.'

# check_trace DEVICES [stats]
check_trace() {
    "$check" "$@" <"$trace" >"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"
}

for list in 0 0,0,0,0; do
    n=$(echo "$list" | tr -cd , | wc -c)
    expect 0 run -m "$q4" -p "$text" -n 6 --temp 0 -b 16 --device $list --trace "$trace"
    grep -q "^trace: \[$n\] clock [a-z]*, to [0-9.]* us" "$err" || fail "no word about the clock"
    check_trace $((n + 1)) stats
done
expect 0 run -m "$q4" -p "$text" -n 2 --temp 0 -b 16 --device 0,0 --disable calibrated \
    --trace "$trace"
grep -q '"clock":"calibrated"' "$trace" && fail "calibrated, though disabled"
check_trace 2 stats
"$json" .otherData devices:array version:string <"$trace" 2>>"$err" || fail "$(tail -n 1 "$err")"

expect 0 bench -m "$q4" -p 40 -n 2 -np 3 -r 1 -b 16 --device 0,0,0 --trace "$trace" -o json
"$json" n_streams:integer busy:array avg_ts:real <"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"
has "$out" '"n_streams": 3'
check_trace 3
grep -q '^8 steps' "$out" || fail "the longest run is not that of three prompts of 40 tokens"
expect 0 bench -m "$q4" -p 20 -n 2 -np 2 -d 5 -r 1 --device 0
has "$out" '2 x pp20 @ d5'
has "$out" '2 x tg2 @ d5'
expect 2 bench -m "$q4" -np 0
expect 1 bench -m "$q4" -np 256 -p 4096 -c 1000000 -n 0
one_line 'KV cache of '

# printed, not traced: nothing is left, and what was there stays
echo old >"$trace"
expect 1 run -m "$folder/none.gguf" -p x --trace "$trace"
same "$trace" old
expect 1 run -m "$q4" -p x --trace "$folder"
one_line 'cannot be written: not a regular file'
expect 1 run -m "$q4" -p x --trace "$folder/none/trace.json"
one_line "$folder/none/trace.json: cannot be written: No such file"
expect 2 run -m "$q4" --dry-run --trace "$trace"
one_line '--trace: --dry-run runs nothing'
[ -z "$(find "$folder" -name '*.tmp')" ] || fail "temporary files are left"
printf 'hello\n' >"$folder/said"
code=0
"$quadriga" chat -m "$q4" --template chatml -n 3 --device 0 --trace "$trace" <"$folder/said" \
    >"$out" 2>"$err" || code=$?
[ $code -eq 0 ] || fail "chat: exit code $code"
check_trace 1
finish
