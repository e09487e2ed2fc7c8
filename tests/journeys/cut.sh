#!/bin/sh
# journey: the connection is cut at one step after the other of `up`, and the keeper and the far side are killed: the
# next command heals, and nothing is there twice
# places: only ssh
. "$(dirname "$0")/../support/journey.sh"
journey "cut off"
[ -n "$there" ] || skip "boxes run here: there is no connection to cut"
strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"

# shellcheck source=../support/pair.sh
. "$support/pair.sh"
pair_project cut 18467

# Connections are not kept at first: what is cut is all there is.
cp "$there/config" "$sandbox/ssh-config"
printf '  ControlPath %s/never\n' "$there" >>"$there/config"

# An ssh that is killed at its Nth system call of a kind, when somebody says so.
cat >"$there/bin/ssh" <<SSH
#!/bin/sh
case " \$* " in
    *" -G "*) cut= ;;
    # Once: what is tried again shall succeed.
    *) cut=\$(cat "$there/cut" 2>/dev/null) && rm -f "$there/cut" ;;
esac
[ -n "\$cut" ] || exec ${real_ssh:?} -F $there/config "\$@"
exec strace -o /dev/null \$cut ${real_ssh:?} -F $there/config "\$@"
SSH
agents() { pgrep -u "$there_user" -f "^$there/[^ ]*devenv agent" || true; }
keepers() { pgrep -u "$(id -u)" -f "__keeper-there $DEVENV_HOME/" || true; }
running() { "$DEVENV" status --json 2>/dev/null | jq '[.boxes[] | select(.state == "running")] | length'; }
# Servers of boxes, whatever their project's records say.
servers() { for pid in $(pgrep -f '^python3 -m http.server 8100$'); do grep -qsF "$there" "/proc/$pid/mountinfo" && echo "$pid"; done; }
count() { "$@" | wc -l; }
one() { [ "$(count "$1")" -eq 1 ]; }

# heals WHAT: after one `up` there is one of each, and the port answers.
heals() {
    if ! timeout 60 "$DEVENV" up >"$sandbox/out" 2>&1; then
        not_ok "up after $1"
        show "$sandbox/out"
    fi
    within 15 serves || not_ok "the port answers after $1"
    same_quietly "boxes after $1" 2 "$(running)"
    within 5 one keepers || not_ok "one keeper after $1, not $(count keepers)"
    within 5 one agents || not_ok "one agent after $1, not $(count agents)"
    within 5 one servers || not_ok "one server after $1, not $(count servers)"
}
same_quietly() { [ "$2" = "$3" ] || same "$1" "$2" "$3"; }

heals "nothing"
"$DEVENV" exec -T -u root -- sh -c 'echo precious >/data/file'
ok "it runs"

for pid in $(keepers); do kill -9 "$pid"; done
check "exec brings a killed keeper back" "$DEVENV" exec -T -- true
check "and it serves" within 10 serves
for pid in $(agents); do kill -9 "$pid"; done
check "exec outlives a killed far side" "$DEVENV" exec -T -- true
check "and it serves" within 10 serves
for pid in $(keepers) $(agents); do kill -9 "$pid"; done
heals "both were killed"

# A program over there hears of it.
"$DEVENV" exec -T -- sh -c 'trap "echo gone >/src/heard; exit" HUP; echo begun >/src/begun; while :; do sleep 0.1; done' >/dev/null 2>&1 &
program=$!
within 10 test -e begun || not_ok "a program begins"
kill -9 "$program"
check "a program whose caller was killed is told so" within 10 test -s heard

# cut_at_each FIRST LAST STEP CALLS: ssh is killed at its Nth call of these, while `up` has all its work to do.
cut_at_each() {
    number=$1 cuts=0
    while [ "$number" -le "$2" ]; do
        timeout 60 "$DEVENV" down >"$sandbox/out" 2>&1 || { not_ok "down before call $number of $4"; show "$sandbox/out"; }
        printf -- '-e trace=%s -e inject=%s:signal=SIGKILL:when=%s' "$4" "$4" "$number" >"$there/cut"
        status=0
        timeout 60 "$DEVENV" up >"$sandbox/cut" 2>&1 || status=$?
        rm -f "$there/cut"
        [ "$status" -ne 124 ] || { not_ok "up ends when cut at call $number of $4"; show "$sandbox/cut"; }
        # One that was not reached is not to come later.
        for tracer in $(pgrep -f "^strace -o /dev/null -e trace=$4 .*$there/config"); do
            for ssh in $(pgrep -P "$tracer"); do kill -9 "$ssh"; done
        done
        cuts=$((cuts + 1))
        heals "a cut at call $number of $4"
        number=$((number + $3))
    done
    ok "$cuts connections cut at calls of $4 heal"
}
cut_at_each 1 40 3 read
cut_at_each 2 60 5 write

# killed_after DELAY…: `up` itself, while the far side works for it.
for delay in 0.02 0.05 0.1 0.2 0.4 0.6 1; do
    timeout 60 "$DEVENV" down >/dev/null 2>&1
    "$DEVENV" up >/dev/null 2>&1 &
    victim=$!
    sleep "$delay"
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
    heals "up was killed after $delay s"
done
ok "a killed up heals"

# With kept connections: the one that all sessions share is killed, and one whose other end says nothing any more.
cp "$sandbox/ssh-config" "$there/config"
masters() { pgrep -u "$(id -u)" -f "^ssh: $DEVENV_HOME/run/ssh/|^$real_ssh -F $there/config .*ControlMaster=auto" || true; }
timeout 60 "$DEVENV" down >/dev/null 2>&1
heals "the first connection that is kept"
for pid in $(masters); do kill -9 "$pid"; done
check "exec outlives a killed connection that was kept" "$DEVENV" exec -T -- true
heals "a killed connection that was kept"
for pid in $(masters); do kill -STOP "$pid"; done
for pid in $(keepers); do kill -9 "$pid"; done
check "up gives up a kept connection that went silent" timeout 60 "$DEVENV" up
for pid in $(masters); do kill -CONT "$pid"; done
heals "a kept connection that was silent"
ok "kept connections that end or say nothing heal"
same "the source is untouched" alive "$(cat page.txt)"
same "the volume is untouched" precious "$("$DEVENV" exec -T -- cat /data/file)"
check "down" "$DEVENV" down
same "no file is left here" "" "$(find "$DEVENV_HOME/data/there" "$DEVENV_HOME/run" -mindepth 1 -not -path '*/ssh*' 2>/dev/null)"
same "nor there" "" "$(find "$there/state/data/projects" "$there/state/data/trees" "$there/state/run" -mindepth 1 2>/dev/null)"
finish
