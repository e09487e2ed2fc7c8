# shellcheck shell=sh
# From no VM to the first command answered in it: ours, and a Debian guest with systemd and sshd as peers have one, both in
# QEMU with the same accelerator, CPUs and memory, each with a disk that exists already.
# shellcheck disable=SC2154 # set by `run` and peers.sh

need_packages e2fsprogs openssh-client qemu-system-x86 xz-utils zstd

vm_cpus=2
vm_memory=2048
machine=$(uname -m)

# A Debian guest: its kernel with the distribution's initramfs, systemd, sshd, a disk of 4 GB.
make_debian_guest() {
    guest=$folder/debian-guest
    mkdir "$guest"
    echo "Making the Debian guest (mmdebstrap, two minutes)" >&2
    ssh-keygen -q -t ed25519 -N '' -f "$guest/key"
    # shellcheck disable=SC2016 # expanded by mmdebstrap's shell
    mmdebstrap --quiet --mode=root --variant=minbase \
        --include="linux-image-cloud-$(dpkg --print-architecture),systemd-sysv,udev,dbus,openssh-server,systemd-resolved" \
        --customize-hook='printf "[Match]\nName=e*\n[Network]\nDHCP=yes\n" >"$1/etc/systemd/network/80-dhcp.network"' \
        --customize-hook='chroot "$1" systemctl enable systemd-networkd ssh' \
        --customize-hook="mkdir -p -m 700 \"\$1/root/.ssh\" && cp '$guest/key.pub' \"\$1/root/.ssh/authorized_keys\"" \
        --customize-hook='printf "/dev/vda / ext4 rw,discard 0 1\n" >"$1/etc/fstab"; echo debian >"$1/etc/hostname"' \
        bookworm "$guest/root" >"$guest/log" 2>&1 || { tail "$guest/log" >&2; return 1; }
    cp "$guest"/root/boot/vmlinuz-* "$guest/vmlinuz"
    cp "$guest"/root/boot/initrd.img-* "$guest/initrd"
    mke2fs -q -t ext4 -d "$guest/root" "$guest/disk" 4G
    rm -rf "$guest/root"
    guest_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >"$folder/debian-stop" <<STOP
#!/bin/sh
[ ! -e "$guest/pid" ] || kill -9 \$(cat "$guest/pid") 2>/dev/null
rm -f "$guest/pid"
STOP
    cat >"$folder/debian-start" <<START
#!/bin/sh
qemu-system-$machine -machine q35 -accel $1 -cpu $2 -smp $vm_cpus -m $vm_memory -kernel "$guest/vmlinuz" -initrd "$guest/initrd" \\
    -append "root=/dev/vda rw console=ttyS0 quiet" -drive "file=$guest/disk,format=raw,if=virtio,snapshot=on" \\
    -netdev user,id=net,hostfwd=tcp:127.0.0.1:$guest_port-:22 -device virtio-net-pci,netdev=net \\
    -serial "file:$guest/console" -display none -nodefaults -pidfile "$guest/pid" -daemonize
for try in \$(seq 600); do
    ssh -q -i "$guest/key" -p $guest_port -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
        -o ConnectTimeout=2 root@127.0.0.1 true </dev/null && exit 0
    sleep 0.1
done
exit 1
START
    chmod 755 "$folder/debian-start" "$folder/debian-stop"
    cleanup "$folder/debian-stop"
}

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
make_debian_guest "$accelerator" "$([ "$accelerator" = tcg ] && echo max || echo host)"

rounds_of_others=$rounds
rounds=${ROUNDS:-5}
row "devenv --place vm image list" - "$DEVENV -q vm stop" "$DEVENV -q --place vm image list"
row "Debian, systemd, sshd: ssh true" 0.167 "$folder/debian-stop" "$folder/debian-start"
table root "vm-boot: from no VM to the first command answered ($accelerator, $vm_cpus CPUs)"
rounds=$rounds_of_others

# Idle: what is left after half a minute of rest.
"$DEVENV" -q vm start >/dev/null
"$folder/debian-stop"
"$folder/debian-start"
sleep 30
used=$("$DEVENV" vm ssh | sed -n 's/^memory *\([0-9]*\) MB used.*/\1/p')
printf '\n| | devenv | Debian guest | goal |\n|---|---|---|---|\n'
# As `devenv vm ssh` counts: what is taken and would not be given up when asked for.
printf '| guest, to download | %s MB | %s | 20 MB |\n' "$(du -m --apparent-size "$DEVENV_GUEST" | cut -f1)" "$(du -m "$guest/disk" | cut -f1) MB unpacked"
printf '| memory used in the idle guest | %s MB | %s MB | 64 MB |\n' "$used" \
    "$(ssh -q -i "$guest/key" -p "$guest_port" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1 \
        "awk '{ m[\$1] = \$2 } END { kept = m[\"Shmem:\"] > m[\"Unevictable:\"] ? m[\"Shmem:\"] : m[\"Unevictable:\"]
            print int((m[\"MemTotal:\"] + kept - m[\"MemFree:\"] - m[\"Buffers:\"] - m[\"Cached:\"] - m[\"SReclaimable:\"]) / 1024) }' /proc/meminfo" </dev/null)"
printf '| resident memory of QEMU | %s MB | %s MB | |\n' "$(resident_mb "$("$DEVENV" vm status --json | jq .pid)")" "$(resident_mb "$(cat "$guest/pid")")"
"$folder/debian-stop"
"$DEVENV" -q vm stop
