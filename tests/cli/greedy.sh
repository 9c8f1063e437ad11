#!/bin/sh
# The greedy text of the demo model is that of an independent implementation.
# usage: greedy.sh BINARY SOURCE (same N | copies N): N logical devices of the first device, or N
# copies of lavapipe's driver file
. "$(dirname "$0")/common.sh"
case $3 in
copies)
    . "$source/.ci/lavapipe"
    lavapipe_copies "$4" "$folder/icd" || exit 77
    devices=$(seq -s , 0 $(($4 - 1)))
    ;;
*) devices=$(yes 0 | head -n "$4" | paste -sd , -) ;;
esac
need_device

first=1
while IFS= read -r prompt && read -r _ && IFS= read -r text; do
    expect 0 run -m "$f16" -p "$prompt" -n 96 --temp 0 --no-display-prompt --device "$devices"
    same "$out" "$text"
    [ $first -eq 1 ] || continue
    first=0
    expect 0 run -m "$f16" -p "$prompt" -n 96 --temp 0 --device="$devices"
    same "$out" "$prompt $text"
    [ "$4" -eq 1 ] || has "$err" "border [$(($4 - 2))]->[$(($4 - 1))]"
    for word in devices: plan: load prefill decode 'first token' exchanges busy; do
        has "$err" "$word"
    done
done <"$source/tests/cli/golden.txt"
finish
