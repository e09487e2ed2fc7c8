#!/bin/sh
# journey: podman and containerd drive the engine through `devenv oci`
# runs as: root
. "$(dirname "$0")/../support/journey.sh"
journey "podman and containerd over devenv oci"
command -v podman >/dev/null || skip "podman is not installed"
command -v containerd >/dev/null || skip "containerd is not installed"
[ -d /sys/fs/cgroup/memory ] || [ -f /sys/fs/cgroup/cgroup.controllers ] || skip "no control groups"

runtime=$sandbox/devenv-oci
printf '#!/bin/sh\nexec "%s" oci "$@"\n' "$DEVENV" >"$runtime"
chmod +x "$runtime"
# A storage and a state of its own. Limits within what this root may set: podman's own default wants CAP_SYS_RESOURCE.
pod() {
    podman --root "$sandbox/pod/root" --runroot "$sandbox/pod/run" --tmpdir "$sandbox/pod/tmp" --storage-driver vfs \
        --cgroup-manager=cgroupfs --events-backend=file --runtime "$runtime" "$@"
}
run() { pod run --network=none --ulimit nofile=512:512 --ulimit nproc=512:512 "$@"; }

mkdir -p "$sandbox/tree/bin" "$sandbox/tree/tmp" "$sandbox/tree/etc" "$sandbox/data"
cp "$(command -v busybox)" "$sandbox/tree/bin/busybox"
for applet in sh id cat ls sleep grep test echo mkdir touch hostname; do ln -s busybox "$sandbox/tree/bin/$applet"; done
printf 'root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n' >"$sandbox/tree/etc/passwd"
tar -C "$sandbox/tree" -cf "$sandbox/tree.tar" .
pod import -q "$sandbox/tree.tar" box:1 >/dev/null
# By way of an archive, as images travel.
pod save -q --format oci-archive -o "$sandbox/box.tar" box:1 >/dev/null
pod rmi -f box:1 >/dev/null
pod load -q -i "$sandbox/box.tar" >/dev/null

same "it runs a command" hello "$(run --rm box:1 echo hello)"
status=0
run --rm box:1 sh -c 'exit 7' || status=$?
same "its exit code" 7 "$status"
status=0
run --rm box:1 no-such-program 2>"$sandbox/err" || status=$?
same "127 for a program that is not there" 127 "$status"
same "seccomp, and no capability to spare" "Seccomp: 2 CapEff: 00000000800405fb" \
    "$(run --rm box:1 sh -c 'echo $(grep -E "^(Seccomp:|CapEff)" /proc/self/status | tr "\t" " ")' 2>/dev/null |
        sed 's/\(CapEff: [0-9a-f]*\) \(Seccomp: 2\)/\2 \1/')"
same "standard input" "from outside" "$(echo from outside | run --rm -i box:1 cat)"
echo kept >"$sandbox/data/file"
same "a volume, read-only" "kept no" "$(run --rm -v "$sandbox/data:/data:ro" box:1 sh -c 'echo $(cat /data/file) $(touch /data/x 2>/dev/null && echo yes || echo no)')"
same "a user of the image" "1000 /home/u" "$(run --rm --user u box:1 sh -c 'echo $(id -u) $HOME')"
same "ids mapped" "0 100000 1000" "$(run --rm --uidmap 0:100000:1000 --gidmap 0:100000:1000 box:1 sh -c 'echo $(cat /proc/self/uid_map)')"
check "detached" sh -c 'test -n "$1"' - "$(run -d --name long box:1 sleep 1000)"
same "it is up" long "$(pod ps --format '{{.Names}}')"
check "it is stopped" pod stop -t 0 long
same "killed" 137 "$(pod inspect --format '{{.State.ExitCode}}' long)"
check "and started again" pod start long
check "and removed" pod rm -f -t 0 long
same "nothing is left" "" "$(pod ps -aq)"
same "no state either" "" "$(ls "${DEVENV_HOME:-/nonexistent}/run/oci" 2>/dev/null)"
pod system reset -f >/dev/null 2>&1 || true

# containerd, with folders and a socket of its own.
cat >"$sandbox/containerd.toml" <<TOML
version = 2
root = "$sandbox/containerd/root"
state = "$sandbox/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$sandbox/containerd.sock"
TOML
containerd -c "$sandbox/containerd.toml" </dev/null >"$sandbox/containerd.log" 2>&1 &
containerd=$!
ctr() { command ctr -a "$sandbox/containerd.sock" "$@"; }
start() { ctr run --runc-binary "$runtime" "$@"; }
within 20 ctr version >/dev/null 2>&1 || show "$sandbox/containerd.log"
ctr image import --index-name box.test/box:1 "$sandbox/box.tar" >/dev/null
image=box.test/box:1
same "containerd: it runs a command" hello "$(start --rm "$image" one /bin/echo hello)"
status=0
start --rm "$image" two /bin/sh -c 'exit 7' || status=$?
same "its exit code" 7 "$status"
check "detached" start -d "$image" three /bin/sleep 1000
same "it is up" RUNNING "$(ctr task ls | awk '$1 == "three" { print $3 }')"
check "killed" ctr task kill -s KILL three
ended() { ctr task ls | grep -q 'three.*STOPPED'; }
check "and seen to end" within 10 ended
check "the task is removed" ctr task rm three
check "the container as well" ctr container rm three
same "nothing is left" "" "$(ctr task ls -q; ctr container ls -q)"
kill "$containerd"
wait "$containerd" 2>/dev/null
find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' -exec rmdir {} + 2>/dev/null || true
finish
