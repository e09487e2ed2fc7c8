# shellcheck shell=sh
# The peers of a benchmark: dockerd, podman and runc with state of their own, as root and as an ordinary user, and the
# table that `interleave` makes of them.
# shellcheck disable=SC2034,SC2154 # the benchmarks read what is set here; folder, registry, images, rounds, cleanups are set by `run`

cleanup() { cleanups="$1
$cleanups"; }

run_cleanups() {
    trap '' INT TERM HUP PIPE
    printf '%s' "$cleanups" | while read -r line; do
        [ -z "$line" ] || (cd / && sh -c "$line") >/dev/null 2>&1 </dev/null || true
    done
    # Background processes of the ordinary user (podman's pause process, pasta) know the folder from their environment.
    for process in /proc/[0-9]*; do
        [ "$(stat -c %U "$process" 2>/dev/null)" = devenv-test ] || continue
        ! grep -qsF "$folder/" "$process/environ" "$process/cmdline" || kill -9 "${process#/proc/}" 2>/dev/null || true
    done
    # What the peers leave mounted below the folder, deepest first.
    awk -v folder="$folder/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mount; do
        umount -l "$mount" 2>/dev/null || true
    done
    rm -rf "$folder"
}

describe_machine() {
    printf '%s CPUs, %s MB of memory, Linux %s, %s\n' "$(nproc)" "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
        "$(uname -r)" "$(. /etc/os-release && echo "$PRETTY_NAME")"
    printf 'devenv %s; %s; podman %s; runc %s; load when it began %s\n' \
        "$(if [ -n "$DEVENV" ]; then "$DEVENV" --version | cut -d' ' -f2; else echo 'not measured'; fi)" \
        "$(dockerd --version | cut -d, -f1)" "$(podman --version | cut -d' ' -f3)" "$(runc --version | awk 'NR == 1 { print $3 }')" \
        "$(cut -d' ' -f1 /proc/loadavg)"
}

# Homes for root and for the ordinary user; what they need in their environment goes to every command.
prepare_homes() {
    mkdir -p "$folder/root" "$folder/user"
    for who in root user; do
        mkdir -p "$folder/$who/home" "$folder/$who/state" "$folder/$who/runtime" "$folder/$who/project"
        chmod 700 "$folder/$who/runtime"
        cat >"$folder/$who/containers.conf" <<CONF
[containers]
default_ulimits = []
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
CONF
    done
    chown -R devenv-test: "$folder/user"
    HOME=$folder/root/home DEVENV_HOME=$folder/root/state XDG_RUNTIME_DIR=$folder/root/runtime
    CONTAINERS_CONF=$folder/root/containers.conf DOCKER_HOST=unix://$folder/docker.sock
    DOCKER_CONFIG=$folder/root/docker
    mkdir -p "$DOCKER_CONFIG"
    echo '{}' >"$DOCKER_CONFIG/config.json"
    export HOME DEVENV_HOME XDG_RUNTIME_DIR CONTAINERS_CONF DOCKER_HOST DOCKER_CONFIG
    # Left to itself, podman falls back to copying whole images (vfs) where /dev/fuse cannot be opened.
    podman_root="podman --storage-driver overlay --root $folder/root/podman --runroot $folder/root/podman-run"
    podman_user="podman --storage-driver overlay --root $folder/user/podman --runroot $folder/user/podman-run"
    runc_root="runc --root $folder/root/runc"
    runc_user="runc --root $folder/user/runc"
    if [ -n "$DEVENV" ]; then
        for who in root user; do
            cleanup "as=$who; $(as_words $who) $DEVENV -C $folder/$who/project down --volumes"
        done
    fi
}

# slirp4netns and pasta need this device; distributions let everyone open it, some machines do not.
open_tun() {
    mode=$(stat -c %a /dev/net/tun 2>/dev/null) || return 0
    [ "$mode" != 666 ] || return 0
    chmod 666 /dev/net/tun
    cleanup "chmod $mode /dev/net/tun"
}

# The words that run a command as root or as the ordinary user, with its environment.
as_words() {
    if [ "$1" = root ]; then
        echo env
    else
        echo "runuser -u devenv-test -- env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 HOME=$folder/user/home" \
            "DEVENV_HOME=$folder/user/state XDG_RUNTIME_DIR=$folder/user/runtime CONTAINERS_CONF=$folder/user/containers.conf"
    fi
}

# as root|user COMMAND…
as() {
    person=$(as_words "$1")
    shift
    # shellcheck disable=SC2086 # a list of words
    (cd "$folder" && $person "$@")
}

start_dockerd() {
    [ ! -S "$folder/docker.sock" ] || return 0
    had_bridge=$(ip -o link show docker0 2>/dev/null || true)
    dockerd --data-root "$folder/docker" --exec-root "$folder/docker-exec" -H "$DOCKER_HOST" -p "$folder/docker.pid" \
        --storage-driver "${DOCKER_STORAGE:-overlay2}" --iptables=false --ip6tables=false --ip-forward=false \
        >"$folder/docker.log" 2>&1 &
    dockerd_pid=$!
    [ -n "$had_bridge" ] || cleanup "ip link del docker0"
    cleanup "kill $dockerd_pid; i=0; while kill -0 $dockerd_pid && [ \$i -lt 100 ]; do sleep 0.1; i=\$((i + 1)); done; kill -9 $dockerd_pid"
    tries=0
    until docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 200 ]; then
            tail -n 20 "$folder/docker.log" >&2
            return 1
        fi
        sleep 0.1
    done
    cleanup "docker ps -aq | xargs -r docker rm -f"
    docker pull -q "$registry/debian:bookworm" >/dev/null
    docker tag "$registry/debian:bookworm" debian:bookworm
}

# start_podman root|user: its image.
start_podman() {
    [ ! -e "$folder/$1/podman-ready" ] || return 0
    eval "words=\$podman_$1"
    # shellcheck disable=SC2086 # a list of words
    as "$1" $words pull -q --tls-verify=false "$registry/debian:bookworm" >"$folder/podman.log" 2>&1 ||
        { cat "$folder/podman.log" >&2; return 1; }
    cleanup "$(as_words "$1") $words rm -af -t 0; $(as_words "$1") $words unshare rm -rf $folder/user/podman"
    touch "$folder/$1/podman-ready"
}

# start_runc root|user NAME: a container of the Debian image that sleeps; sets $runc_pid.
start_runc() {
    bundle=$folder/$1/bundle-$2
    eval "words=\$runc_$1"
    mkdir -p "$bundle/rootfs"
    tar -xf "$images/debian.tar" -C "$bundle/rootfs" --exclude='./dev/*'
    [ "$1" = root ] || chown -R devenv-test: "$bundle"
    if [ "$1" = root ]; then as root runc spec --bundle "$bundle"; else as user runc spec --rootless --bundle "$bundle"; fi
    jq '.process.terminal = false | .process.args = ["sleep", "infinity"] | del(.process.rlimits) | .root.readonly = false' \
        "$bundle/config.json" >"$bundle/config.new"
    cat "$bundle/config.new" >"$bundle/config.json"
    # shellcheck disable=SC2086 # a list of words
    as "$1" $words run --detach --bundle "$bundle" --pid-file "$bundle/pid" "$2" </dev/null >/dev/null 2>"$bundle/log" ||
        { cat "$bundle/log" >&2; return 1; }
    cleanup "$(as_words "$1") $words delete -f $2"
    runc_pid=$(cat "$bundle/pid")
}

# devenv_project root|user: a project as the peers' containers are: Debian, a network, `sleep`.
devenv_project() {
    [ -n "$DEVENV" ] || return 0
    cat >"$folder/$1/project/devenv.toml" <<TOML
image   = "$registry/debian:bookworm"
command = ["sleep", "infinity"]
TOML
    as "$1" "$DEVENV" -q -C "$folder/$1/project" up
}

# row LABEL GOAL PREPARE COMMAND: one line of the next table.
row() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$folder/rows"; }

# table root|user TITLE: measures the rows in turn and prints them.
table() {
    printf '\n**%s** (as %s, %s runs each, in turn)\n\n' "$2" "$([ "$1" = root ] && echo root || echo 'an ordinary user')" "$rounds"
    as "$1" "$folder/interleave" "$rounds" "$folder/rows"
    rm -f "$folder/rows"
}
