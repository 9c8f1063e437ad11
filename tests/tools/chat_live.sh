#!/bin/sh
# The chat renderer against python3-jinja2 as it is installed here: the committed vectors are what it
# gives, and random conversations too.  usage: chat_live.sh TEST_BINARY SOURCE
set -eu
program=$1
source=$2
python3 -c 'import jinja2' 2>/dev/null || {
    echo "skipped: no python3-jinja2"
    exit 77
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tool=$source/tests/tools/chat_vectors.py
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
python3 "$tool" >"$folder/vectors"
cmp "$folder/vectors" "$source/tests/data/chat/vectors.txt"
for seed in 1 2; do
    python3 "$tool" --random 60 $seed >"$folder/vectors"
    "$program" "$folder/vectors"
done
