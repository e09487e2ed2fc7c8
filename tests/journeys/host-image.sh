#!/bin/sh
# journey: the README's first minutes: a project of this computer's own files, no download
# places: ssh
. "$(dirname "$0")/../support/journey.sh"
journey "image = host"

project hello <<'TOML'
image  = "host"
mounts = [".:/src"]
TOML
echo 'kept' >kept.txt
echo 'secret' >"$HOME/secret.txt"

check "up" "$DEVENV" up
check "a command runs in the box" "$DEVENV" exec -T -- sh -c 'test "$(cat /src/kept.txt)" = kept'
same "the working directory is the mounted source" /src "$("$DEVENV" exec -T -- pwd)"
same "the box has its own process numbers" "yes" \
    "$("$DEVENV" exec -T -- sh -c '[ "$(ls -d /proc/[0-9]* | wc -l)" -lt 10 ] && echo yes')"
exits "the user's home is hidden" 1 "$DEVENV" exec -T -- test -e "$HOME/secret.txt"
check "the box's own files can be written" "$DEVENV" exec -T -u root -- sh -c 'echo x >/etc/devenv-journey'
same "the host's are not touched" "no" "$([ -e /etc/devenv-journey ] && echo yes || echo no)"
check "a file made in the mount" "$DEVENV" exec -T -- sh -c 'echo made >/src/made.txt'
same "belongs to the person outside" "$(id -u):$(id -g)" "$(stat -c %u:%g made.txt)"
same "what a person makes belongs to the box's user" "$("$DEVENV" exec -T -- sh -c 'id -u')" \
    "$("$DEVENV" exec -T -- stat -c %u /src/kept.txt)"
check "the box has a loopback interface" "$DEVENV" exec -T -- grep -q 'lo:' /proc/net/dev
check "shell with a command" "$DEVENV" shell -- true
same "status says running" running "$(field dev state)"
check "stop" "$DEVENV" stop
same "status says stopped" stopped "$(field dev state)"
check "start" "$DEVENV" start
check "the writable layer was kept" "$DEVENV" exec -T -- test -e /etc/devenv-journey
check "down" "$DEVENV" down
same "down keeps the source" "kept made" "$(cat kept.txt made.txt | tr '\n' ' ' | sed 's/ $//')"
check "up again" "$DEVENV" up
exits "and the writable layer is new" 1 "$DEVENV" exec -T -- test -e /etc/devenv-journey
check "init writes a file that is right" sh -c 'mkdir "$1/new" && cd "$1/new" && "$DEVENV" init --no-input && "$DEVENV" config check' - "$work"
finish
