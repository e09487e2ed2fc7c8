#!/bin/sh
# journey: a computer that refuses: full and read-only disks, no overlay, no user namespaces, no limits, no descriptors
# places: ssh
# in ssh as: root
. "$(dirname "$0")/../support/journey.sh"
journey "bad surroundings"


# refuses WHAT STATUS PATTERN COMMAND…: fails with this message, without a panic, and nothing runs afterwards.
refuses() {
    what=$1 wanted=$2 pattern=$3
    shift 3
    exits "$what" "$wanted" timeout 120 "$@"
    says "$what: says so" "$pattern"
    if grep -qE 'panicked at|RUST_BACKTRACE' "$sandbox/err"; then not_ok "$what: no panic"; show "$sandbox/err"; fi
    within 5 counts "0 0" || not_ok "$what: nothing runs, not $(census)"
    left=$(find "$DEVENV_HOME/data/projects" -mindepth 1 2>/dev/null)
    [ -z "$left" ] || { not_ok "$what: no state is left"; printf '%s\n' "$left"; }
}

project bad <<'TOML'
image  = "host"
mounts = [".:/src"]
TOML
echo mine >file

# User namespaces forbidden: a limit in a namespace of our own, so that this computer stays as it is.
if [ "$(id -u)" -eq 0 ]; then nested="unshare --user --map-root-user"; else nested="unshare --user --map-root-user --map-auto"; fi
if [ "$place" = here ] && $nested true 2>/dev/null; then
    refuses "user namespaces forbidden" 1 'user namespace' \
        $nested sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$DEVENV" up'
    says "and where to look" 'doctor'
    $nested sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$DEVENV" doctor' >"$sandbox/out" 2>&1
    says "doctor tells it too" 'user namespaces|namespaces/max_user|max_user_namespaces'
    exits "no mount namespaces" 1 $nested sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces && exec "$DEVENV" up'
    within 5 counts "0 0" || not_ok "no mount namespaces: nothing runs"
    rm -rf "$DEVENV_HOME/data/projects"
fi

# The folder for sockets.
"$DEVENV" down >/dev/null 2>&1
home=$DEVENV_HOME
unset DEVENV_HOME
check "XDG_RUNTIME_DIR names nothing: up" env XDG_RUNTIME_DIR=/nowhere/at/all "$DEVENV" up
check "exec" env XDG_RUNTIME_DIR=/nowhere/at/all "$DEVENV" exec -T -- true
check "up with another one" "$DEVENV" up
check "exec" "$DEVENV" exec -T -- true
check "down without any" env -u XDG_RUNTIME_DIR "$DEVENV" down
within 5 counts "0 0" || not_ok "nothing runs, not $(census)"
if [ "$(id -u)" -eq 0 ]; then
    # Who made the folder of another user's sockets would see what goes through them.
    as_somebody() { setpriv --reuid 64999 --regid 64999 --clear-groups env -u XDG_RUNTIME_DIR HOME="$sandbox/somebody" "$@"; }
    mkdir "$sandbox/somebody"
    chmod 711 "$sandbox"
    chown 64999 "$sandbox/somebody"
    cp "$DEVENV" "$sandbox/somebody/devenv"
    check "somebody else's list" as_somebody "$sandbox/somebody/devenv" list
    same "has a folder of their own for sockets" 700 "$(stat -c %a /tmp/devenv-64999)"
    rm -r /tmp/devenv-64999
    mkdir -m 777 /tmp/devenv-64999
    exits "a folder for sockets that another user made is refused" 1 as_somebody "$sandbox/somebody/devenv" list
    says "which is told" "/tmp/devenv-64999 belongs to somebody else"
    says "with what helps" "hint:.*XDG_RUNTIME_DIR"
    rmdir /tmp/devenv-64999
fi
export DEVENV_HOME="$home"

if [ "$(id -u)" -ne 0 ]; then
    mkdir "$sandbox/readonly"
    chmod 500 "$sandbox/readonly"
    refuses "a state folder that may not be written" 1 'readonly.*|ermission denied' env DEVENV_HOME="$sandbox/readonly" "$DEVENV" up
    # Limits: here only root may set them, or a user manager delegates them.
    printf 'image = "host"\nresources = { memory = "64m" }\n' >devenv.toml
    if "$DEVENV" up >"$sandbox/out" 2>"$sandbox/err"; then
        ok "limits are possible here"
    else
        "$DEVENV" down >/dev/null 2>&1
        refuses "limits that cannot be kept" 1 'resources|control group' "$DEVENV" up
    fi
    "$DEVENV" down >/dev/null 2>&1
else
    mkdir "$sandbox/expected-mount"
    mount -t tmpfs -o size=8m none "$sandbox/expected-mount"
    export DEVENV_HOME="$sandbox/expected-mount/state"
    # Full at another point each time: 4 KiB more are free in each round.
    for free in 0 4 8 16 24 32 48 64 96 128; do
        rm -rf "$sandbox/expected-mount/filler" "$DEVENV_HOME"
        dd if=/dev/zero of="$sandbox/expected-mount/filler" bs=4k >/dev/null 2>&1
        truncate -s -"$free"K "$sandbox/expected-mount/filler"
        if timeout 60 "$DEVENV" up >"$sandbox/out" 2>"$sandbox/err"; then
            check "down with $free KiB free at first" "$DEVENV" down
        else
            grep -qiE 'space|full' "$sandbox/err" || { not_ok "a disk with $free KiB left: says so"; show "$sandbox/err"; }
            if grep -q panicked "$sandbox/err"; then not_ok "no panic"; fi
        fi
        within 5 counts "0 0" || not_ok "a disk with $free KiB left: nothing runs, not $(census)"
        left=$(find "$DEVENV_HOME/data/projects" -mindepth 1 2>/dev/null)
        [ -z "$left" ] || { not_ok "a disk with $free KiB left: no state is left"; printf '%s\n' "$left"; }
    done
    ok "a disk that fills up at ten points of up"
    # Full while the project runs.
    rm -rf "$sandbox/expected-mount/filler" "$DEVENV_HOME"
    check "up" "$DEVENV" up
    dd if=/dev/zero of="$sandbox/expected-mount/filler" bs=4k >/dev/null 2>&1
    check "a full disk: status" "$DEVENV" status
    check "a full disk: exec" "$DEVENV" exec -T -- true
    check "a full disk: down" "$DEVENV" down
    within 5 counts "0 0" || not_ok "nothing runs after down on a full disk, not $(census)"
    rm -f "$sandbox/expected-mount/filler"
    mount -o remount,ro "$sandbox/expected-mount"
    refuses "a read-only state folder" 1 'read-only' "$DEVENV" up
    umount "$sandbox/expected-mount"
    export DEVENV_HOME="$home"
fi
# Of a remote host it is its own surroundings that count: those are in the journey `remote`.
if [ "$(id -u)" -eq 0 ] && [ "$place" = here ]; then
    # An overlay takes no upper layer from another overlay.
    mkdir -p "$sandbox/lower" "$sandbox/upper" "$sandbox/overlay-work"
    mount -t tmpfs none "$sandbox/expected-mount"
    mkdir "$sandbox/expected-mount/upper" "$sandbox/expected-mount/work" "$sandbox/expected-mount/merged"
    if mount -t overlay -o "lowerdir=$sandbox/lower,upperdir=$sandbox/expected-mount/upper,workdir=$sandbox/expected-mount/work" \
        none "$sandbox/expected-mount/merged"; then
        export DEVENV_HOME="$sandbox/expected-mount/merged/state"
        refuses "state on an overlay" 1 'overlay' "$DEVENV" up
        umount "$sandbox/expected-mount/merged"
    fi
    umount "$sandbox/expected-mount"
    export DEVENV_HOME="$home"
    # Control groups that nobody may change, in a mount namespace of our own.
    printf 'image = "host"\nresources = { memory = "64m" }\n' >devenv.toml
    # shellcheck disable=SC2016 # expanded by the shell inside
    frozen='for at in /sys/fs/cgroup /sys/fs/cgroup/*; do mountpoint -q "$at" && mount -o remount,bind,ro "$at"; done; exec "$DEVENV" "$@"'
    refuses "control groups that are read-only" 1 'control groups are mounted read-only' unshare --mount sh -c "$frozen" - up
    # Limits hold.
    cat >devenv.toml <<'TOML'
image     = "host"
command   = ["sleep", "1000"]
resources = { memory = "64m", pids = 30, cpus = 0.5 }
TOML
    if check "limits: up" "$DEVENV" up; then
        exits "too much memory is killed" 137 "$DEVENV" exec -T -- python3 -c 'x = bytearray(200 << 20)'
        exits "too many processes are refused" 0 "$DEVENV" exec -T -- python3 -c '
import os, sys, time
try:
    for number in range(60):
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
except OSError:
    sys.exit(0)
sys.exit(1)'
        check "CPU time has its share" sh -c 'cat /sys/fs/cgroup/cpu/devenv/*bad*/dev/cpu.cfs_quota_us /sys/fs/cgroup/devenv/*bad*/dev/cpu.max 2>/dev/null | grep -q "^50000"'
        "$DEVENV" exec -T -- sleep 100 &
        exec_pid=$!
        printf 'image = "host"\ncommand = ["sleep", "1000"]\n' >devenv.toml
        check "without limits again" "$DEVENV" up
        wait $exec_pid
        id=$(basename "$DEVENV_HOME"/data/projects/p-bad-*)
        same "no control group is left" "" "$(find /sys/fs/cgroup -type d -path "*/devenv/$id*" 2>/dev/null)"
    fi
    "$DEVENV" down >/dev/null 2>&1
fi

# The kernel refuses one call after the other; strace says so in its place.
printf 'image = "host"\nmounts = [".:/src"]\n' >devenv.toml
if strace -o /dev/null true 2>/dev/null; then
    # refused CALLS ERROR FIRST LAST [-f]: the Nth of these calls fails so. Either up copes or it says what failed.
    refused() {
        number=$3
        while [ "$number" -le "$4" ]; do
            rm -f "$sandbox/status"
            strace -I1 ${5:-} -o /dev/null -e "trace=$1" -e "inject=$1:error=$2:when=$number" \
                sh -c 'timeout 60 "$DEVENV" up; echo $? >"$1"' - "$sandbox/status" >"$sandbox/out" 2>"$sandbox/err" &
            tracer=$!
            within 60 test -s "$sandbox/status" || not_ok "$1 fails ($2) at call $number: up ends"
            kill "$tracer" 2>/dev/null
            wait "$tracer" 2>/dev/null
            case $(cat "$sandbox/status") in
                0) ;;
                1) grep -q 'error:' "$sandbox/err" || { not_ok "$1 fails ($2) at call $number: says so"; show "$sandbox/err"; }
                    within 5 counts "0 0" || not_ok "$1 fails ($2) at call $number: nothing runs, not $(census)" ;;
                *) not_ok "$1 fails ($2) at call $number: exit code $(cat "$sandbox/status")"; show "$sandbox/err" ;;
            esac
            if grep -q 'panicked' "$sandbox/err"; then not_ok "$1 fails ($2) at call $number: no panic"; show "$sandbox/err"; fi
            timeout 60 "$DEVENV" down >"$sandbox/out" 2>&1 || { not_ok "down after $1 failed ($2) at call $number"; show "$sandbox/out"; }
            within 5 counts "0 0" || not_ok "$1 failed ($2) at call $number, then down: nothing runs, not $(census)"
            number=$((number + 1))
        done
        ok "$1 fails with $2, calls $3 to $4"
    }
    # Without -f only the shell would be traced.
    if [ "$(id -u)" -eq 0 ]; then
        refused mkdir ENOSPC 1 6 -f
        refused rename ENOSPC 1 4 -f
        refused fsync EIO 1 4 -f
        refused clone3 ENOMEM 1 2 -f
        if [ "$place" = here ]; then
            refused unshare EPERM 1 2 -f
            refused setns EPERM 1 2 -f
            refused mount EPERM 1 3 -f
            refused move_mount EPERM 1 4 -f
            refused fsopen ENODEV 1 4 -f
            refused fsmount EPERM 1 3 -f
            refused pivot_root EPERM 1 1 -f
        fi
        refused memfd_create EMFILE 1 3 -f
        refused socket EMFILE 1 3 -f
        refused pidfd_open EMFILE 1 3 -f
    fi
fi
for limit in 8 12 16 24 40; do
    sh -c 'ulimit -n "$1"; exec "$DEVENV" up' - "$limit" >"$sandbox/out" 2>&1
    if grep -q panicked "$sandbox/out"; then not_ok "$limit open files: no panic"; show "$sandbox/out"; fi
    "$DEVENV" down >/dev/null 2>&1
    within 5 counts "0 0" || not_ok "$limit open files, then down: nothing runs, not $(census)"
done
ok "few open files"
same "the source is untouched" mine "$(cat file)"
check "and after all that: up" "$DEVENV" up
check "exec" "$DEVENV" exec -T -- true
finish
