#!/bin/sh
# journey: Ctrl-C during a pull and during `up`: ends soon, says so, and the next `up` works
# places: ssh
# in ssh as: root
. "$(dirname "$0")/../support/journey.sh"
journey "Ctrl-C"
need_registry

python3 "$support/faulty_proxy.py" "$registry" --rate 3000000 >"$sandbox/port" &
proxy=$!
within 10 test -s "$sandbox/port"
slow=127.0.0.1:$(cat "$sandbox/port")

project slow <<TOML
image = "$slow/debian:bookworm"
TOML

# interrupt_up SECONDS|COMMAND…: interrupts after so long, or when COMMAND succeeds; sets $status. `setsid` gives the
# group that a terminal would interrupt.
interrupt_up() {
    setsid python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
        "$DEVENV" up >"$sandbox/out" 2>"$sandbox/err" </dev/null &
    victim=$!
    case $1 in
        [0-9]*) sleep "$1" ;;
        *) within 30 "$@" || not_ok "up gets as far as: $*" ;;
    esac
    kill -INT -- "-$victim" 2>/dev/null || kill -INT "$victim" 2>/dev/null
    ends() { ! kill -0 "$victim" 2>/dev/null; }
    within 10 ends || { not_ok "up ends within 10 s of Ctrl-C"; kill -9 "$victim"; }
    status=0
    wait "$victim" || status=$?
}

interrupt_up 2
same "exit code of an interrupted pull" 130 "$status"
same "the image list is empty" 0 "$("$DEVENV" image list --json | jq length)"
same "no box is left half made" 0 "$("$DEVENV" status --json | jq '[.boxes[] | select(.state == "running")] | length')"
kill "$proxy"
wait "$proxy" 2>/dev/null
sed -i "s|$slow|$registry|" devenv.toml
check "up from the healthy registry" "$DEVENV" up
check "works" "$DEVENV" exec -T -- true
check "image is whole" "$DEVENV" exec -T -- python3 -c 'import http.server'

for delay in 0.002 0.005 0.01 0.02 0.04 0.08; do
    "$DEVENV" down >/dev/null 2>&1
    interrupt_up "$delay"
    case $status in
        0 | 130) ;;
        *) not_ok "exit code of up interrupted at $delay s: $status"; show "$sandbox/err" ;;
    esac
    "$DEVENV" up >"$sandbox/out" 2>&1 || { not_ok "up after Ctrl-C at $delay s"; show "$sandbox/out"; }
done
check "works after all of them" "$DEVENV" exec -T -- true

project setup <<'TOML'
image = "host"
setup = ["echo it began", "sleep 60", "echo >/srv/made"]
TOML
began() { cat "$sandbox/out" "$sandbox/err" | grep -q 'it began'; }
interrupt_up began
same "exit code when setup lines are interrupted" 130 "$status"
same "the setup's box is gone" "" "$(pgrep -f '^sleep 60$' || true)"
same "and so is the project" 0 "$("$DEVENV" list --json | jq '[.[] | select(.path == "'"$work/setup"'")] | length')"
sed -i 's/sleep 60/sleep 0/' devenv.toml
check "up afterwards runs all lines" "$DEVENV" up
check "and keeps what they made" "$DEVENV" exec -T -- test -e /srv/made
finish
