#!/bin/sh
# Help, versions, and every way to call the program wrongly: exit code 2 and one line.
. "$(dirname "$0")/common.sh"

expect 2
one_line 'no command'
expect 2 runn
one_line 'did you mean run?'
expect 2 xyzzy
one_line "unknown command 'xyzzy'"
expect 2 help xyzzy
one_line 'unknown command'
expect 2 help run extra
one_line "help: unexpected argument 'extra'"
expect 2 --version extra
one_line "--version: unexpected argument 'extra'"
expect 2 run extra
one_line "unexpected argument 'extra'"
expect 2 run -m
one_line '-m needs a value'
expect 2 run --temprature 1
one_line 'did you mean --temperature?'
expect 2 devices -m x
one_line 'unknown option -m'
expect 2 run --ignore-eos=1
one_line '--ignore-eos takes no value'
expect 2 run -n=3
one_line 'unknown option -n=3'

# option, value, and a piece of the text that says what would be right
while read -r option value text; do
    expect 2 run -m x -p x "$option" "$value"
    one_line "$option '$value': must be"
    has "$err" "$text"
done <<'TABLE'
-n abc -1 to 2147483647
-n 1x whole number
-n -2 -1 to
-n 99999999999999999999 whole number
-n 1.5 whole number
-c -1 whole number from 0
-b 5000 0 to 4096
-s -2 18446744073709551615
-s 18446744073709551616 18446744073709551615
--temp nan number from 0 to 1000
--temp -0.1 number from 0
--temp 0x1 number
--temp 1e999 number
--top-k -1 whole number
--top-p 1.1 0 to 1
--min-p inf 0 to 1
--repeat-penalty 0 from 0.01
--device 0,,1 device numbers
--device 0,1,2,3,4 one to 4
--device a device numbers
-ts 0,0 not all 0
-ts 1,-1 shares
-ts 1;1 shares
-sm row layer or none
-ctk q5_0 f32, f16, q8_0 or q4_0
-ctv bf16 f32, f16, q8_0 or q4_0
--act f32 auto, f16 or q8
TABLE
expect 2 run -m x -p x -r ''
one_line "must be not empty"

expect 2 run -p x
one_line 'give a model'
expect 2 run -m x
one_line 'give a prompt'
expect 2 run -m x -p x -f x
one_line 'not both'
expect 2 info
one_line 'give a model'
expect 2 tokenize -p x
one_line 'give a model'
expect 2 tokenize -m x -p x --lines
one_line 'does not go with'
expect 2 bench
one_line 'either -m FILE or --dummy'
expect 2 bench -m x --dummy y
one_line 'either -m FILE or --dummy'
expect 2 bench -m x -p 0 -n 0
one_line 'nothing to measure'
expect 2 bench -m x -r 0
one_line '1 to 10000'
expect 2 bench -m x -p 100 -d 50 -c 120
one_line 'the tests need 150'
expect 2 devices -o csv
one_line 'text or json'

expect 0 --version
same "$out" "quadriga $(sed -n 's/^project(quadriga VERSION \([0-9.]*\).*/\1/p' \
    "$source/CMakeLists.txt")"
for word in help --help -h; do
    expect 0 $word
    for command in run devices info tokenize bench help --version; do
        has "$out" "  $command "
    done
    [ ! -s "$err" ] || fail "help on standard error"
done
for command in run devices info tokenize bench; do
    expect 0 help $command
    cp "$out" "$folder/help"
    has "$out" "usage: quadriga $command"
    for word in --help -h; do
        expect 0 $command $word
        cmp -s "$out" "$folder/help" || fail "$word is not help $command"
    done
done
expect 0 run --help
for option in -m -p -f -n -c -b -s --temp --top-k --top-p --min-p --repeat-penalty -r -ctk -ctv --act \
    --device -sm -ts --no-display-prompt --ignore-eos --logits --dry-run -v; do
    grep -qE -- "^  (.*, )?${option}[, ]" "$out" || fail "help without $option"
done
awk 'length > 95' "$out" | grep -q . && fail "help with long lines"
finish
