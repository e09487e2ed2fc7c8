# shellcheck shell=sh
# From no VM to the first command answered in it, and further commands: ours, and a Debian guest with systemd and sshd as
# peers have one, both in QEMU with the same accelerator, CPUs and memory, each with a disk that exists already.
# shellcheck disable=SC2154 # set by `run` and peers.sh

# shellcheck source=../support/debian-guest.sh
. "$here/../support/debian-guest.sh"
need_packages e2fsprogs openssh-client qemu-system-x86 xz-utils zstd

vm_cpus=2
vm_memory=2048
machine=$(uname -m)

resident_mb() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$1/status"; }

[ -n "$DEVENV" ] || { echo "vm-boot measures devenv and a peer: it needs a devenv" >&2; exit 1; }
if [ -z "${DEVENV_GUEST:-}" ]; then
    DEVENV_GUEST=$folder/guest.tar.zst
    "$checkout/.ci/guest" "$machine" "$DEVENV_GUEST"
fi
export DEVENV_GUEST
export DEVENV_HOME="$folder/vm-home"
mkdir "$DEVENV_HOME"
printf '[vm]\ncpus = %s\nmemory = "%sm"\n' "$vm_cpus" "$vm_memory" >"$DEVENV_HOME/config.toml"
cleanup "DEVENV_HOME=$DEVENV_HOME $DEVENV vm rm --yes"
"$DEVENV" -q vm start >/dev/null
accelerator=$("$DEVENV" vm status --json | jq -r .accelerator)
guest=$folder/debian-guest
debian_guest "$guest" "$vm_cpus" "$vm_memory"
cleanup "$guest/stop"
start_debian="$guest/start $accelerator $([ "$accelerator" = tcg ] && echo max || echo host)"

rounds_of_others=$rounds
rounds=${ROUNDS:-5}
row "devenv --place vm image list" - "$DEVENV -q vm stop" "$DEVENV -q --place vm image list"
row "Debian, systemd, sshd: ssh true" 0.167 "$guest/stop" "$start_debian"
table root "vm-boot: from no VM to the first command answered ($accelerator, $vm_cpus CPUs)"
rounds=$rounds_of_others

# Idle: what is left after half a minute of rest.
"$DEVENV" -q vm start >/dev/null
"$guest/stop"
$start_debian
sleep 30
used=$("$DEVENV" vm ssh | sed -n 's/^memory *\([0-9]*\) MB used.*/\1/p')
printf '\n| | devenv | Debian guest | goal |\n|---|---|---|---|\n'
# As `devenv vm ssh` counts: what is taken and would not be given up when asked for.
printf '| guest, to download | %s MB | %s | 20 MB |\n' "$(du -m --apparent-size "$DEVENV_GUEST" | cut -f1)" "$(du -m "$guest/disk" | cut -f1) MB unpacked"
printf '| memory used in the idle guest | %s MB | %s MB | 64 MB |\n' "$used" \
    "$("$guest/as" root \
        "awk '{ m[\$1] = \$2 } END { kept = m[\"Shmem:\"] > m[\"Unevictable:\"] ? m[\"Shmem:\"] : m[\"Unevictable:\"]
            print int((m[\"MemTotal:\"] + kept - m[\"MemFree:\"] - m[\"Buffers:\"] - m[\"Cached:\"] - m[\"SReclaimable:\"]) / 1024) }' /proc/meminfo" </dev/null)"
printf '| resident memory of QEMU | %s MB | %s MB | |\n' "$(resident_mb "$("$DEVENV" vm status --json | jq .pid)")" "$(resident_mb "$(cat "$guest/pid")")"

# A command in a box there, beside one of the Debian guest over a connection that is kept.
mkdir "$folder/in-vm"
printf 'image = "%s/busybox:latest"\n' "$registry" >"$folder/in-vm/devenv.toml"
"$DEVENV" -q -C "$folder/in-vm" --place vm up
ssh -q -M -N -f -S "$folder/debian-kept" -i "$guest/key" -p "$guest_port" -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null root@127.0.0.1 </dev/null >/dev/null 2>&1
row "devenv exec -T -- true" - - "$DEVENV -q -C $folder/in-vm --place vm exec -T -- /bin/true"
row "Debian, systemd, sshd: ssh true (kept connection)" 3 - "ssh -S $folder/debian-kept there true"
table root "vm-boot: true in the VM ($accelerator, $vm_cpus CPUs)"
ssh -q -S "$folder/debian-kept" -O exit there 2>/dev/null || true
"$DEVENV" -q -C "$folder/in-vm" --place vm down
"$guest/stop"
"$DEVENV" -q vm stop
