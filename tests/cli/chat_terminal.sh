#!/bin/sh
# chat on a terminal: prompt, commands, Ctrl-C during an answer and at the prompt, Ctrl-D, history,
# characters beyond ASCII.  usage: chat_terminal.sh BINARY SOURCE PTY_TALK
. "$(dirname "$0")/common.sh"
need_device
talk=$3
NO_COLOR=1
TERM=xterm
XDG_STATE_HOME=$folder/state
export NO_COLOR TERM XDG_STATE_HOME

# steps on standard input, arguments of chat
on_terminal() {
    last="on a terminal: chat $*"
    : >"$err"
    code=0
    "$talk" "$quadriga" chat -m "$f16" --template mistral-v0.2 "$@" >"$out" 2>&1 || code=$?
    if [ "$code" -eq 77 ]; then
        cat "$out"
        exit 77
    fi
    [ "$code" -eq 0 ] || {
        fail "see below"
        cat "$out"
    }
}

# An answer without end is stopped, the program goes on, and so does the conversation.
on_terminal --temp 0 <<'STEPS'
wait /help lists the commands
wait > 
send /help\r
wait /save FILE
wait Ctrl-D
wait > 
send Once upon a time\r
wait I have been informed
send \x03
wait > 
send /stats\r
wait stopped by Ctrl-C
wait 2 messages
wait > 
send abc\x03
wait ^C
wait > 
send /stats\r
wait 2 messages
wait > 
send \x03
wait ^C
wait > 
send /nothing\r
wait unknown command /nothing
wait > 
send /reset extra\r
wait takes nothing
wait > 
send /reset\r
wait > 
send /stats\r
wait 0 messages
wait > 
send \x04
end 0
STEPS

# The arrow brings back the last line, in this chat and in the next one; é is one character.
on_terminal --temp 0 -n 3 <<STEPS
wait > 
send h\xc3\xa9llo\x7f\xc3\xb6\r
wait > 
send /save $folder/saved.json\r
wait 2 messages in
wait > 
send \e[A\x7f\x7f\x7f\x7f\x7f2.json\r
wait 2 messages in
wait saved2.json
wait > 
send /quit\r
end 0
STEPS
has "$folder/saved.json" 'héllö'
has "$folder/saved2.json" 'héllö'
history=$XDG_STATE_HOME/quadriga/chat_history
has "$history" "/save"
[ "$(stat -c %a "$history")" = 600 ] || fail "others may read the history"
on_terminal --temp 0 -n 3 <<STEPS
wait > 
send \e[A\e[A\r
wait 0 messages in
wait saved2.json
wait > 
send /exit\r
end 0
STEPS

# No history without that folder.
unset XDG_STATE_HOME
rm -rf "$folder/state"
on_terminal --temp 0 -n 3 <<'STEPS'
wait > 
send /quit\r
end 0
STEPS
[ ! -e "$folder/state" ] || fail "a history without XDG_STATE_HOME"
finish
