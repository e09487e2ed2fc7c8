#!/bin/sh
# journey: the program is one static file that works where the host's name service names modules it cannot load
. "$(dirname "$0")/../support/journey.sh"
journey "static program"

# Of a static program ldd says "not a dynamic executable", of a static position-independent one "statically linked".
ldd "$DEVENV" >"$sandbox/out" 2>"$sandbox/err" || true
says "ldd finds no library" 'not a dynamic executable|statically linked'
check "nor an entry that asks for one" sh -c '! readelf -d "$DEVENV" | grep -q NEEDED'
check "there is no program interpreter" sh -c '! readelf -l "$DEVENV" | grep -q INTERP'
[ "$(id -u)" -eq 0 ] || { echo "# changing the root needs root"; finish; }

jail=$sandbox/jail
mkdir -p "$jail/etc" "$jail/tmp" "$jail/work" "$jail/proc" "$jail/bin"
cp "$DEVENV" "$jail/bin/devenv"
cp "$(command -v busybox)" "$jail/bin/sh"
cat >"$jail/etc/nsswitch.conf" <<'NSS'
passwd: files systemd
group:  files systemd
hosts:  files mymachines myhostname mdns4_minimal [NOTFOUND=return] dns
NSS
printf 'root:x:0:0:root:/work:/bin/sh\n' >"$jail/etc/passwd"
printf 'root:x:0:\n' >"$jail/etc/group"
printf 'nameserver 127.0.0.1\n' >"$jail/etc/resolv.conf"
# The host's own modules are there to be loaded by whoever asks for them.
for library in /lib/*-linux-gnu/libnss_*.so.2 /usr/lib/*-linux-gnu/libnss_*.so.2; do
    [ ! -e "$library" ] || { mkdir -p "$jail$(dirname "$library")" && cp -L "$library" "$jail$library"; }
done
# Not chroot: the kernel gives no user namespace to who lives in one.
jailed() {
    env -i HOME=/work PATH=/bin:/sbin:/usr/bin:/usr/sbin DEVENV_HOME=/tmp/state "$(command -v unshare)" --mount sh -c '
        mount --rbind "$1" "$1" && mount --rbind /proc "$1/proc" && cd "$1" && mkdir -p old && pivot_root . old && cd / || exit 99
        shift
        exec /bin/devenv -C /work "$@"' - "$jail" "$@"
}
printf 'image = "registry.invalid/nothing:1"\n' >"$jail/work/devenv.toml"
exits "--version" 0 jailed --version
exits "config check" 0 jailed config check
exits "a host name that does not resolve is a plain error, not a crash" 1 jailed image pull registry.invalid/nothing:1
says "that names the host" 'registry\.invalid'
status=0
jailed doctor >"$sandbox/out" 2>&1 || status=$?
check "doctor answers" sh -c '[ "$1" -le 1 ]' - "$status"
finish
