#!/bin/sh
# bench --profile: the rows of each device sum to the wall time, and little of it is unexplained.
# usage: bench_profile.sh BINARY SOURCE JSON_CHECK
. "$(dirname "$0")/common.sh"
need_device
check=$3

expect 2 bench -m x --profile -o csv
one_line '--profile: -o csv has no place'
expect 1 bench -m "$folder/none.gguf" --profile
expect 2 run -m x -p y --profile

# Tables and walls, "2 2" of two tables, or what is wrong with their sums.
sums() {
    awk -F'|' '/^\| (what|wall|unaccounted|[a-z])/ {
        name = $2; gsub(/^ +| +$/, "", name)
        if (name == "what") { tables++; sum = 0; next }
        if (tables == 0) { next }
        if (name == "wall") {
            if (sum < 0.95 * $4 || sum > 1.05 * $4) { print "rows sum to", sum, "of", $4; bad = 1 }
            if (left > 0.15 * $4 || left < -0.15 * $4) { print left, "of", $4, "left"; bad = 1 }
            walls++
            next
        }
        sum += $4
        if (name == "unaccounted") { left = $4 }
    } END { if (bad == 0) print tables, walls }' "$out"
}

# Where other programs take the processor away, their time is explained by nothing: three tries.
expect_sums() { # what sums prints, then the command
    sums_wanted=$1
    shift
    for try in 1 2 3; do
        expect 0 "$@"
        [ "$(sums)" != "$sums_wanted" ] || return 0
    done
    fail "the tables, try $try: $(sums)"
}

expect_sums '2 2' bench -m "$q4" -p 70 -n 8 -r 1 --profile --device 0
for row in 'matmul ' ' Q4_K 1024x35x256 (ffn_gate, ffn_up)' ' Q4_K 1024x1x256 (ffn_gate, ffn_up)' \
    'attention ' 'rmsnorm ' 'rope_append ' 'embed ' 'argmax ' 'between kernels' \
    'host: submit ' 'host: read timestamps' 'unaccounted'; do
    has "$out" "$row"
done
has "$out" 'pp70, [0] device 0: '
has "$out" 'tg8, [0] device 0: '
has "$out" 'with timestamps around every dispatch'

# Fusions save dispatches: those of the ops, in the table of the tokens that are generated.
calls() {
    awk -F'|' -v op="$1" '/^tg/ { on = 1 } on && $2 ~ "^ (" op ") " { n += $3 } END { print n + 0 }' \
        "$out"
}
fused=$(calls '[a-z_]+')
[ "$(calls rope_append)" -eq 96 ] || fail "rope_append in $(calls rope_append) of 8 x 12 layers"
expect 0 bench -m "$q4" -p 70 -n 8 -r 1 --profile --device 0 --disable fuse/rope_append
[ "$(calls rope_append)" -eq 0 ] || fail "rope_append is there without the fusion"
[ "$(calls rope)" -eq 192 ] && [ "$(calls kv_append)" -eq 96 ] || fail "not two ropes and an append"
[ "$(calls '[a-z_]+')" -eq $((fused + 192)) ] || fail "dispatches: $fused, then $(calls '[a-z_]+')"

expect_sums '4 4' bench -m "$q4" -p 8 -n 8 -r 1 --profile --device 0,0
has "$out" '[1] device 0: '
has "$out" 'copy border'
has "$out" 'other devices work'

expect 0 bench -m "$q4" -p 8 -n 0 -r 1 --profile --device 0 -o json
"$check" profile:object samples_ns:array <"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"
left=$(awk -F'[:,]' '/"(ns|unaccounted_ns)"/ { sum += $2 } /"wall_ns"/ { wall = $2 }
    END { print (wall > 0 ? wall - sum : "none") }' "$out")
[ "$left" = 0 ] || fail "the rows of JSON miss the wall time by: $left"
has "$out" '"what": "ffn_gate, ffn_up"'
has "$out" '"wall_ns_without_timestamps": '

expect 0 bench -m "$q4" -p 8 -n 0 -r 1 -o json --device 0
grep -q '"profile"' "$out" && fail "a profile that nobody asked for"

last='quadriga bench --profile, validated'
code=0
QUADRIGA_VALIDATE=1 "$quadriga" bench -m "$q4" -p 8 -n 2 -r 1 --profile --device 0,0 \
    >"$out" 2>"$err" || code=$?
if grep -q 'validation layer' "$err" && ! grep -q 'validation:' "$err"; then
    echo "no validation layer here"
elif [ $code -ne 0 ]; then
    fail "exit code $code"
fi
finish
