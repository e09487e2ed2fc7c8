#!/bin/sh
# journey: `shell` and `exec` on a terminal: resize, Ctrl-C, Ctrl-Z, exit codes
# places: ssh
# in ssh as: user
. "$(dirname "$0")/../support/journey.sh"
journey "terminal"

project term <<TOML
image  = "$image"
mounts = [".:/src"]
TOML

play() {
    what=$1
    shift
    cat >"$sandbox/script"
    check "$what" timeout 60 python3 "$support/terminal.py" --size 30x100 "$sandbox/script" -- "$@"
}

play "shell starts the project and is a terminal" "$DEVENV" shell <<'KEYS'
# Keys typed before the terminal is the box's could be lost: wait for the prompt.
expect [$#] 
send PS1='ready'\\> \r
expect ready>
send test -t 0 && test -t 1 && echo is-$((1+1))-tty\r
expect is-2-tty
send stty size\r
expect 30 100
size 41x121
send stty size\r
expect 41 121
send echo in-$(pwd)\r
expect in-/src
send exit 7\r
exit 7
KEYS

play "Ctrl-C interrupts the command, not the shell" "$DEVENV" shell <<'KEYS'
expect [$#] 
send PS1='ready'\\> \r
expect ready>
send sh -c 'echo go; exec sleep 100'\r
expect go\r\n
send \x03
expect ready>
send echo still-$((1+1))\r
expect still-2
send exit\r
exit 0
KEYS

play "Ctrl-Z stops it, fg goes on" "$DEVENV" shell -- bash --norc -i <<'KEYS'
expect [$#] 
send PS1='ready'\\> \r
expect ready>
send sh -c 'echo begun; read line; echo got-$line'\r
expect begun\r\n
send \x1a
expect ready>
send fg\r
expect sh -c
send word\r
expect got-word
send exit\r
exit 0
KEYS

play "Ctrl-D ends the shell" "$DEVENV" shell -- sh <<'KEYS'
expect [$#] 
send PS1='ready'\\> \r
expect ready>
send \x04
exit 0
KEYS

play "exec has a terminal too" "$DEVENV" exec -- sh -c 'test -t 0 && echo terminal; exit 9' <<'KEYS'
expect terminal
exit 9
KEYS

play "exec -T has none" "$DEVENV" exec -T -- sh -c 'test -t 0 || echo no-terminal' <<'KEYS'
expect no-terminal
exit 0
KEYS

play "killed by a signal" "$DEVENV" exec -- sh -c 'kill -9 $$' <<'KEYS'
exit 137
KEYS

play "the terminal of the caller is as it was" sh -c 'before=$(stty -g); "$DEVENV" shell -- sh -c "stty raw -echo; exit 0"; [ "$(stty -g)" = "$before" ] && echo same-settings' <<'KEYS'
expect same-settings
exit 0
KEYS

play "a full-screen program gets its keys" "$DEVENV" exec -- sh -c 'stty raw -echo; printf ready; dd bs=1 count=3 2>/dev/null | od -An -tx1' <<'KEYS'
expect ready
send \x1b[A
expect 1b 5b 41
exit 0
KEYS
finish
