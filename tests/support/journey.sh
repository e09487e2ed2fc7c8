# shellcheck shell=sh
# What a journey needs: a person's home of its own, checks that go on after a failure, and the promise that
# nothing is left behind. Source it first:
#
#   . "$(dirname "$0")/../support/journey.sh"
#   journey "what a person does"
#   … checks …
#   finish
#
# Reads:  DEVENV (the program), DEVENV_TEST_REGISTRY (HOST:PORT with debian:bookworm, busybox:latest, web:latest).
#         DEVENV_TEST_PLACE (here, vm or ssh): where the boxes run; the journey itself need not know.
# Leaves: exit code 0 all passed, 1 a check failed, 77 skipped (with the reason on standard output).
# Words the checks use: $sandbox (private folder), $work (a folder for projects), $support (this folder), $DEVENV, $registry,
# and those of places.sh.
# shellcheck disable=SC2034 # they are read by the journeys

set -u
. "$(dirname "$0")/../support/places.sh"

journey() {
    title=$1
    failed=0
    passed=0
    went_down=
    case ${DEVENV:?path of the program under test} in
        /*) ;;
        *) DEVENV=$PWD/$DEVENV ;;
    esac
    [ -x "$DEVENV" ] || { echo "not ok - no program at $DEVENV"; exit 1; }
    registry=${DEVENV_TEST_REGISTRY:-}
    support=$(cd "$(dirname "$0")/../support" && pwd)
    # Short: a unix socket's path has at most 107 bytes.
    sandbox=$(mktemp -d /tmp/devenv-j.XXXXXX)
    work=$sandbox/work
    mkdir -p "$work" "$sandbox/home" "$sandbox/state" "$sandbox/runtime"
    chmod 700 "$sandbox/runtime"
    export DEVENV HOME="$sandbox/home" DEVENV_HOME="$sandbox/state" XDG_RUNTIME_DIR="$sandbox/runtime"
    export NO_COLOR=1 LC_ALL=C.UTF-8
    unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME DOCKER_CONFIG REGISTRY_AUTH_FILE
    unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY no_proxy 2>/dev/null || true
    cd "$work" || exit 1
    go_there
    interfaces_before=$(interfaces)
    trap 'leave 130' INT TERM HUP PIPE
    trap 'leave $?' EXIT
    printf '# %s (%s, %s)\n' "$title" "$(id -un)" "$place"
}

ok() {
    passed=$((passed + 1))
    printf 'ok - %s\n' "$1"
}

not_ok() {
    failed=$((failed + 1))
    printf 'not ok - %s\n' "$1"
}

show() { sed 's/^/    /' "$1" | tail -n "${2:-30}"; }

skip() {
    printf 'skipped: %s\n' "$1"
    take_down
    rm -rf "$sandbox"
    trap - EXIT
    exit 77
}

# check WHAT COMMAND…: passes when COMMAND exits 0.
check() {
    what=$1
    shift
    if "$@" >"$sandbox/out" 2>"$sandbox/err"; then
        ok "$what"
    else
        not_ok "$what (exit $?: $*)"
        show "$sandbox/out"
        show "$sandbox/err"
        return 1
    fi
}

# exits WHAT STATUS COMMAND…: passes when COMMAND exits with just STATUS. Output is in $sandbox/out and $sandbox/err.
exits() {
    what=$1 wanted=$2
    shift 2
    status=0
    "$@" >"$sandbox/out" 2>"$sandbox/err" || status=$?
    if [ "$status" -eq "$wanted" ]; then
        ok "$what"
    else
        not_ok "$what (exit $status instead of $wanted: $*)"
        show "$sandbox/out"
        show "$sandbox/err"
        return 1
    fi
}

# says WHAT PATTERN: the last command's output or error text has a line that matches (grep -E, any case).
says() {
    if cat "$sandbox/out" "$sandbox/err" | grep -qiE -e "$2"; then
        ok "$1"
    else
        not_ok "$1 (nothing matches /$2/)"
        show "$sandbox/out"
        show "$sandbox/err"
        return 1
    fi
}

# same WHAT WANTED GOT
same() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        printf '    wanted: %s\n    got:    %s\n' "$2" "$3"
        return 1
    fi
}

# within SECONDS COMMAND…: repeats COMMAND until it exits 0.
within() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# project NAME: makes and enters the folder $work/NAME; its devenv.toml comes from standard input.
project() {
    mkdir -p "$work/$1"
    cd "$work/$1" || exit 1
    cat >devenv.toml
}

need_registry() {
    [ -n "$registry" ] || skip "DEVENV_TEST_REGISTRY is not set (tests/run sets it)"
}

# field BOX NAME: a field of one box in `devenv status --json`.
field() { "$DEVENV" status --json | jq -r --arg box "$1" ".boxes[] | select(.name == \$box) | .$2"; }

# host_port BOX PORT
host_port() {
    "$DEVENV" status --json |
        jq -r --arg box "$1" --argjson port "$2" '.boxes[] | select(.name == $box) | .ports[] | select(.box == $port) | .host' | head -n1
}

fetch() { curl -fsS --noproxy '*' --max-time 10 "$@"; }

interfaces() { find /sys/class/net -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -v '^veth' | sort; }

# Process ids of what runs for this journey: our program, or anything in namespaces other than this shell's whose mounts come from $sandbox.
our_processes() {
    me=$(readlink /proc/self/ns/mnt)
    for folder in /proc/[0-9]*; do
        case $(readlink "$folder/exe" 2>/dev/null) in
            "$DEVENV" | "$DEVENV (deleted)")
                # The shell that runs this journey is not it, nor is another journey's box.
                if tr '\0' '\n' <"$folder/environ" 2>/dev/null | grep -qxF "DEVENV_HOME=$DEVENV_HOME" ||
                    grep -qsF "$sandbox" "$folder/cmdline" "$folder/mountinfo"; then
                    echo "${folder#/proc/}"
                fi
                continue
                ;;
            "${there:-/nowhere}"/*)
                echo "${folder#/proc/}"
                continue
                ;;
            */qemu-system-*)
                ! grep -qsF "$sandbox" "$folder/cmdline" || echo "${folder#/proc/}"
                continue
                ;;
        esac
        namespace=$(readlink "$folder/ns/mnt" 2>/dev/null) || continue
        if [ "$namespace" != "$me" ] && grep -qsF -e "$sandbox" -e "${there:-$sandbox}" "$folder/mountinfo"; then
            echo "${folder#/proc/}"
        fi
    done
}

our_cgroups() { find /sys/fs/cgroup -type d -path '*/devenv/*' 2>/dev/null || true; }

# Every project of this journey: down.
take_down() {
    cd / || return
    find "$work" -name devenv.toml -not -path '*/.git/*' 2>/dev/null | while read -r file; do
        timeout 60 "$DEVENV" -C "$(dirname "$file")" down --volumes </dev/null >"$sandbox/down" 2>&1 ||
            { echo "not ok - down in $(dirname "$file")"; show "$sandbox/down"; touch "$sandbox/down-failed"; }
    done
    remove_vm >"$sandbox/down" 2>&1 || { show "$sandbox/down"; touch "$sandbox/down-failed"; }
    [ ! -e "$sandbox/down-failed" ]
}

nothing_runs() { [ -z "$(our_processes)" ]; }

# The promise: no process, mount, network interface or cgroup of ours is left.
assert_clean() {
    if within 5 nothing_runs; then
        ok "no process is left"
    else
        not_ok "processes are left"
        for pid in $(our_processes); do
            printf '    %s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        done
    fi
    if grep -F "$sandbox" /proc/self/mountinfo >"$sandbox/mounts" 2>/dev/null; then
        if grep -vF "$sandbox/expected-mount" "$sandbox/mounts" >"$sandbox/mounts-left"; then
            not_ok "mounts are left"
            show "$sandbox/mounts-left"
        fi
    else
        ok "no mount is left"
    fi
    same "no network interface is left" "$interfaces_before" "$(interfaces)"
    left=$(our_cgroups)
    if [ -n "$left" ] && [ -z "${DEVENV_TEST_SHARED_MACHINE:-}" ]; then
        not_ok "cgroups are left"
        printf '%s\n' "$left" | sed 's/^/    /'
    else
        ok "no cgroup is left"
    fi
}

# Removes $sandbox also where a store has files of sub-uids.
remove_sandbox() {
    cd / || return
    umount -l "$sandbox/expected-mount" 2>/dev/null
    chmod -R u+rwX "$sandbox" 2>/dev/null
    rm -rf "$sandbox" 2>/dev/null && return
    unshare --map-root-user --map-auto rm -rf "$sandbox" 2>/dev/null
    rm -rf "$sandbox" 2>/dev/null || true
}

leave() {
    status=$1
    trap - EXIT
    # Whoever read our output may be gone; the cleaning goes on.
    trap '' INT TERM HUP PIPE
    [ ! -d "$sandbox" ] || {
        [ -n "$went_down" ] || take_down
        for pid in $(our_processes); do
            kill -9 "$pid" 2>/dev/null
        done
        leave_there
        remove_sandbox
    }
    exit "$status"
}

# Takes everything down, checks that nothing is left, and ends the journey.
finish() {
    went_down=yes
    if take_down; then ok "everything goes down"; else not_ok "everything goes down"; fi
    assert_clean
    printf '# %s: %s passed, %s failed\n' "$title" "$passed" "$failed"
    if [ "$failed" -eq 0 ]; then leave 0; else leave 1; fi
}
