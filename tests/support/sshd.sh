# shellcheck shell=sh
# A remote host on loopback: an sshd with keys and configuration of its own, another account where this is root, and an
# `ssh` in PATH that knows it as `there`. Source it, then:
#
#   start_sshd FOLDER [LINES OF sshd_config]
#
# FOLDER has to be one that the account may enter. Afterwards: $place (ssh://there), $sshd_pid, $there_user, and
# as_there COMMAND… which runs a command as the account with its folders. stop_sshd ends it.
# shellcheck disable=SC2034 # they are read by journeys and benchmarks

start_sshd() {
    there=$1/there
    mkdir -p "$there/bin" "$there/cache" "$there/state" "$there/runtime"
    chmod 755 "$there"
    chmod 700 "$there/runtime"
    there_user=$(id -un)
    if [ "$(id -u)" -eq 0 ]; then
        there_user=devenv-test
        mkdir -p /run/sshd
        chown "$there_user" "$there/cache" "$there/state" "$there/runtime"
    fi
    ssh-keygen -q -t ed25519 -N '' -f "$there/key"
    ssh-keygen -q -t ed25519 -N '' -f "$there/host"
    there_port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >"$there/sshd_config" <<CONF
${2:-}
Port $there_port
ListenAddress 127.0.0.1
HostKey $there/host
AuthorizedKeysFile $there/key.pub
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
PrintMotd no
MaxStartups 100
SetEnv XDG_CACHE_HOME=$there/cache XDG_RUNTIME_DIR=$there/runtime DEVENV_HOME=$there/state
CONF
    printf '[127.0.0.1]:%s %s\n' "$there_port" "$(cat "$there/host.pub")" >"$there/known_hosts"
    cat >"$there/config" <<CONF
Host there
  HostName 127.0.0.1
  Port $there_port
  User $there_user
  IdentityFile $there/key
  IdentitiesOnly yes
  UserKnownHostsFile $there/known_hosts
  GlobalKnownHostsFile none
CONF
    real_ssh=$(command -v ssh)
    printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$real_ssh" "$there/config" >"$there/bin/ssh"
    chmod 755 "$there/bin/ssh"
    PATH=$there/bin:$PATH
    export PATH
    place=ssh://there
    /usr/sbin/sshd -D -e -f "$there/sshd_config" >"$there/sshd.log" 2>&1 </dev/null &
    sshd_pid=$!
    tries=0
    until python3 -c "import socket; socket.create_connection(('127.0.0.1', $there_port))" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { cat "$there/sshd.log" >&2; return 1; }
        sleep 0.1
    done
}

as_there() {
    set -- env XDG_CACHE_HOME="$there/cache" XDG_RUNTIME_DIR="$there/runtime" DEVENV_HOME="$there/state" "$@"
    if [ "$(id -un)" = "$there_user" ]; then "$@"; else runuser -u "$there_user" -- "$@"; fi
}

stop_sshd() {
    # Its sessions are children with the same command line's configuration.
    pkill -P "$sshd_pid" 2>/dev/null
    kill "$sshd_pid" 2>/dev/null
    wait "$sshd_pid" 2>/dev/null
}
