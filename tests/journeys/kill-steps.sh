#!/bin/sh
# journey: kill -9 at one system call after the other of `up`, `down` and a box's birth: the next `up` heals, and
# there are never two of anything
. "$(dirname "$0")/../support/journey.sh"
. "$(dirname "$0")/../support/pair.sh"
journey "kill -9, step by step"
strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"

pair_project steps 18150

# heals WHAT: after one `up` there is each box once, one keeper, and the port answers.
heals() {
    if ! timeout 60 "$DEVENV" up >"$sandbox/out" 2>&1; then
        not_ok "up after $1"
        show "$sandbox/out"
    fi
    within 15 serves || not_ok "the port answers after $1"
    within 5 counts "2 1" || { not_ok "after $1: two boxes and one keeper, not $(census)"; "$DEVENV" status; }
}

# leaves_nothing WHAT: after one `down` nothing runs and no state is left.
leaves_nothing() {
    timeout 60 "$DEVENV" down >"$sandbox/out" 2>&1 || { not_ok "down after $1"; show "$sandbox/out"; }
    within 5 counts "0 0" || not_ok "after $1 and down nothing runs, not $(census)"
    left=$(find "$DEVENV_HOME/data/projects" "$DEVENV_HOME/run" -mindepth 1 2>/dev/null)
    [ -z "$left" ] || { not_ok "after $1 and down no file is left"; printf '%s\n' "$left"; }
}

# killed_at_each VERB FIRST LAST STEP CALLS: VERB itself is killed at its Nth call of these.
killed_at_each() {
    verb=$1 number=$2 last=$3 step=$4 calls=$5 runs=0
    while [ "$number" -le "$last" ]; do
        if [ "$verb" = up ]; then "$DEVENV" down >/dev/null 2>&1; else "$DEVENV" up >/dev/null 2>&1; fi
        status=0
        strace -o /dev/null -e "trace=$calls" -e "inject=$calls:signal=SIGKILL:when=$number" \
            "$DEVENV" "$verb" >/dev/null 2>&1 || status=$?
        [ "$status" -ne 0 ] || break
        runs=$((runs + 1))
        # Every second time it is `down` that has to cope.
        if [ $((runs % 2)) -eq 0 ]; then leaves_nothing "$verb killed at call $number of $calls"; fi
        heals "$verb killed at call $number of $calls"
        number=$((number + step))
    done
    ok "$verb killed at $runs calls of $calls heals"
}

# child_killed_at_each FIRST LAST CALLS: so is every process that `up` starts, and `up` itself if it makes such calls.
child_killed_at_each() {
    number=$1
    while [ "$number" -le "$2" ]; do
        "$DEVENV" down >/dev/null 2>&1
        rm -f "$sandbox/status"
        # The keeper and the boxes outlive `up`, and strace stays with them until told to go.
        strace -I1 -f -o /dev/null -e "trace=$3" -e "inject=$3:signal=SIGKILL:when=$number" \
            sh -c '"$DEVENV" up; echo $? >"$1"' - "$sandbox/status" >"$sandbox/out" 2>&1 &
        tracer=$!
        within 60 test -s "$sandbox/status" || not_ok "up ends when a child is killed at call $number of $3"
        kill "$tracer" 2>/dev/null
        wait "$tracer" 2>/dev/null
        if grep -q 'panicked' "$sandbox/out"; then not_ok "no panic"; show "$sandbox/out"; fi
        if [ $((number % 2)) -eq 0 ]; then leaves_nothing "children killed at call $number of $3"; fi
        heals "children killed at call $number of $3"
        number=$((number + 1))
    done
    ok "children killed at calls of $3 heal"
}

heals "nothing"
"$DEVENV" exec -T -u root -- sh -c 'echo precious >/data/file'
killed_at_each up 1 40 1 rename,renameat2
killed_at_each up 1 40 2 mkdir,mkdirat
killed_at_each up 1 20 1 clone,clone3,vfork,unshare
killed_at_each up 1 20 1 sendmsg,recvmsg
killed_at_each up 1 30 2 poll,wait4,waitid,pidfd_open
killed_at_each down 1 60 4 unlink,unlinkat,rmdir
killed_at_each down 1 12 1 pidfd_send_signal,rename
if [ "$(id -u)" -eq 0 ]; then
    child_killed_at_each 1 3 setns,unshare
    child_killed_at_each 1 4 mount,move_mount
    child_killed_at_each 1 2 pwrite64
    child_killed_at_each 1 2 pivot_root,sethostname
    child_killed_at_each 1 2 execve
fi
check "up" "$DEVENV" up
same "the source is untouched" alive "$(cat page.txt)"
same "the volume is untouched" precious "$("$DEVENV" exec -T -- cat /data/file)"
finish
