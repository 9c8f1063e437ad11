#!/bin/sh
# The greedy text of the demo model is that of an independent implementation.
# usage: greedy.sh BINARY SOURCE (same N | copies N | devices LIST) [TOKENS]: N logical devices of the
# first device, N copies of lavapipe's driver file, or devices that the caller's drivers have. TOKENS
# below 96 are for slow drivers: then the text is the beginning of the stored one.
. "$(dirname "$0")/common.sh"
case $3 in
copies)
    . "$source/.ci/lavapipe"
    lavapipe_copies "$4" "$folder/icd" || exit 77
    devices=$(seq -s , 0 $(($4 - 1)))
    ;;
devices) devices=$4 ;;
*) devices=$(yes 0 | head -n "$4" | paste -sd , -) ;;
esac
need_device
n=$(echo "$devices" | tr , '\n' | grep -c .)
tokens=${5:-96}

golden() { # text before the stored one, the stored one
    [ "$tokens" -lt 96 ] || {
        same "$out" "$1$2"
        return 0
    }
    got=$(sed 's/^ *//' "$out")
    case $1$2 in
    "$got"*) ;;
    *) fail "got '$got', not the beginning of '$1$2'" ;;
    esac
    # the shortest token that counts is one letter
    [ "${#got}" -ge $((${#1} + tokens)) ] || fail "got ${#got} bytes of $tokens tokens"
}

first=1
while IFS= read -r prompt && read -r _ && IFS= read -r text; do
    expect 0 run -m "$f16" -p "$prompt" -n "$tokens" --temp 0 --no-display-prompt \
        --device "$devices"
    golden "" "$text"
    [ $first -eq 1 ] || continue
    first=0
    expect 0 run -m "$f16" -p "$prompt" -n "$tokens" --temp 0 --device="$devices"
    golden "$prompt " "$text"
    [ "$n" -eq 1 ] || has "$err" "border [$((n - 2))]->[$((n - 1))]"
    for word in devices: plan: load prefill decode 'first token' exchanges busy; do
        has "$err" "$word"
    done
done <"$source/tests/cli/golden.txt"
finish
