#!/bin/sh
# journey: kill -9 of any process of ours at any moment; the next `up` heals and nothing leaks
# places: ssh
# in ssh as: user
. "$(dirname "$0")/../support/journey.sh"
journey "kill -9"

project victim <<'TOML'
image   = "host"
mounts  = [".:/src"]
ports   = ["18100:8100"]
command = ["python3", "-m", "http.server", "8100"]
volumes = ["data:/data"]
TOML
echo alive >page.txt
serves() { [ "$(fetch http://127.0.0.1:18100/page.txt 2>/dev/null)" = alive ]; }

check "up" "$DEVENV" up
check "it serves" within 10 serves
check "a volume is written" "$DEVENV" exec -T -u root -- sh -c 'echo precious >/data/file'
pid=$(field dev pid)

keeper=$(keepers)
[ -n "$keeper" ] || not_ok "a keeper was found"
for one in $keeper; do kill -9 "$one"; done
check "the box outlives its keeper" kill -0 "$pid"
check "exec works without a keeper" "$DEVENV" exec -T -- true
check "and brings it back: it serves" within 10 serves
for one in $(keepers); do kill -9 "$one"; done
check "up brings it back" "$DEVENV" up
same "with the same box" "$pid" "$(field dev pid)"
check "and it serves again" within 10 serves

kill -9 "$pid"
gone() { [ "$(field dev state)" = exited ]; }
check "status sees that the box's first process is gone" within 10 gone
check "up after that" "$DEVENV" up
check "serves" within 10 serves
same "and the volume is there" precious "$("$DEVENV" exec -T -- cat /data/file)"

for one in $(keepers) $(field dev pid); do kill -9 "$one" 2>/dev/null; done
check "both at once: up" "$DEVENV" up
check "serves" within 10 serves

# `up` killed at growing moments, from a state that needs all of its work.
killed=0
for delay in 0.001 0.002 0.004 0.006 0.008 0.010 0.013 0.016 0.020 0.025 0.030 0.040 0.050 0.065 0.080 0.100 0.130 0.200; do
    "$DEVENV" down >"$sandbox/out" 2>&1 || { not_ok "down before up killed after $delay s"; show "$sandbox/out"; }
    "$DEVENV" up >/dev/null 2>&1 &
    victim=$!
    sleep "$delay"
    kill -9 "$victim" 2>/dev/null && killed=$((killed + 1))
    wait "$victim" 2>/dev/null
    if ! "$DEVENV" up >"$sandbox/out" 2>&1; then
        not_ok "up after up was killed at $delay s"
        show "$sandbox/out"
    elif ! within 10 serves; then
        not_ok "serves after up was killed at $delay s"
    fi
done
ok "up killed at $killed moments heals"

killed=0
for delay in 0.001 0.003 0.006 0.010 0.015 0.020 0.030 0.050 0.080; do
    "$DEVENV" up >/dev/null 2>&1
    "$DEVENV" down >/dev/null 2>&1 &
    victim=$!
    sleep "$delay"
    kill -9 "$victim" 2>/dev/null && killed=$((killed + 1))
    wait "$victim" 2>/dev/null
    if ! "$DEVENV" up >"$sandbox/out" 2>&1; then
        not_ok "up after down was killed at $delay s"
        show "$sandbox/out"
    elif ! within 10 serves; then
        not_ok "serves after down was killed at $delay s"
    fi
done
ok "down killed at $killed moments heals"
# And at each of its system calls of some kinds: strace kills it at the Nth. A run that is not killed ends the series.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    # killed_at_each PREPARE VERB CALLS
    killed_at_each() {
        count=0
        while [ "$count" -lt 25 ]; do
            count=$((count + 1))
            "$DEVENV" "$1" >/dev/null 2>&1
            status=0
            strace -o /dev/null -e "trace=$3" -e "inject=$3:signal=SIGKILL:when=$count" "$DEVENV" "$2" >/dev/null 2>&1 || status=$?
            if ! "$DEVENV" up >"$sandbox/out" 2>&1; then
                not_ok "up after $2 was killed at call $count of $3"
                show "$sandbox/out"
            fi
            [ "$status" -ne 0 ] || break
        done
        if within 10 serves; then
            ok "$2 killed at each of $3 ($count runs) heals"
        else
            not_ok "it serves after $2 was killed at each of $3"
        fi
    }
    killed_at_each down up rename,renameat,renameat2
    killed_at_each down up mkdir,mkdirat
    killed_at_each down up clone,clone3,vfork
    killed_at_each down up connect,sendto,sendmsg
    killed_at_each up down unlink,unlinkat,rmdir
    killed_at_each up down pidfd_send_signal,kill
else
    echo "# strace cannot trace here: no kill at each system call"
fi

same "the source is untouched" alive "$(cat page.txt)"
same "the volume is untouched" precious "$("$DEVENV" exec -T -- cat /data/file)"

# State files cut short, as after a power loss.
"$DEVENV" stop >/dev/null 2>&1
find "$DEVENV_HOME" -name '*.json' -not -path '*/images/*' -not -path '*/layers/*' -size +0 >"$sandbox/records"
while read -r record; do
    cp "$record" "$sandbox/record"
    head -c 20 "$sandbox/record" >"$record" 2>/dev/null || continue
    if ! "$DEVENV" up >"$sandbox/out" 2>&1; then
        # A plain refusal is right too, as long as it says which file.
        grep -qF "$(basename "$record")" "$sandbox/out" || { not_ok "up with $record cut short"; show "$sandbox/out"; }
        cat "$sandbox/record" >"$record"
    fi
done <"$sandbox/records"
check "up after records were cut short" "$DEVENV" up
finish
