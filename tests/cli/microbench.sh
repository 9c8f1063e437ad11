#!/bin/sh
# microbench: every group with a small shape, what it prints, and what it refuses. No time is asked
# for. usage: microbench.sh BINARY SOURCE JSON_CHECK
. "$(dirname "$0")/common.sh"
QUADRIGA_CACHE=$folder/cache
export QUADRIGA_CACHE
mkdir "$QUADRIGA_CACHE"

# What is refused before a device is opened.
refused() { # text, arguments...
    wanted_text=$1
    shift
    expect 2 microbench "$@"
    one_line "$wanted_text"
}
refused "unknown group 'gem': did you mean gem" gem
refused "unknown group 'nonsense'" nonsense
refused "unexpected argument 'gemv'" gemm gemv
refused "unknown option --shap: did you mean --shape?" gemm --shap 1x1x1
refused "unknown type 'q6_m': did you mean q6_k?" gemv --type q6_m
refused "unknown type 'float'" gemv --type float
refused "--variant 'lane': no kernel of gemv" gemv --variant lane
refused "--variant 'plain_gemm': no kernel of norm" norm --variant plain_gemm
refused "must be MxNxK" gemv --shape 4096x1
refused "must be MxNxK" gemv --shape 4096x1x4096x1
refused "must be MxNxK" gemv --shape 0x1x1
refused "must be MxNxK" gemv --shape 99999999999999999999x1x1
refused "must be MxNxK" gemv --shape ''
refused "name one group" --shape 64x1x256
refused "name one group" all --shape 64x1x256
refused "name one group" ceiling --shape 64x1x256
refused "must be a whole number from 1 to 10000" gemv -r 0
refused "must be one to 4 device numbers" gemv --device x
refused "0 is named twice" gemv --device 0,0
refused "--tune goes with neither" --tune --no-cache
refused "--tune goes with neither" gemv --tune --shape 64x1x256
refused "--tune is for" rope --tune
refused "must be a number from 0" gemv --time-limit -1
expect 0 microbench --help
has "$out" 'usage: quadriga microbench [gemm|gemv|'

need_device
check=$3
expect 1 microbench gemv --device 999
last_line '--device 999'

# rows JSON-FILE: the rows as lines of their own, one object each
rows() {
    sed -n '/"rows": \[/,$p' "$1" | tr -d '\n' | sed 's/} *, *{/},\n{/g'
}

# good GROUP TEXT ARGUMENTS...: JSON with at least one row of that group; TEXT is in one of them; all
# passed and have times, shares are above 0 (how far depends on what else the machine does).
good() {
    group=$1
    text=$2
    shift 2
    expect 0 microbench "$group" "$@" --quick -r 2 -o json
    "$check" .rows group:string name:string variant:string type:string shape:string \
        device:integer peer:integer,null samples:integer us:real,null us_min:real,null \
        gflops:real,null gbs:real,null share:real,null limit:string passed:boolean \
        skipped:boolean why:string <"$out" 2>>"$err" || fail "$(tail -n 1 "$err")"
    "$check" .devices index:integer name:string uuid:string capabilities:object <"$out" \
        2>>"$err" || fail "$(tail -n 1 "$err")"
    rows "$out" >"$folder/rows"
    grep -q "\"group\": \"$group\"" "$folder/rows" || fail "no row of $group"
    grep -qF -- "$text" "$folder/rows" || fail "no row with $text"
    grep -q '"passed": false.*"skipped": false' "$folder/rows" && fail "a row did not pass"
    grep '"passed": true' "$folder/rows" | grep -qE '"us": null|"samples": 0' &&
        fail "a row without a time"
    sed -n 's/.*"share": \([0-9][0-9.e+-]*\).*/\1/p' "$folder/rows" |
        awk '!($1 > 0) { bad = 1 } END { exit bad }' || fail "a share that is not above 0"
}
good ceiling '"name": "fma_f32"'
good gemv '"shape": "96x1x512"' --shape 96x1x512
formats=$(grep -c '^QUANT(' "$source/src/quant/quants.def")
[ "$(grep -c '"group": "gemv"' "$folder/rows")" -eq "$formats" ] || fail "not all formats"
good gemm '"shape": "96x20x512"' --shape 96x20x512 --type Q4_K --variant all
grep -q '"variant": "plain_gemm"' "$folder/rows" || fail "not all variants"
good experts '"shape": "96x40x512"' --shape 96x40x512 --type q4_k --variant all
good experts '"shape": "40/3x1x256"' --shape 40/3x1x256 --type f16
good attention '"shape": "8/4x3x100"' --shape 8/4x3x100
good attention '"type": "f32"' --shape 8x1x64 --type f32 --variant plain
good norm '"name": "rmsnorm"' --shape 1x7x512
good rope '"shape": "6x9x64"' --shape 6x9x64
good copy '"name": "upload"' --shape 1x1x1048576
good dispatch '"group": "dispatch"'
good submit '"group": "submit"'
good gemv '"shape": "96x1x512"' --shape 96x1x512 --type f16 --warm

# Shapes that cannot be are rows with a reason.
expect 0 microbench gemv --shape 64x1x100 --quick -r 1 --type q4_k
has "$out" "skipped: K is no multiple"
expect 0 microbench gemv --shape 16777216x1x65536 --quick -r 1 --type f32
has "$out" "skipped: does not fit the device's memory"
expect 0 microbench experts --shape 8/1x9x256 --quick -r 1 --type f16
has "$out" "skipped: experts: 2 to 512"
expect 0 microbench attention --shape 8x9x8 --quick -r 1
has "$out" "skipped: more tokens than KV entries"

# The table and CSV; limits that leave shapes out say so.
expect 0 microbench norm --quick -r 1 --time-limit 0.001
has "$out" 'default shapes were left out: no time left'
expect 0 microbench norm --shape 1x4x512 --quick -r 1 --seed 9
has "$out" 'seed 9'
has "$out" '| device | norm '
expect 0 microbench norm --shape 1x4x512 --quick -r 1 -o csv
head -n 1 "$out" | grep -q '^group,name,variant,type,shape,device,' || fail "fields of the head"
[ "$(grep -c '^"norm"' "$out")" -eq 1 ] || fail "not one row of norm"

# Tuning saves a profile, which is the engine's.
expect 0 microbench norm --tune -o json
has "$out" '"tuned": ['
expect 0 microbench experts --tune --type q4_k --time-limit 0.5 -o json
has "$out" '"matmul_experts"'
ls "$QUADRIGA_CACHE" | grep -q profile || fail "no profile in the folder of the caches"
finish
