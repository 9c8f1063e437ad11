#!/bin/sh
# chat in scripts: a message a line, commands, the cache of earlier turns, templates of files, saved
# conversations, a full context.  usage: chat.sh BINARY SOURCE CHAT_MODEL
. "$(dirname "$0")/common.sh"
need_device
make=$3

# say CODE LINES ARGUMENTS...: the lines are the standard input.
say() {
    wanted=$1
    lines=$2
    shift 2
    last="quadriga chat $*"
    code=0
    printf '%b' "$lines" | "$quadriga" chat "$@" >"$out" 2>"$err" || code=$?
    [ "$code" -eq "$wanted" ] || fail "exit code $code, not $wanted"
}

# Usage, and where the template comes from.
expect 2 chat
one_line 'give a model with -m'
expect 1 chat -m "$f16"
one_line 'there is no chat template in the file'
has "$err" 'chatml, qwen3'
has "$err" '--template'
expect 2 chat -m "$f16" --template nonsense
one_line "--template 'nonsense': must be a file, or one of chatml"
expect 1 chat -m "$f16" --template "$source/README.md"
one_line "$source/README.md: the chat template"
expect 1 chat -m "$f16" --template gemma --system x
one_line 'the chat template gemma takes no system text'
expect 0 chat --help
has "$out" '--template, --chat-template NAME|FILE'
data=$source/tests/data/chat
for name in llama2 zephyr mistral-v0.3; do
    "$make" "$folder/$name.gguf" "$data/$name.jinja"
    say 0 'hello\n' -m "$folder/$name.gguf" -n 2
    has "$err" "template $(echo $name | sed 's/v0.3/v3/'), context 256 tokens"
    expect 0 info -m "$folder/$name.gguf"
    has "$out" "chat          $(echo $name | sed 's/v0.3/v3/')"
done
say 0 'hello\n' -m "$folder/llama2.gguf" -n 2 --template "$data/qwen2.5.jinja"
has "$err" 'template chatml,'
printf '{%% for m in messages %%}USER: {{ m.content }}{%% endfor %%}' >"$folder/vicuna"
"$make" "$folder/vicuna.gguf" "$folder/vicuna"
expect 1 chat -m "$folder/vicuna.gguf"
one_line "$folder/vicuna.gguf: the chat template (vicuna) is none of the known ones: chatml"
expect 0 info -m "$folder/vicuna.gguf"
has "$out" 'chat          not known: '
expect 1 chat -m "$folder/vicuna.gguf"
has "$err" '--template'

# Turns: what standard output has, how much of a turn runs through the model, and that the cache of
# the turns before gives what the whole conversation gives.
mistral="--template mistral-v0.2 --temp 0"
# shellcheck disable=SC2086
say 0 'Once upon a time\n/stats\n\n/save '"$folder/one.json"'\nAnd then there was a great storm\n/stats\n' \
    -m "$f16" $mistral -n 20
cp "$out" "$folder/two"
second=$(tail -n +2 "$folder/two")
prefill=$(sed -n 's/^ *prefill  *\([0-9]*\) tokens.*/\1/p' "$err" | tr '\n' ' ')
set -- $prefill
turn=$("$quadriga" tokenize -m "$f16" -p '</s>[INST] And then there was a great storm [/INST]' --no-bos |
    wc -w)
# the token that was generated last has not run yet
[ "$2" -eq $((turn + 1)) ] || fail "$2 tokens of turn 2 were run, not $((turn + 1))"
first=$(sed -n 1p "$folder/two")
prompt="[INST] Once upon a time [/INST] $first</s>[INST] And then there was a great storm [/INST]"
# shellcheck disable=SC2086
expect 0 run -m "$f16" -p "$prompt" -n 20 --temp 0 --no-display-prompt
same "$out" "$second"
# shellcheck disable=SC2086
say 0 "/load $folder/one.json"'\nAnd then there was a great storm\n' -m "$f16" $mistral -n 20
same "$out" "$second"
# shellcheck disable=SC2086
say 0 'Once upon a time\n/reset\nOnce upon a time\n' -m "$f16" $mistral -n 20
[ "$(sed -n 1p "$out")" = "$(sed -n 2p "$out")" ] || fail "another answer after /reset"
# shellcheck disable=SC2086
say 0 'Once upon a time' -m "$f16" $mistral -n 20 --device 0,0
same "$out" "$first"

# A system text, and text that reads like a special token.
say 0 '/system\n/system Be brief.\n/system\nhello\n' -m "$folder/llama2.gguf" -n 2
has "$err" '(no system text)'
has "$err" 'Be brief.'
say 0 '<s></s>\n//no command\n' -m "$f16" --template mistral-v0.2 -n 2
[ "$(wc -l <"$out")" -ge 2 ] || fail "no two answers"

# Commands that are wrong: a line each, and the exit code.
tiny=$folder/llama2.gguf
say 1 '/nothing\n/save\n/help x\n/load '"$folder"'/none\n/load '"$f16"'\n' -m "$tiny"
has "$err" 'unknown command /nothing'
has "$err" '/save needs a FILE'
has "$err" '/help takes nothing behind it'
has "$err" "$folder/none: cannot be read"
has "$err" "$f16: no saved chat"
[ ! -s "$out" ] || fail "text on standard output"
say 0 '/help\n/quit\nhello\n' -m "$tiny"
has "$err" '/load FILE'
[ ! -s "$out" ] || fail "an answer after /quit"

# Files: foreign ones stay as they are, damaged ones leave the conversation as it was.
echo precious >"$folder/precious"
say 1 "/save $folder/precious\n/save $folder/none/x\n/save $folder\n" -m "$tiny"
has "$err" "$folder/precious: no saved chat"
has "$err" "$folder/none/x: cannot be written"
[ "$(cat "$folder/precious")" = precious ] || fail "a foreign file was written over"
while read -r what text; do
    sed "$what" "$folder/one.json" >"$folder/bad.json"
    say 1 "hello\n/load $folder/bad.json\n/stats\n" -m "$tiny" -n 2
    has "$err" "$folder/bad.json: "
    has "$err" "$text"
    has "$err" ' 2 messages, template'
done <<'TABLE'
s/quadriga.chat/other/ no saved chat
s/"version":.1/"version":2/ another version
s/"assistant"/"user"/ messages[1].role is not "assistant"
s/"role":."user"/"rolf":1/ messages[0].role
s/"content":.".*"/"content":7/ messages[0].content is no text
s/"template":.".*"/"template":1/ "template" is no text
s/"messages"/"system":1,"messages"/ "system" is no text
$d no saved chat
TABLE
say 0 "/load $folder/one.json\n/save $folder/one.json\n/save $folder/again.json\n" -m "$tiny" \
    --template mistral-v0.2
cmp -s "$folder/one.json" "$folder/again.json" || fail "another file after /load"
ls "$folder" | grep -q '\.new$' && fail "a temporary file was left behind"
say 0 "/load $folder/one.json\n" -m "$tiny"
has "$err" '2 messages, saved with the template mistral-v0.2'

# A full context: during an answer, and before one.
# shellcheck disable=SC2086
say 1 'Once upon a time\nmore\n/reset\nOnce upon a time\n' -m "$f16" $mistral -c 40
has "$err" 'the context is full, the answer ends here: /reset'
has "$err" 'tokens with this message, the context 40: /reset begins a new one'
[ "$(wc -l <"$out")" -ge 2 ] || fail "no answer after /reset"
long=$(awk 'BEGIN { for (i = 0; i < 60; i++) printf "word " }')
# shellcheck disable=SC2086
say 1 "$long\nOnce upon a time\n" -m "$f16" $mistral -c 40 -n 3
has "$err" 'the context 40'
[ "$(wc -l <"$out")" -eq 1 ] || fail "no answer after a message that was too long"

# Ctrl-C ends a script that waits for its next line.
last='chat and Ctrl-C'
mkfifo "$folder/lines"
: >"$out"
env --default-signal=INT "$quadriga" chat -m "$tiny" -n 5 <"$folder/lines" >"$out" 2>"$err" &
pid=$!
exec 3>"$folder/lines"
echo hello >&3
tries=0
while [ ! -s "$out" ] && [ $tries -lt 400 ] && kill -0 $pid 2>/dev/null; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -INT $pid
code=0
wait $pid || code=$?
[ "$code" -eq 130 ] || fail "exit code $code, not 130"
finish
