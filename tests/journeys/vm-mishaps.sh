#!/bin/sh
# journey: the managed VM and this computer's disk, QEMU killed while `up` works, and boxes that run when it shall go
# may take: 600
# runs as: root
. "$(dirname "$0")/../support/journey.sh"
journey "the managed VM's mishaps"

[ -n "${DEVENV_GUEST:-}" ] || skip "DEVENV_GUEST is not set (tests/run sets it)"
command -v "qemu-system-$(uname -m)" >/dev/null || skip "there is no QEMU"
need_registry
# This computer's disk, as far as the VM knows it.
disk=$sandbox/expected-mount
mkdir "$disk"
mount -t tmpfs -o size=1400m none "$disk" || skip "no file system can be mounted"
export DEVENV_HOME="$disk/home"
mkdir "$DEVENV_HOME"
printf 'place = "vm"\n[vm]\nmemory = "512m"\ncpus = 2\ndisk = "1g"\naccelerator = "tcg"\n' >"$DEVENV_HOME/config.toml"
in_box() { "$DEVENV" exec -T -- "$@"; }
status() { "$DEVENV" vm status --json | jq -r ".$1"; }
is() { [ "$(status state)" = "$1" ]; }
taken_mb() { echo $(($(status disk_used_bytes) >> 20)); }
at_most_mb() { [ "$(taken_mb)" -le "$1" ]; }

project mishaps <<TOML
image   = "$registry/busybox:latest"
volumes = ["data:/data"]
[services.web]
image   = "$registry/busybox:latest"
command = ["sleep", "100000"]
TOML

# `up` may also meet the VM in the moment of its end, say that the connection was lost, and leave it to the next.
has_ended() { [ "$(ps -o state= -p "$1")" = Z ] || ! kill -0 "$1" 2>/dev/null; }
comes() { is "$moment" || has_ended "$up"; }
# Killed while it is started, as soon as it is ready, and while it works; DEVENV_TEST_KILLS names more moments.
for when in ${DEVENV_TEST_KILLS:-starting:0.3 running:0.1 running:1.5}; do
    moment=${when%:*} delay=${when#*:}
    kill -9 "$(status pid)" 2>/dev/null
    timeout 100 "$DEVENV" up >"$sandbox/up" 2>&1 &
    up=$!
    within 60 comes || not_ok "the VM is $moment"
    sleep "$delay"
    kill -9 "$(status pid)" 2>/dev/null
    wait "$up"
    ended=$?
    [ "$ended" -ne 124 ] || { not_ok "up ends when QEMU is killed $delay s after it is $moment"; show "$sandbox/up"; }
    check "QEMU killed $delay s after it is $moment: up ended ($ended), and the next heals" timeout 100 "$DEVENV" up
done
same "both boxes run" 2 "$("$DEVENV" status --json | jq '[.boxes[] | select(.state == "running")] | length')"

# What is deleted in a box comes back.
before=$(taken_mb)
check "a box writes 200 MB" in_box sh -c 'dd if=/dev/urandom of=/data/big bs=1M count=200 2>/dev/null && sync'
check "they are taken from this computer's disk" test "$(taken_mb)" -ge $((before + 190))
check "and deletes them" in_box sh -c 'rm /data/big && sync'
check "they come back" within 30 at_most_mb $((before + 40))

# The VM's own disk is full.
exits "a box fills the VM's disk" 1 in_box dd if=/dev/zero of=/data/big bs=1M
says "and is told" "No space left on device"
check "a program still runs in it" in_box true
project large <<TOML
image = "$registry/debian:bookworm"
TOML
exits "an image that does not fit" 1 "$DEVENV" up
says "is told so" "No space left on device"
cd "$work/mishaps" || exit 1
check "what was written is removed" in_box rm /data/big
check "and there is room again" in_box dd if=/dev/zero of=/data/small bs=1M count=20

# This computer's disk is full.
room_kb=$(df -k --output=avail "$disk" | tail -n1)
fallocate -l "$((room_kb - 20 * 1024))K" "$disk/filler"
in_box sh -c 'dd if=/dev/urandom of=/data/big bs=1M count=150 2>/dev/null && sync && echo written' >"$sandbox/written" 2>&1 &
writer=$!
check "the VM stands still when this computer's disk is full" within 60 is paused
same "and says why" "this computer's disk is full" "$(status reason)"
exits "a start meanwhile" 1 "$DEVENV" vm start
says "says what is missing" "has only [0-9]+ MB left"
rm "$disk/filler"
check "with room again it starts" "$DEVENV" vm start
says "and goes on" "it goes on"
check "the next command works" within 60 in_box true
wait "$writer"
echo "# the writer said: $(cat "$sandbox/written")"
check "nothing is damaged" in_box sh -c 'rm -f /data/big && echo x >/data/again && sync'

# Somebody else.
cp "$DEVENV" "$sandbox/devenv" && chmod 755 "$sandbox" "$disk" "$DEVENV_HOME" "$DEVENV_HOME/data"
exits "somebody else's start" 1 setpriv --reuid 65534 --regid 65534 --clear-groups "$sandbox/devenv" vm start
says "is refused" "permission denied|belongs to somebody else"

exits "vm stop with boxes running, and nobody to ask" 1 "$DEVENV" vm stop
says "names them" "in it run dev and web of mishaps"
says "and says how not to be asked" "repeat with --yes"
exits "vm rm" 1 "$DEVENV" vm rm
says "names them" "in it run dev and web of mishaps"
same "it still runs" running "$(status state)"
check "vm stop --yes" "$DEVENV" vm stop --yes
check "its disk is clean" e2fsck -fn "$DEVENV_HOME/data/vm/disk.raw"
check "down" "$DEVENV" down
check "vm stop without boxes asks nothing" "$DEVENV" vm stop
check "vm rm --yes" "$DEVENV" vm rm --yes
finish
