#!/bin/sh
# info: what it prints of a model that runs here, of one that is split over files, and of one that it
# does not know; the same as JSON. usage: info.sh BINARY SOURCE JSON_CHECK GGUF_SPLIT
. "$(dirname "$0")/common.sh"
json_check=$3
gguf_split=$4
need_device

fields() { # model, field:type ...: of the object as a whole
    file=$1
    shift
    printf '[%s]' "$(cat "$file")" | "$json_check" "$@" 2>"$err" || fail "JSON: $(cat "$err")"
}

whole="name:string architecture:string gguf_version:integer files:integer file_bytes:integer
    parameters:integer formats:array supported:boolean runs_here:boolean metadata:array
    tensors:array"

expect 0 info -m "$q4"
for text in 'architecture  llama (llama 13M)' 'layers        12' 'heads         8, KV heads 4' \
    'formats       Q4_K ' 'context       1024 tokens' 'tokenizer     llama' 'chat          no template' \
    'KV cache 6.00 MiB at -c 1024 (K f16, V f16)' 'runs here     yes' '[0] device 0'; do
    has "$out" "$text"
done
expect 0 info -m "$q4" -c 512 -ctk f32 --device 0,0
has "$out" 'KV cache 4.50 MiB at -c 512 (K f32, V f16)'
[ "$(grep -c ': 6 layers, weights' "$out")" -eq 2 ] || fail "not two devices of 6 layers"
expect 0 info -m "$q4" -o json
# shellcheck disable=SC2086
fields "$out" $whole hyper_parameters:object tokenizer:object memory:object why_not:null
"$json_check" .tensors name:string type:string dims:array bytes:integer file:integer <"$out" \
    2>"$err" || fail "tensors: $(cat "$err")"
"$json_check" .formats name:string tensors:integer elements:integer bytes:integer share:real \
    <"$out" 2>"$err" || fail "formats: $(cat "$err")"

# A context that no memory holds: the file is described, the reason given, and what would fit.
expect 0 info -m "$q4" -c 16777216
has "$out" 'runs here     no: device [0]: the model does not fit'
has "$out" 'would fit: a context of '
has "$out" 'heads         8'

# An architecture and a tokenizer that nobody knows.
sed 's/llama/lemma/g' "$q4" >"$folder/lemma.gguf"
expect 0 info -m "$folder/lemma.gguf"
has "$out" 'architecture  lemma'
has "$out" 'runs here     no: '
has "$out" 'lemma is not supported'
has "$out" 'blk.11.ffn_down.weight'
[ ! -s "$err" ] || fail "something on standard error"
expect 0 info -m "$folder/lemma.gguf" -o json
# shellcheck disable=SC2086
fields "$out" $whole hyper_parameters:null memory:null why_not:string
expect 1 run -m "$folder/lemma.gguf" -p x
last_line 'lemma is not supported'

# A model in three files, by any of them.
"$gguf_split" "$q4" "$folder/part" 3 || fail "cannot be split"
read -r prompt <"$source/tests/cli/golden.txt"
expect 0 run -m "$q4" -p "$prompt" -n 16 --temp 0
cp "$out" "$folder/whole"
for i in 1 3; do
    expect 0 run -m "$folder/part-0000$i-of-00003.gguf" -p "$prompt" -n 16 --temp 0
    cmp -s "$out" "$folder/whole" || fail "another text than from one file"
done
expect 0 info -m "$folder/part-00002-of-00003.gguf"
has "$out" 'in 3 files'
has "$out" 'in 110 tensors'
rm "$folder/part-00002-of-00003.gguf"
expect 1 run -m "$folder/part-00001-of-00003.gguf" -p x
last_line 'part-00002-of-00003.gguf: cannot open'
finish
