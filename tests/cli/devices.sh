#!/bin/sh
# devices and bench: what they print parses and has the fields it should.
# usage: devices.sh BINARY SOURCE JSON_CHECK
. "$(dirname "$0")/common.sh"
need_device
check=$3

expect 0 devices
has "$out" '[0] '
has "$out" 'opened by default'
expect 0 devices -o json
"$check" index:integer name:string type:string is_gpu:boolean usable:boolean \
    opened_by_default:boolean driver:string api_version:string uuid:string memory_bytes:integer \
    free_bytes:integer host_visible_device_bytes:integer max_binding_bytes:integer \
    subgroup_size:integer subgroup_min:integer subgroup_max:integer timestamp_ns:real \
    timestamp_bits:integer cores:integer int_dot_fast:boolean capabilities:object driver_uuid:string \
    <"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"

fields='n_prompt:integer n_gen:integer n_depth:integer avg_ns:integer stddev_ns:integer
    avg_ts:real stddev_ts:real samples_ns:array samples_ts:array model_filename:string
    model_type:string model_size:integer model_n_params:integer n_batch:integer type_k:string
    type_v:string act:string split_mode:string devices:string split:string exchanges:integer
    exchanged_bytes:integer ttft_ns:integer peak_device_bytes:array peak_host_bytes:integer
    dummy:boolean test_time:string device_info:array'
expect 0 bench -m "$q4" -p 8 -n 2 -r 2 -o json
# shellcheck disable=SC2086
"$check" $fields <"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"
has "$out" '"n_prompt": 8'
has "$out" '"n_gen": 2'
has "$out" '"timestamp_ns": '
grep -q DUMMY "$out" && fail "a real model marked DUMMY"
expect 0 bench -m "$q4" -p 8 -n 0 -r 2 -d 5 -o csv --device 0,0
[ "$(wc -l <"$out")" -eq 2 ] || fail "not a head and one row"
grep -q device_info "$out" && fail "device_info in CSV"
head -n 1 "$out" | grep -q ',n_prompt,n_gen,n_depth,.*,avg_ts,stddev_ts,ttft_ns,' ||
    fail "fields of the head"
expect 0 bench -m "$q4" -p 8 -n 2 -r 2 -d 5 --device 0,0 -ts 1,2
has "$out" '| model '
has "$out" 'pp8 @ d5'
has "$out" 'tg2 @ d5'
has "$out" '5/7' # as llama.cpp counts: the head is one more layer
for format in md csv json; do
    expect 0 bench --dummy classics-13m:f16 -p 4 -n 2 -r 1 -o $format
    has "$out" DUMMY
done
for batch in '-b 5' '-ub 5' '-b 9 -ub 5' '-ub 5 -b 9' '-b 5 -ub 9'; do
    # shellcheck disable=SC2086
    expect 0 bench -m "$q4" -p 8 -n 0 -r 1 -o json --device 0 $batch
    has "$out" '"n_batch": 5'
done
expect 1 bench --dummy nonsense:f16
grep -q '^quadriga: .*nonsense' "$err" || fail "the error does not name the shape"

# Too large for any machine: said before anything is allocated, behind a warning of the context.
for devices in 0 0,0,0,0; do
    expect 1 bench --dummy 65b:f32 -c 262144 --device $devices
    [ "$(wc -l <"$err")" -eq 2 ] || fail "not a warning and one line of error"
    has "$err" 'is longer than the 2048'
    has "$err" 'the model does not fit'
done

# A message of the validation layer is a failure. Its rules of best practice find some everywhere.
last='quadriga devices, validated'
code=0
QUADRIGA_VALIDATE=1 VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT \
    "$quadriga" devices >"$out" 2>"$err" || code=$?
if grep -q '^quadriga: validation:' "$err"; then
    [ $code -eq 1 ] || fail "exit code $code in spite of a message"
    has "$err" 'the validation layer had'
fi
finish
