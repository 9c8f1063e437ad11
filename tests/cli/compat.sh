#!/bin/sh
# compat: formats, filters, seeds, the journal, the comparison with an old report, exit codes; two
# copies of lavapipe as two devices.
# usage: compat.sh BINARY SOURCE JSON_CHECK
. "$(dirname "$0")/common.sh"
. "$2/.ci/lavapipe"
lavapipe_copies 2 "$folder/icd" || exit 77
need_device
check=$3
cd "$source" || exit 1
rows='device:integer op:string variant:string format:string,null kv:string,null shape:object,null
    way:string,null status:string why:string nmse:real,integer,null worst_error:real,integer,null
    worst_ratio:real,integer,null counts:object,null'

parses() { # member, fields: of $out
    # shellcheck disable=SC2086
    "$check" "$@" <"$out" 2>>"$err" || fail "$1: $(tail -n 1 "$err")"
}
count() { # status: rows of the JSON report in $out that have it
    grep -c "\"status\": \"$1\"" "$out" || true
}
total() { # status: as the report says
    sed -n '/"totals"/,/}/s/.*"'"$1"'": \([0-9]*\).*/\1/p' "$out"
}

# Usage.
expect 2 compat --op matmull
one_line 'did you mean matmul?'
expect 2 compat --op xyzzy
one_line 'there are add, argmax'
expect 2 compat --op rope --variant lanes
one_line "unknown of rope"
expect 2 compat --variant plan
one_line 'did you mean plain?'
expect 2 compat --op model --no-model
one_line 'there is nothing to run'
expect 2 compat --device 0,0
one_line '0 is there twice'
expect 2 compat --device 0,x
one_line 'one to 64 device numbers'
expect 2 compat --seed 18446744073709551615
one_line 'must be at most 9223372036854775807'
expect 2 compat -o csv
one_line 'text, json, md or html'
expect 1 compat --device 99
one_line 'there is no device 99, there are 2'
expect 1 compat -m "$folder/missing.gguf"
one_line "$folder/missing.gguf"
expect 1 compat --reference "$folder/missing.json"
one_line "$folder/missing.json"
echo '[{"tokens": [1], "greedy": [2], "logsumexp": [1, 2], "last_logits": [1]}]' >"$folder/bad.json"
expect 1 compat --reference "$folder/bad.json"
one_line 'entry 0: logsumexp has not one number for each token'

# Everything, on both devices; the totals are those of the rows.
expect 0 compat --quick -o json
# shellcheck disable=SC2086
parses .rows $rows
parses .totals pass:integer fail:integer skip:integer
parses .devices index:integer name:string driver:string driver_version:integer uuid:string \
    quirks:string
for status in pass fail skip; do
    [ "$(count $status)" -eq "$(total $status)" ] || fail "the total of $status"
done
[ "$(total pass)" -gt 300 ] || fail "few rows"
for name in 'device 0' 'device 1' 'devices 0,1' 'split 0+1' lanes plain_gemm; do
    has "$out" "\"variant\": \"$name\""
done
cp "$out" "$folder/all.json"
expect 0 compat --quick --no-model --device 1
has "$out" '[1] '
has "$out" 'quirks in force: '
has "$out" 'plain_gemm'
grep -q '^model ' "$out" && fail "a model in spite of --no-model"
tail -n 1 "$out" | grep -qE '^[0-9]+ passed, 0 failed, [0-9]+ skipped$' || fail "the last line"

# Filters, seeds.
expect 0 compat --op rope --device 1 -o json
[ "$(grep -c '"op": "rope"' "$out")" -eq "$(grep -c '"op"' "$out")" ] || fail "other ops"
grep -q '"device": 0' "$out" && fail "another device"
expect 0 compat --op rmsnorm --seed 5 -o md
cp "$out" "$folder/five"
expect 0 compat --op rmsnorm --seed 5 -o md
cmp -s "$out" "$folder/five" || fail "other figures for the same seed"
expect 0 compat --op rmsnorm --seed 6 -o md
cmp -s "$out" "$folder/five" && fail "the same figures for another seed"
expect 0 compat --variant plain_gemv --quick
grep -q 'rope' "$out" && fail "an op without that variant"
expect 0 compat --op rope -o html
has "$out" '</html>'

# A failure: exit code, the line, and the command that repeats it.
sed 's/"last_logits": \[-11/"last_logits": [-12/' models/classics-13m.json >"$folder/wrong.json"
expect 1 compat --op model --quick --device 1 --reference "$folder/wrong.json"
has "$out" 'FAIL'
has "$out" 'a logit differs by'
has "$out" "quadriga compat --device 1 --op model --reference $folder/wrong.json --quick"
has "$out" '0 passed, 1 failed, 0 skipped'

# A program without its model says so; one beside its share folder finds it.
mkdir -p "$folder/tree/bin" "$folder/tree/share/quadriga" "$folder/lone/bin"
cp "$quadriga" "$folder/tree/bin/quadriga"
cp "$quadriga" "$folder/lone/bin/quadriga"
ln -s "$source/models" "$folder/tree/share/quadriga/models"
cd "$folder" || exit 1
quadriga=$folder/lone/bin/quadriga expect 0 compat --op model --quick
has "$out" 'not run (no model: models/classics-13m-F16.gguf was found neither'
quadriga=$folder/tree/bin/quadriga expect 0 compat --op model --quick
has "$out" '4 passed, 0 failed, 0 skipped'
cd "$source" || exit 1

# The journal: what is there is not run again, and the report is that of one run.
journal=$folder/journal
expect 0 compat --op rope_append --device 0 -o md
cp "$out" "$folder/whole"
env --default-signal=INT "$quadriga" compat --op rope_append --device 0 --resume "$journal" \
    >"$out" 2>"$err" &
pid=$!
tries=0
while [ "$(wc -l <"$journal" 2>/dev/null || echo 0)" -lt 30 ] && [ $tries -lt 600 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -INT $pid
code=0
wait $pid || code=$?
last='compat, interrupted'
[ $code -eq 130 ] || fail "exit code $code, not 130"
one_line "goes on from $journal"
lines=$(wc -l <"$journal")
if [ "$lines" -lt 30 ] || [ "$lines" -gt 250 ]; then
    fail "$lines lines in the journal"
fi
head -n "$lines" "$journal" >"$folder/before"
printf '{"device":0,"op":"rop' >>"$journal" # cut in the middle of a row
expect 0 compat --op rope_append --device 0 --resume "$journal" -o md
cmp -s "$out" "$folder/whole" || fail "another report than that of one run"
head -n "$lines" "$journal" | cmp -s - "$folder/before" || fail "rows were written again"
lines=$(wc -l <"$journal")
expect 0 compat --op rope_append --device 0 --resume "$journal" -o md
cmp -s "$out" "$folder/whole" || fail "another report of the whole journal"
[ "$(wc -l <"$journal")" -eq "$lines" ] || fail "the journal grew"
expect 1 compat --op rope_append --device 0 --seed 2 --resume "$journal"
one_line "$journal: a journal whose seed is 1, not 2"
expect 1 compat --op rope_append --device 1 --resume "$journal"
one_line 'devices[0].index is 0, not 1'
expect 1 compat --op rope_append --device 0 --quick --resume "$journal"
one_line 'quick is false, not true'
sed 's/"quadriga":"[^"]*"/"quadriga":"9.9"/' "$journal" >"$folder/other"
expect 1 compat --op rope_append --device 0 --resume "$folder/other"
one_line 'quadriga is "9.9"'
sed 's/"driver_version":[0-9]*/"driver_version":77/' "$journal" >"$folder/other"
expect 1 compat --op rope_append --device 0 --resume "$folder/other"
one_line 'devices[0].driver_version is 77'
sed '5s/.*/{"device":0}/' "$journal" >"$folder/other"
expect 1 compat --op rope_append --device 0 --resume "$folder/other"
one_line 'line 5 is no row'
printf 'my precious text' >"$folder/text"
expect 1 compat --op rope --resume "$folder/text"
one_line 'line 1 is no header'
same "$folder/text" 'my precious text'

# An old report.
expect 0 compat --op rope --device 0 -o json
cp "$out" "$folder/old.json"
expect 0 compat --op rope --device 0 --baseline "$folder/old.json"
has "$out" 'changes since'
sed -n '/changes since/,$p' "$out" | grep -q '^  none$' || fail "changes where there are none"
expect 0 compat --op rope --quick --device 0 --baseline "$folder/all.json"
sed -n '/changes since/,$p' "$out" | grep -q '^  none$' || fail "changes in rows that were not run"
expect 0 compat --op rope --quick --device 0 --baseline "$folder/old.json"
sed -n '/changes since/,$p' "$out" | grep -q '^  none$' || fail "changes of a quick run"
awk '/"driver_info"/ { sub(/: ".*"/, ": \"Older 1.0\"") }
    /"status": "pass"/ && !done { sub(/pass/, "fail"); done = 1 }
    /"nmse": [0-9.]*e/ && ++n == 3 { sub(/: .*,/, ": 1e-300,") }
    /"far": 2/ && !gone { sub(/2/, "3"); gone = 1 }
    { print }' "$folder/old.json" >"$folder/doctored.json"
expect 0 compat --op rope --device 0 --baseline "$folder/doctored.json"
has "$out" 'driver_info Older 1.0 -> '
has "$out" ': fail -> pass'
has "$out" ': nmse 1e-300 -> '
has "$out" 'new rows: 1'
has "$out" 'rows that are gone: 1'
expect 0 compat --op rope --device 0 --baseline "$folder/doctored.json" -o json
parses .changes baseline:string versions:array drivers:array status:array grown:array \
    appeared:array vanished:array
has "$out" 'Older 1.0'
expect 0 compat --op rope --device 0 --baseline "$folder/doctored.json" -o md
has "$out" '## Changes since'
for text in '{' '[]' '{"rows": []}' '{"rows": [{"device": 0}], "devices": []}'; do
    printf '%s' "$text" >"$folder/bad.json"
    expect 1 compat --op rope --baseline "$folder/bad.json"
    one_line "$folder/bad.json: "
done
expect 1 compat --op rope --baseline "$folder/none.json"
one_line "$folder/none.json: cannot be read"
finish
