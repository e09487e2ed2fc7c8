#!/bin/sh
# journey: the managed VM starts, survives what happens to computers, and goes
# may take: 600
. "$(dirname "$0")/../support/journey.sh"
journey "the managed VM's life"

[ -n "${DEVENV_GUEST:-}" ] || skip "DEVENV_GUEST is not set (tests/run sets it)"
command -v qemu-system-x86_64 >/dev/null || skip "there is no qemu-system-x86_64"
folder=$DEVENV_HOME/data/vm
mkdir -p "$DEVENV_HOME"
# Small and emulated, so that it is the same everywhere; what a broken KVM does has a check of its own.
settings() { printf '[vm]\nmemory = "512m"\ncpus = 2\ndisk = "%s"\n%s\n' "$1" "${2-accelerator = \"tcg\"}" >"$DEVENV_HOME/config.toml"; }
settings 4g
vm() { "$DEVENV" vm "$@"; }
state() { vm status --json | jq -r .state; }
pid() { vm status --json | jq -r .pid; }
port() { vm status --json | jq -r .ssh_port; }
# A guest greets who connects; QEMU itself would accept and say nothing.
answers() { python3 -c 'import socket, sys; s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20); sys.exit(s.recv(4) != b"SSH-")' "$(port)"; }
gone() { ! kill -0 "$1" 2>/dev/null || [ "$(ps -o state= -p "$1")" = Z ]; }

same "there is none at first" absent "$(state)"
exits "stop without one is no error" 0 vm stop
says "and says so" "does not run"

# What a VM needs and does not find.
mkdir "$sandbox/nothing" "$sandbox/old"
exits "no QEMU" 1 env PATH="$sandbox/nothing" "$DEVENV" vm start
says "names what to install" "apt install qemu-system-x86"
printf '#!/bin/sh\necho QEMU emulator version 4.2.1\n' >"$sandbox/old/qemu-system-x86_64"
chmod 755 "$sandbox/old/qemu-system-x86_64"
exits "an old QEMU" 1 env PATH="$sandbox/old:$PATH" "$DEVENV" vm start
says "is told with its version" "QEMU 4.2, which is too old"
exits "a guest pack that is not there" 1 env DEVENV_GUEST="$sandbox/none.tar" "$DEVENV" vm start
says "is named" "no guest pack .*none.tar"
head -c 3000000 "$DEVENV_GUEST" >"$sandbox/cut.tar.zst"
exits "a guest pack cut short" 1 env DEVENV_GUEST="$sandbox/cut.tar.zst" "$DEVENV" vm start
says "is refused" "cannot use the guest pack"
printf '{"format":99}' >"$sandbox/pack.json"
tar -C "$sandbox" --format=ustar -cf "$sandbox/other.tar" pack.json
exits "a guest pack of another version" 1 env DEVENV_GUEST="$sandbox/other.tar" "$DEVENV" vm start
says "is told with its version" "of version 99"
if unshare --user --map-root-user --mount true 2>/dev/null; then
    mkdir "$sandbox/small"
    exits "a full disk" 1 unshare --user --map-root-user --mount sh -c '
        mount -t tmpfs -o size=100m none "$1" && DEVENV_HOME=$1/home "$2" vm start' - "$sandbox/small" "$DEVENV"
    says "is told before anything is made" "has only [0-9]+ MB left"
fi
same "nothing was started by all that" absent "$(state)"

# Two at once, on nothing.
vm start >"$sandbox/first" 2>&1 &
first=$!
check "two starts at once: the second" vm start
wait "$first"
same "and the first" 0 $?
cat "$sandbox/first" "$sandbox/err" >"$sandbox/both"
same "one of them started it" 1 "$(grep -c '^started the VM' "$sandbox/both")"
same "it runs" running "$(state)"
check "its guest answers" answers
running=$(pid)
check "a start of one that runs" vm start
same "leaves it alone" "$running" "$(pid)"
same "nobody else may look into it" "700 600 600" "$(stat -c %a "$folder" "$folder/host_key" "$folder/client_key" | xargs)"
same "its seed lies nowhere" "" "$(find "$folder" -name initramfs)"
taken=$(vm status --json | jq .disk_used_bytes)
check "its disk takes only what is written (${taken} B)" test "$taken" -lt 200000000

# Grown while it runs.
settings 5g
check "a larger disk" vm start
says "grows while it runs" "disk has grown"
same "to what was asked" $((5 << 30)) "$(vm status --json | jq .disk_bytes)"
same "in the same VM" "$running" "$(pid)"
settings 4g

# Killed.
kill -9 "$running"
within 10 gone "$running" || not_ok "QEMU can be killed"
same "status sees that it was killed" stopped "$(state)"
check "start after kill -9" vm start
check "its guest answers" answers

# Stopped by a signal, as by a computer that sleeps.
running=$(pid)
kill -STOP "$running"
same "status sees that it does not answer" stuck "$(state)"
check "start after it was stopped" vm start
says "lets it go on" "it goes on"
same "as the same VM" "$running" "$(pid)"
check "its guest answers" answers
kill -STOP "$running"
check "stop of one that was stopped" vm stop
same "ends it" stopped "$(state)"
check "for good" within 10 gone "$running"

# Whoever starts it is killed, at growing moments.
for delay in 0.05 0.2 0.5 1 2; do
    vm start >/dev/null 2>&1 &
    victim=$!
    sleep "$delay"
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
done
check "start after its starters were killed" vm start
check "its guest answers" answers
same "one QEMU is left" 1 "$(pgrep -fc "^[^ ]*qemu-system-x86_64 .*$folder/")"
check "stop" vm stop

# An accelerator that is there and lets guests hang.
if [ -w /dev/kvm ]; then
    mkdir "$sandbox/hangs"
    cat >"$sandbox/hangs/qemu-system-x86_64" <<'QEMU'
#!/usr/bin/python3
import os, sys
words = sys.argv[1:]
if "kvm" in words:
    # A guest whose processors never run.
    words[words.index("kvm")] = "tcg"
    words[words.index("-cpu") + 1] = "max"
    words.append("-S")
os.execv("/usr/bin/qemu-system-x86_64", ["qemu-system-x86_64"] + words)
QEMU
    chmod 755 "$sandbox/hangs/qemu-system-x86_64"
    settings 4g ""
    check "start where guests hang under kvm" env PATH="$sandbox/hangs:$PATH" "$DEVENV" vm start
    says "says that it is emulated" "no guest starts with it: the VM is emulated"
    same "and is" tcg "$(vm status --json | jq -r .accelerator)"
    check "stop" vm stop
    check "the next start" env PATH="$sandbox/hangs:$PATH" "$DEVENV" vm start
    if grep -q "no guest starts" "$sandbox/err"; then not_ok "remembers"; else ok "remembers"; fi
    check "stop" vm stop
    settings 4g
else
    echo "# /dev/kvm cannot be opened: no check of one that hangs"
fi

exits "rm asks" 1 vm rm
says "and says how not to be asked" "repeat with --yes"
check "start" vm start
check "rm --yes of one that runs" vm rm --yes
same "leaves nothing" "" "$(find "$folder" "$DEVENV_HOME/run/vm" 2>/dev/null)"
same "not even a word" absent "$(state)"
finish
