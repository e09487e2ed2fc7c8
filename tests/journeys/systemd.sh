#!/bin/sh
# journey: an ordinary login of a computer with systemd and control groups of version 2, over ssh
# runs as: root
# places: only systemd
# may take: 1200
#
# Not among what tests/run does by itself, as the computer is emulated and takes minutes:
#
#   DEVENV_TEST_PLACE=systemd tests/run systemd
. "$(dirname "$0")/../support/journey.sh"
. "$(dirname "$0")/../support/debian-guest.sh"
journey "systemd and control groups of version 2"

debian_guest "$sandbox/debian" 2 2048 dbus-user-session libpam-systemd uidmap nftables iproute2 procps python3-minimal || exit 1
trap 'status=$?; "$sandbox/debian/stop"; leave $status' EXIT
"$sandbox/debian/start" tcg max || { show "$sandbox/debian/console"; exit 1; }
there() { "$sandbox/debian/as" dev "export PATH=\$HOME/.local/bin:\$PATH; cd p 2>/dev/null; $*" </dev/null; }

strip -o "$sandbox/devenv" "$DEVENV"
"$sandbox/debian/as" dev 'mkdir -p .local/bin p; cat >.local/bin/devenv; chmod +x .local/bin/devenv' <"$sandbox/devenv"
"$sandbox/debian/as" dev 'cat >p/devenv.toml' <<'TOML'
image     = "host"
command   = ["sleep", "1000"]
resources = { memory = "64m", pids = 30, cpus = 0.5 }
TOML
groups() { there 'find /sys/fs/cgroup -type d -path "*/devenv*"'; }

# The user's manager, and all that is in it, ends some seconds after the last login has: this one stays.
# Its program ends with it: what outlived the connection would count as logged in.
mkfifo "$sandbox/login"
"$sandbox/debian/as" dev cat <"$sandbox/login" &
login=$!
exec 9>"$sandbox/login"
same "a login has no groups of its own" "" "$(there 'find /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) -writable -name cgroup.procs')"
check "doctor knows the way" there 'devenv doctor | grep -q "^ok *resources .*systemd"'
check "up" there devenv up
says "and what ends with the login" 'linger'
exits "too much memory is killed" 137 there 'devenv exec -T -- python3 -c "x = bytearray(200 << 20)"'
same "processes are counted" 30 "$(there 'devenv exec -T -- cat /sys/fs/cgroup/pids.max')"
same "CPU time has its share" "50000 100000" "$(there 'devenv exec -T -- cat /sys/fs/cgroup/cpu.max')"
same "what enters is in the box's group" 0::/ "$(there 'devenv exec -T -- cat /proc/self/cgroup')"
check "down, from another login" there devenv down
same "no group is left" "" "$(groups)"
there 'devenv up & sleep 1; pkill -9 devenv' >/dev/null 2>&1
check "up after a killed one" there devenv up
check "restart" there devenv restart
there 'pkill -9 devenv-keeper'
check "exec without a keeper" there devenv exec -T -- true
check "down" there devenv down
same "no group is left of either" "" "$(groups)"
same "nor a process" "" "$(there 'pgrep -u dev -l devenv')"
there 'devenv up' >/dev/null 2>&1
check "root makes them lasting" "$sandbox/debian/as" root loginctl enable-linger dev
exec 9>&-
wait $login
lingers() { "$sandbox/debian/as" root loginctl show-user dev -p State </dev/null | grep -q lingering; }
within 60 lingers || not_ok "the last login has ended"
check "with lingering the box outlives the login" there devenv exec -T -- true
"$sandbox/debian/stop"
finish
