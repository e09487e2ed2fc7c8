#!/bin/sh
# journey: what only the guest of the managed VM can show: limits on cgroup v2, its clock, its disk, its end
# may take: 600
# runs as: user
. "$(dirname "$0")/../support/journey.sh"
journey "the managed VM's guest"

[ "$place" = here ] || skip "it brings a VM of its own"
[ -n "${DEVENV_GUEST:-}" ] || skip "DEVENV_GUEST is not set (tests/run sets it)"
command -v "qemu-system-$(uname -m)" >/dev/null || skip "there is no QEMU"
need_registry
mkdir -p "$DEVENV_HOME"
settings() { printf 'place = "vm"\n[vm]\nmemory = "512m"\ncpus = 2\ndisk = "4g"\naccelerator = "tcg"\n%s\n' "$1" >"$DEVENV_HOME/config.toml"; }
settings ""
folder=$DEVENV_HOME/data/vm
in_box() { "$DEVENV" exec -T -- "$@"; }
state() { "$DEVENV" vm status --json | jq -r .state; }
is() { [ "$(state)" = "$1" ]; }

project limited <<TOML
image = "$registry/busybox:latest"
[resources]
memory = "64m"
cpus   = 0.5
pids   = 40
TOML
check "a box with limits" "$DEVENV" up
same "its group says so" "67108864 50000 100000 40" \
    "$(in_box cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max | xargs)"
exits "who takes too much memory is killed" 137 in_box dd if=/dev/zero of=/dev/null bs=200M count=1
check "and counted" in_box grep -q '^oom_kill [1-9]' /sys/fs/cgroup/memory.events
# shellcheck disable=SC2016 # for the box's shell
in_box sh -c 'i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i + 1)); done' >"$sandbox/out" 2>"$sandbox/err"
says "who forks too often is refused" "fork"
check "and may again when they have ended" within 60 in_box true
in_box timeout 2 sh -c 'while :; do :; done' >/dev/null 2>&1
check "who computes too much is held back" in_box grep -q '^nr_throttled [1-9]' /sys/fs/cgroup/cpu.stat

# An emulated exec takes a second itself: the answer has to lie between before and after.
near() { before=$(date +%s) && inside=$(in_box date +%s) && [ "$inside" -ge $((before - 1)) ] && [ "$inside" -le $(($(date +%s) + 1)) ]; }
check "the clock is this computer's" near
pid=$("$DEVENV" vm status --json | jq -r .pid)
kill -STOP "$pid"
# Longer than the connection lasts without an answer.
sleep "${DEVENV_TEST_SLEEP_SECONDS:-20}"
kill -CONT "$pid"
check "and again after the VM stood still" within 20 near

check "the VM stops with the box in it" "$DEVENV" vm stop --yes
same "it has stopped" stopped "$(state)"
check "its disk is clean" e2fsck -fn "$folder/disk.raw"

# The backups of the superblock as well: nothing is guessed.
cp --sparse=always "$folder/disk.raw" "$sandbox/good.raw"
dd if=/dev/urandom of="$folder/disk.raw" bs=1M count=64 conv=notrunc 2>/dev/null
exits "a damaged disk" 1 "$DEVENV" vm start
says "is told" "holds no file system of ours|disk is damaged"
within 20 is stopped || not_ok "a guest that cannot go on ends"
cp --sparse=always "$sandbox/good.raw" "$folder/disk.raw"

settings "idle = 1"
check "with its disk back it starts" "$DEVENV" up
check "down" "$DEVENV" down
check "the VM is used no more" is running
within 120 is stopped && ok "a VM nobody uses ends itself" || not_ok "a VM nobody uses ends itself"
check "remove the VM" "$DEVENV" vm rm --yes
finish
