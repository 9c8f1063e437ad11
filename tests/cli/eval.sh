#!/bin/sh
# Evaluations from outside: usage, files that are wrong, both styles and formats, rows of tasks and
# going on with them, Ctrl-C, dummy weights, perplexity and divergence.
# usage: eval.sh BINARY SOURCE JSON_CHECK
. "$(dirname "$0")/common.sh"
json_check=$3
tasks=$source/tests/data/eval/tasks.txt

# ---- usage ----
expect 2 eval
one_line 'eval: hellaswag or perplexity is wanted'
expect 2 eval helaswag
one_line 'did you mean hellaswag?'
expect 2 eval xyzzyx
one_line 'must be hellaswag or perplexity'
expect 2 evall
one_line 'did you mean eval?'
expect 0 eval --help
has "$out" 'usage: quadriga eval hellaswag'
has "$out" 'usage: quadriga eval perplexity'
expect 0 help eval perplexity
has "$out" 'usage: quadriga eval perplexity'
expect 2 eval hellaswag -f "$tasks"
one_line 'either -m FILE or --dummy SHAPE'
expect 2 eval hellaswag -m "$f16"
one_line 'give the tasks with -f FILE'
expect 2 eval hellaswag -m "$f16" -f "$tasks" --resume
one_line '--per-task'
expect 2 eval hellaswag --dummy classics-13m:f16 -f "$tasks"
one_line 'go together'
expect 2 eval hellaswag -m "$f16" --tokenizer "$f16" -f "$tasks"
one_line 'go together'
expect 2 eval hellaswag -m "$f16" -f "$tasks" --tasks some
one_line "--tasks 'some': must be all or a whole number"
expect 2 eval hellaswag -m "$f16" -f "$tasks" --style x
one_line 'lm-eval or llama.cpp'
expect 2 eval hellaswag -m "$f16" -f "$tasks" --chunks 1
one_line 'unknown option --chunks'
expect 2 eval perplexity -f "$tasks"
one_line 'give a model'
expect 2 eval perplexity -m "$f16"
one_line 'give a text'
expect 2 eval perplexity -m "$f16" -f "$tasks" --kl x
one_line 'give a text'
expect 2 eval perplexity -m "$f16" --kl x --stride 4
one_line 'does not go with'
expect 2 eval perplexity -m "$f16" -f "$tasks" -c 3
one_line 'at least 4 tokens'

# ---- files ----
expect 1 eval hellaswag -m "$f16" -f "$folder/none"
one_line "$folder/none"
head -n 7 "$tasks" >"$folder/cut"
expect 1 eval hellaswag -m "$f16" -f "$folder/cut"
one_line "$folder/cut: line 7: the file ends"
sed '2s/.*/5/' "$tasks" >"$folder/label"
expect 1 eval hellaswag -m "$f16" -f "$folder/label"
one_line "line 2: label '5'"
expect 1 eval hellaswag -m "$tasks" -f "$tasks"
one_line "$tasks"
expect 1 eval hellaswag --dummy layers=2,dim=64,heads=2,kv_heads=2,ffn=64,vocab=99,type=f16 \
    --tokenizer "$f16" -f "$tasks"
one_line 'tokenizer.ggml.tokens has 4096 entries'
echo short >"$folder/short"
expect 1 eval perplexity -m "$f16" -f "$folder/short"
one_line 'chunks of 512 need at least 1024'
expect 1 eval perplexity -m "$f16" -f "$tasks" -c 64 --stride 200
one_line '--stride 200: must be below'
expect 1 eval perplexity -m "$f16" --kl "$tasks"
one_line 'no file of log-probabilities'
need_device

# ---- hellaswag ----
number() { # file, key: of the first line with it
    sed -n "s/^ *\"$2\": \([-0-9.e]*\),*$/\1/p" "$1" | head -n 1
}
value() { # file, metric
    sed -n "/\"$2\": {/,/}/s/^ *\"value\": \([0-9.]*\),*$/\1/p" "$1"
}

expect 0 eval hellaswag -m "$f16" -f "$tasks" -o json --per-task "$folder/all.csv"
"$json_check" .acc value:real,integer low:real,integer high:real,integer right:integer <"$out" ||
    fail "acc is not whole"
cp "$out" "$folder/all.json"
for metric in acc acc_norm acc_bytes acc_tok; do
    [ -n "$(value "$out" $metric)" ] || fail "no $metric"
done
[ "$(number "$out" tasks)" = 16 ] || fail "not 16 tasks"
[ "$(number "$out" tokens)" -lt "$(number "$out" pair_tokens)" ] || fail "nothing is shared"
"$json_check" .devices device:integer name:string busy:real <"$out" || fail "devices"
[ "$(wc -l <"$folder/all.csv")" -eq 18 ] || fail "not 16 rows"
# what the rows chose is what is counted
right=$(awk -F, 'NR > 2 && $2 == $19 { n++ } END { print n + 0 }' "$folder/all.csv")
awk -v v="$(value "$out" acc)" -v r="$right" 'BEGIN { exit !(v * 16 == r) }' ||
    fail "acc is not that of the rows"

# Steps of another size, several devices, JSON in place of six lines: the same choices.
awk -F: 'NR % 6 == 1 { split($0, c, ": "); a = substr($0, length(c[1]) + 3); act = c[1] }
    NR % 6 == 2 { label = $0 }
    NR % 6 == 3 { e = "\"" $0 "\"" } NR % 6 > 3 || NR % 6 == 0 { e = e ", \"" $0 "\"" }
    NR % 6 == 0 { printf "{\"activity_label\": \"%s\", \"ctx_a\": \"%s\", \"ctx_b\": \"\", \"ctx\":" \
        " \"%s\", \"label\": %s, \"endings\": [%s]}\n", act, a, a, label, e }' \
    "$tasks" >"$folder/tasks.jsonl"
expect 0 eval hellaswag -m "$f16" -f "$tasks" --style llama.cpp --per-task "$folder/lines.csv"
has "$out" '16 of 16'
has "$out" "acc_tok"
expect 0 eval hellaswag -m "$f16" -f "$folder/tasks.jsonl" --style llama.cpp -ub 33 -dev 0,0 \
    --tasks all --per-task "$folder/json.csv" -o json
has "$out" '"style": "llama.cpp"'
for file in lines json; do
    sed 1,2d "$folder/$file.csv" | sort -t, -n | cut -d, -f 1,2,7- >"$folder/$file.rows"
done
cmp -s "$folder/lines.rows" "$folder/json.rows" || fail "JSON gives other choices than six lines"

# Going on: five tasks, then all, with a torn last line between.
expect 0 eval hellaswag -m "$f16" -f "$tasks" --tasks 5 --per-task "$folder/some.csv"
[ "$(wc -l <"$folder/some.csv")" -eq 7 ] || fail "not 5 rows"
printf '5,0,-12.5,-1' >>"$folder/some.csv"
expect 0 eval hellaswag -m "$f16" -f "$tasks" --per-task "$folder/some.csv" --resume -o json
[ "$(number "$out" tasks)" = 16 ] || fail "not 16 tasks"
[ "$(number "$out" tasks_before)" = 5 ] || fail "not 5 tasks before"
for metric in acc acc_norm acc_bytes acc_tok; do
    [ "$(value "$out" $metric)" = "$(value "$folder/all.json" $metric)" ] ||
        fail "another $metric after going on"
done
[ "$(wc -l <"$folder/some.csv")" -eq 18 ] || fail "not 16 rows"
expect 0 eval hellaswag -m "$f16" -f "$tasks" --per-task "$folder/some.csv" --resume
has "$out" '16 of them computed before'
expect 1 eval hellaswag -m "$f16" -f "$tasks" --per-task "$folder/some.csv" --resume \
    --style llama.cpp
one_line 'belongs to another evaluation'
expect 1 eval hellaswag -m "$q4" -f "$tasks" --per-task "$folder/some.csv" --resume
one_line 'belongs to another evaluation'
sed '5s/,.*,/,9,/' "$folder/some.csv" >"$folder/bad.csv"
expect 1 eval hellaswag -m "$f16" -f "$tasks" --per-task "$folder/bad.csv" --resume
one_line 'bad.csv: line 5 is no row of this evaluation'
expect 1 eval hellaswag -m "$f16" -f "$tasks" --per-task "$folder/none/x.csv"
one_line "$folder/none/x.csv"

# One pair at a time, in steps that take a pair whole and in ones that do not: the same choices, and
# sums within 1e-2 (columns 3 to 6).
for style in lm-eval llama.cpp; do
    expect 0 eval hellaswag -m "$f16" -f "$tasks" --tasks 6 --style $style \
        --per-task "$folder/packed.csv"
    for more in '' '-ub 20'; do
        expect 0 eval hellaswag -m "$f16" -f "$tasks" --tasks 6 --style $style --no-share $more \
            -o json --per-task "$folder/pairs.csv"
        has "$out" '"shared": false'
        [ "$(number "$out" tokens)" = "$(number "$out" pair_tokens)" ] || fail "something is shared"
        sed 1,2d "$folder/packed.csv" | sort -t, -n >"$folder/packed.rows"
        sed 1,2d "$folder/pairs.csv" | sort -t, -n >"$folder/pairs.rows"
        paste -d, "$folder/packed.rows" "$folder/pairs.rows" | awk -F, '
            { for (i = 1; i <= 22; i++) { d = $i - $(i + 22)
                if (i >= 3 && i <= 6 ? d * d > 1e-4 || $i == "" : d != 0) exit 1 } }
            NF != 44 { exit 1 } END { if (NR != 6) exit 1 }' ||
            fail "one pair at a time ($style $more) gives something else"
    done
done
expect 1 eval hellaswag -m "$f16" -f "$tasks" --style llama.cpp --per-task "$folder/pairs.csv" \
    --resume
one_line 'belongs to another evaluation'

# Ctrl-C: what there is is printed.
last='eval hellaswag and Ctrl-C'
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat "$tasks"; done >"$folder/many"
env --default-signal=INT "$quadriga" eval hellaswag -m "$f16" -f "$folder/many" \
    --per-task "$folder/int.csv" >"$out" 2>"$err" &
pid=$!
tries=0
while [ "$(cat "$folder/int.csv" 2>/dev/null | wc -l)" -lt 6 ] && [ $tries -lt 600 ] &&
    kill -0 $pid 2>/dev/null; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -INT $pid
code=0
wait $pid || code=$?
[ "$code" -eq 130 ] || fail "exit code $code, not 130"
has "$out" ' of 192'
has "$out" 'acc_norm'

# Dummy weights: times, no accuracy.
expect 0 eval hellaswag --dummy classics-13m:f16 --tokenizer "$f16" -f "$tasks" --tasks 3 -o json
has "$out" '"weights": "dummy"'
grep -q '"acc' "$out" && fail "accuracy of dummy weights"
[ "$(number "$out" tokens)" -gt 0 ] || fail "no tokens"

# ---- perplexity ----
text=$tasks # prose, whatever it is meant for
near() { # two numbers, bound
    awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d < c * c) }' ||
        fail "$1 is not $2"
}
expect 0 eval perplexity -m "$f16" -f "$text" -c 64 --chunks 6 -o json
cp "$out" "$folder/ppl.json"
[ "$(number "$out" tokens)" = 186 ] || fail "not 6 x 31 tokens" # 64 - 1 - 32 each
[ "$(number "$out" chunks)" = 6 ] || fail "not 6 chunks"
ppl=$(number "$out" ppl)
expect 0 eval perplexity -m "$f16" -f "$text" -c 64 --chunks 6 -o json -ub 20 -dev 0,0 \
    --logits-base "$folder/base"
near "$(number "$out" ppl)" "$ppl" 0.01 # these scores were made on the host
[ "$(wc -c <"$folder/base")" -eq $((8 + 12 + 4 * 6 * 64 + 6 * 31 * 2 * 4100)) ] || fail "another size"
expect 0 eval perplexity -m "$f16" --kl "$folder/base" -o json
near "$(number "$out" ppl)" "$ppl" 0.01
# the format cuts what is 16 below the largest: a base is never further off than its model
awk -v b="$(number "$out" base_ppl)" -v p="$ppl" 'BEGIN { exit !(b > 0.8 * p && b < p + 0.01) }' ||
    fail "another perplexity of the base"
near "$(number "$out" mean)" 0 0.0001
near "$(number "$out" same_top)" 1 0.0001
expect 0 eval perplexity -m "$q4" --kl "$folder/base" --chunks 3
has "$out" 'mean KL'
has "$out" '99.9 %'
has "$out" '3 of 3'
expect 0 eval perplexity -m "$f16" -f "$text" -c 64 --chunks 3 --stride 16 -o json
[ "$(number "$out" tokens)" = 48 ] || fail "not 3 x 16 tokens"
[ "$(number "$out" n_ctx)" = 72 ] || fail "chunks of another length"
expect 1 eval perplexity -m "$f16" --kl "$folder/base" -c 32
one_line 'has chunks of 64 tokens, -c asks for 32'
head -c 5000 "$folder/base" >"$folder/half"
expect 1 eval perplexity -m "$f16" --kl "$folder/half"
one_line 'half: is 5000 bytes long'
finish
