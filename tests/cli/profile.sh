#!/bin/sh
# What is remembered of a device: kernels that are switched off by name or by its profile are not
# chosen, the text stays the same; damaged and foreign profiles are left out, with a line; the
# self-test writes one.
# usage: profile.sh BINARY SOURCE JSON_CHECK
. "$(dirname "$0")/common.sh"
QUADRIGA_CACHE=$folder/cache
export QUADRIGA_CACHE
need_device
check=$3
{
    IFS= read -r prompt
    IFS= read -r _
    IFS= read -r text
} <"$source/tests/cli/golden.txt"

# Kernels of a decode step, of the run before.
kernels() {
    sed -n 's/.*kernels of a step of 1 tokens: *//p' "$err" | head -n 1
}

generate() { # options
    expect 0 run -m "$f16" -p "$prompt" -n 16 --temp 0 --no-display-prompt --device 0 -v "$@"
    begins
}
begins() { # the text, of which 16 tokens are some 40 bytes or more
    got=$(sed 's/^ *//' "$out")
    case $text in
    "$got"*) [ ${#got} -gt 40 ] || fail "short: '$got'" ;;
    *) fail "'$got' does not begin '$text'" ;;
    esac
}

# ---- by name ----

generate
all=$(kernels)
[ -n "$all" ] || fail "no line names the kernels"
case $all in
*matmul/lanes*) list='subgroup texel cpu lanes shuffle matmul/lanes' ;;
*) list='subgroup fp16 shuffle' ;; # a GPU: what it has differs
esac
for name in $list; do
    generate --disable "$name"
    case $name in
    subgroup | lanes) has "$err" "kernel */$name" ;;
    */*) has "$err" "kernel $name" ;;
    *) has "$err" "capability $name" ;;
    esac
    case $(kernels) in
    *matmul/lanes*) [ "$name" = fp16 ] || fail "--disable $name left matmul/lanes" ;;
    esac
done
generate --disable plain_gemm,budget
generate --disable fuse
has "$err" 'without fusion fuse/residual, fusion fuse/rope_append'
generate --disable fuse/rope_append
has "$err" 'without fusion fuse/rope_append'
expect 2 run -m "$f16" -p a --disable subgruop
one_line "--disable 'subgruop': neither a capability nor a kernel nor a fusion: did you mean subgroup?"
expect 2 run -m "$f16" -p a --disable fuse/resid
one_line 'did you mean fuse/residual?'
for wrong in '' , 'lanes,' matmul matmul/nonsense fuse/ residual; do
    expect 2 run -m "$f16" -p a --disable "$wrong"
    one_line 'neither a capability nor a kernel nor a fusion'
done
expect 1 run -m "$f16" -p a --device 0 --disable plain
last_line 'every kernel that this device could run is switched off'
expect 0 bench -m "$q4" -p 4 -n 2 -r 1 --device 0 --disable matmul/plain_gemv,lanes
expect 0 compat --quick --op matmul --disable plain_gemm,matmul/subgroup --device 0 -o json
has "$out" '"disable": "plain_gemm,matmul/subgroup"'
[ "$(grep -cE '"variant": "(plain_gemm|subgroup)"' "$out")" -eq 2 ] || fail "not a row for each"
[ "$(grep -c '"why": "switched off"' "$out")" -eq 2 ] || fail "compat ran what is disabled"
has "$out" '"variant": "plain_gemv"'
expect 0 compat --quick --op matmul --variant plain_gemm --disable plain_gemm --device 0
has "$out" 'plain_gemm   switched off'
expect 0 compat --quick --op embed --disable texel --device 0
expect 2 devices --disable lanes
one_line '--disable is for --selftest'

# ---- the self-test ----

expect 0 devices -v
has "$out" 'self-test: none'
has "$out" "cache: $QUADRIGA_CACHE"
expect 0 devices --selftest --device 0
has "$out" ': passed, '
has "$out" "remembered in $QUADRIGA_CACHE/profile-"
profile=$(echo "$QUADRIGA_CACHE"/profile-*)
[ "$(ls -l "$profile" | cut -c 1-10)" = -rw------- ] || fail "mode of the profile"
expect 0 devices -v --device 0,0
[ "$(grep -c 'self-test of 20..-..-..T..:..:..Z (quick' "$out")" -eq 1 ] || fail "not listed once"
grep -q 'kernels that are not used' "$out" && fail "kernels are off without a reason"
expect 0 devices -v -o json
"$check" index:integer profile:object <"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"
expect 1 devices --selftest --device 99
one_line 'device 99: there are'

# ---- a profile that switches kernels off ----

victim=$(printf '%s\n' "$all" | sed 's/.*matmul\/\([a-z0-9_]*\),.*/\1/')
cp "$profile" "$folder/good"
add() { # lines before the end
    sed '$d' "$folder/good" >"$profile"
    printf '%s\nend\n' "$1" >>"$profile"
}
add "off matmul $victim  # y[3,5] is 1.25, not 1.5"
expect 0 run -m "$f16" -p "$prompt" -n 16 --temp 0 --no-display-prompt --device 0,0 -v
begins
why="kernel matmul/$victim is not used: it failed the self-test: y[3,5] is 1.25, not 1.5"
[ "$(grep -cF "$why" "$err")" -eq 1 ] || fail "not said once: $why"
has "$err" "without kernel matmul/$victim (failed the self-test)"
case $(kernels) in
*matmul/"$victim"*) fail "it was chosen all the same" ;;
esac
expect 0 run -m "$f16" -p "$prompt" -n 2 --temp 0 --device 0
has "$err" "$why"
expect 0 devices -v --device 0
has "$out" "matmul/$victim"
has "$out" 'y[3,5] is 1.25, not 1.5'
expect 0 devices -v -o json --device 0
has "$out" "\"variant\": \"$victim\""

# No kernel is left; without the folder nothing is remembered.
add 'off rope plain'
expect 0 run -m "$f16" -p a -n 1 --device 0 --no-cache
expect 1 run -m "$f16" -p a --device 0
grep -q 'rope: every kernel that this device could run is switched off' "$err" ||
    fail "no line says that no kernel is left"

# The next self-test replaces the verdict. The others need not be tried for that.
rest=plain,plain_gemv,plain_gemm,shared,matmul/subgroup,attention/subgroup,attention/team
rest=$rest,matmul_experts/subgroup,matmul_experts/lanes
[ "$victim" = lanes ] || rest=budget
add "off matmul $victim  # long ago"
expect 0 devices --selftest --device 0 --disable "$rest"
grep -q '^off' "$profile" && fail "it passed and is still off"
add "off matmul $victim  # long ago"
expect 0 devices --selftest --device 0 --disable "$rest,matmul/$victim"
grep -q "^off matmul $victim  # long ago" "$profile" || fail "forgotten, and was not tested"

# ---- damaged, foreign ----

add "off matmul nonsense"
expect 0 run -m "$f16" -p a -n 1 --device 0,0
[ "$(grep -c "$profile: line 6: there is no such kernel: the file is ignored" "$err")" -eq 1 ] ||
    fail "not one warning"
generate
[ "$(kernels)" = "$all" ] || fail "other kernels than without a profile"
add "off matmul $victim"
sed -i 's/^driver .*/driver 4294967295/' "$profile"
generate
has "$err" 'the driver changed since the self-test'
grep -q 'kernel .* is not used' "$err" && fail "used in spite of another driver"
[ "$(kernels)" = "$all" ] || fail "other kernels than without a profile"

# ---- tuned ----

case $all in
*matmul/lanes*)
    add "tuned matmul lanes F16 1 rows=4 group=1 tokens=1"
    generate
    has "$err" '1 sets of tile parameters as measured'
    expect 0 devices -v
    has "$out" 'rows=4 group=1 tokens=1'
    expect 0 devices -v -o json
    has "$out" '"tokens": "1"'
    expect 0 devices --selftest --device 0 --disable "$rest"
    grep -q '^tuned matmul lanes' "$profile" || fail "the self-test forgot what was tuned"
    ;;
esac

# ---- a folder that cannot be written ----

: >"$folder/file"
for dir in "$folder/file" "$folder/no/such/folder"; do
    code=0
    last="devices --selftest in $dir"
    QUADRIGA_CACHE=$dir "$quadriga" devices --selftest --device 0 --disable "$rest" >"$out" 2>"$err" ||
        code=$?
    [ $code -eq 1 ] || fail "exit code $code"
    [ "$(wc -l <"$err")" -eq 1 ] || fail "not one line of error"
    code=0
    last="run in $dir"
    QUADRIGA_CACHE=$dir "$quadriga" run -m "$f16" -p a -n 1 --device 0 >"$out" 2>"$err" || code=$?
    [ $code -eq 0 ] || fail "exit code $code"
done
finish
