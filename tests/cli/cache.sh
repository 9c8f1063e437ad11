#!/bin/sh
# The pipeline cache on disk: where it is, what is said of it, --no-cache, folders that are of no use.
. "$(dirname "$0")/common.sh"
need_device
cache=$folder/cache
QUADRIGA_CACHE=$cache
export QUADRIGA_CACHE

# Runs and keeps the text to compare with: the cache never changes it.
generate() {
    expect 0 run -m "$f16" -p 'It was' -n 4 --temp 0 --device 0 "$@"
    [ -s "$folder/text" ] || cp "$out" "$folder/text"
    cmp -s "$out" "$folder/text" || fail "another text"
}

generate --no-cache
[ ! -e "$cache" ] || fail "--no-cache made the folder"
generate --no-cache -v
grep -q 'pipeline cache' "$err" && fail "--no-cache looked for a cache"
grep -Eq '[0-9]+ pipelines on [0-9]+ threads in [0-9.]+ ms' "$err" || fail "no time of compilation"
expect 0 bench -m "$f16" -p 1 -n 1 -r 1 --no-cache --device 0
[ ! -e "$cache" ] || fail "bench --no-cache made the folder"

generate -v
has "$err" 'pipeline cache: miss, there is none'
last='the folder of the cache'
[ "$(stat -c %a "$cache")" = 700 ] || fail "mode $(stat -c %a "$cache"), not 700"
file=$(echo "$cache"/pipelines-*.bin)
if [ -f "$file" ]; then # a driver without a pipeline cache has no file
    [ "$(stat -c %a "$file")" = 600 ] || fail "mode $(stat -c %a "$file"), not 600"
    generate -v
    # the header is 96 bytes
    has "$err" "pipeline cache: hit, $(($(stat -c %s "$file") - 96)) bytes"
    expect 0 bench -m "$f16" -p 1 -n 1 -r 1 --device 0 -v
    has "$err" 'pipeline cache: hit'
    touch -d '2001-01-01' "$file"
    echo >>"$file"
    before=$(stat -c '%i %Y %s' "$file")
    generate --no-cache
    last='--no-cache'
    [ "$(stat -c '%i %Y %s' "$file")" = "$before" ] || fail "the file was touched"
    generate -v # damaged now; said, and written anew
    has "$err" 'pipeline cache: miss, damaged'
    generate -v
    has "$err" 'pipeline cache: hit'
fi

# A cache that cannot be had is not an error, and says nothing without -v.
for useless in /dev/null "$folder/no/such/folder" "$f16"; do
    QUADRIGA_CACHE=$useless
    generate
    grep -q 'pipeline cache' "$err" && fail "a word about the cache"
done
unset QUADRIGA_CACHE
XDG_CACHE_HOME=$folder/xdg
export XDG_CACHE_HOME
generate
last='XDG_CACHE_HOME'
[ -d "$folder/xdg/quadriga" ] || fail "no folder quadriga"
XDG_CACHE_HOME=relative HOME=$folder/home
export HOME
mkdir "$folder/home"
cd "$folder" || exit 1 # drivers may take the relative name
generate
last='HOME'
[ -d "$folder/home/.cache/quadriga" ] || fail "no folder .cache/quadriga"
[ ! -e relative/quadriga ] || fail "a relative XDG_CACHE_HOME was used"
expect 2 devices --no-cache
one_line 'unknown option --no-cache'
finish
