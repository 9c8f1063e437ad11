#!/bin/bash
# Compares `quadriga tokenize` with llama-tokenize: the same ids, and the CPU seconds of both. Run by
# hand, not by ctest.
#
#     tests/tools/tokenize_peer.sh build/quadriga [FILE.gguf...]
#
# Without files: all of ../shared/vocab. Texts: the book, all HellaSwag tasks, and 10 MB each of one
# letter, of spaces, of digits, of emoji. One line for each: vocabulary, text, number of ids, same or
# not, seconds of ours and of the peer, and the ratio. A peer that crashes or takes more than two
# minutes is told so. Fails if any ids differ. One at a time: the peer's root has one /host.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
shared=$(dirname "$here")/shared
quadriga=$(realpath "$1")
shift
[ $# -ge 1 ] || set -- "$shared"/vocab/*.gguf
mapfile -t files < <(realpath "$@")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cp "$shared/data/war-of-the-worlds.txt" "$folder/book"
bzcat "$shared/data/hellaswag_val_full.txt.bz2" >"$folder/hellaswag"
long() { # NAME TEXT: 10 MB of it
    yes "$2" | tr -d '\n' | head -c 10000000 >"$folder/$1" || true
}
long letters a
long spaces ' '
long digits 7
long emoji '😀'

# seconds COMMAND...: runs it, prints its user and system time.
seconds() {
    local TIMEFORMAT='%U %S' taken
    taken=$({ time "$@" >"$folder/out" 2>/dev/null; } 2>&1) || { echo failed; return; }
    echo "$taken" | awk '{ printf "%.2f", $1 + $2 }'
}

cd "$folder"
failed=0
printf '%-16s %-10s %9s %-9s %7s %7s %6s\n' vocabulary text ids "" ours peer ratio
for file in "${files[@]}"; do
    name=$(basename "$file" .gguf)
    cp "$file" vocab.gguf
    for text in book hellaswag letters spaces digits emoji; do
        ours=$(seconds "$quadriga" tokenize -m vocab.gguf -f "$text")
        tr -d '\n' <out >ours
        peer=$(seconds timeout 120 "$shared/tools/peer" llama-tokenize -m /host/vocab.gguf -f "/host/$text" \
            --ids --no-escape --log-disable)
        tr -d '[],\n' <out >peer
        same=same
        ratio=
        if [ "$peer" = failed ]; then
            same=no-peer
        elif ! cmp -s ours peer; then
            same=DIFFERENT
            failed=1
        else
            ratio=$(awk -v a="$ours" -v b="$peer" 'BEGIN { printf "%.2f", a / (b + 0.001) }')
        fi
        printf '%-16s %-10s %9s %-9s %7s %7s %6s\n' "${name#ggml-vocab-}" "$text" \
            "$(wc -w <ours)" "$same" "$ours" "$peer" "$ratio"
    done
done
exit $failed
