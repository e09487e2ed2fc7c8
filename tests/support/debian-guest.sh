# shellcheck shell=sh
# A Debian computer in QEMU, with systemd and sshd: what peers boot, and where systemd's ways can be tried.
#
#   debian_guest FOLDER CPUS MEMORY_MB PACKAGE…
#
# makes FOLDER with a disk and four scripts: `start ACCELERATOR CPU` (returns when ssh answers), `stop`, `as USER COMMAND…`
# (over ssh; USER is root or dev) and `pid`, a file. What happens in the guest is forgotten at `stop`.

debian_guest() {
    guest=$1 guest_cpus=$2 guest_memory=$3
    shift 3
    mkdir "$guest"
    echo "Making a Debian guest (mmdebstrap, two minutes)" >&2
    ssh-keygen -q -t ed25519 -N '' -f "$guest/key"
    packages=$(echo "linux-image-cloud-$(dpkg --print-architecture)" systemd-sysv udev dbus openssh-server systemd-resolved "$@" | tr ' ' ',')
    # shellcheck disable=SC2016 # expanded by mmdebstrap's shell
    mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
        --customize-hook='printf "[Match]\nName=e*\n[Network]\nDHCP=yes\n" >"$1/etc/systemd/network/80-dhcp.network"' \
        --customize-hook='chroot "$1" systemctl enable systemd-networkd ssh' \
        --customize-hook='chroot "$1" useradd --create-home --shell /bin/bash dev; chroot "$1" usermod -p "*" dev' \
        --customize-hook="for home in /root /home/dev; do mkdir -p -m 700 \"\$1\$home/.ssh\" && cp '$guest/key.pub' \"\$1\$home/.ssh/authorized_keys\"; done" \
        --customize-hook='chroot "$1" chown -R dev:dev /home/dev' \
        --customize-hook='printf "/dev/vda / ext4 rw,discard 0 1\n" >"$1/etc/fstab"; echo debian >"$1/etc/hostname"' \
        bookworm "$guest/root" >"$guest/log" 2>&1 || { tail "$guest/log" >&2; return 1; }
    cp "$guest"/root/boot/vmlinuz-* "$guest/vmlinuz"
    cp "$guest"/root/boot/initrd.img-* "$guest/initrd"
    mke2fs -q -t ext4 -d "$guest/root" "$guest/disk" 4G
    rm -rf "$guest/root"
    guest_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >"$guest/as" <<AS
#!/bin/sh
user=\$1
shift
exec ssh -q -i "$guest/key" -p $guest_port -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
    -o ConnectTimeout="\${PATIENCE_S:-30}" "\$user@127.0.0.1" "\$@"
AS
    cat >"$guest/stop" <<STOP
#!/bin/sh
[ ! -e "$guest/pid" ] || kill -9 \$(cat "$guest/pid") 2>/dev/null
rm -f "$guest/pid"
STOP
    cat >"$guest/start" <<START
#!/bin/sh
qemu-system-$(uname -m) -machine q35 -accel "\$1" -cpu "\$2" -smp $guest_cpus -m $guest_memory -kernel "$guest/vmlinuz" -initrd "$guest/initrd" \\
    -append "root=/dev/vda rw console=ttyS0 quiet" -drive "file=$guest/disk,format=raw,if=virtio,snapshot=on" \\
    -netdev user,id=net,hostfwd=tcp:127.0.0.1:$guest_port-:22 -device virtio-net-pci,netdev=net \\
    -serial "file:$guest/console" -display none -nodefaults -pidfile "$guest/pid" -daemonize
for try in \$(seq 1200); do
    PATIENCE_S=2 "$guest/as" root true </dev/null && exit 0
    sleep 0.1
done
exit 1
START
    chmod 755 "$guest/start" "$guest/stop" "$guest/as"
}
