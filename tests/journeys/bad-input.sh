#!/bin/sh
# journey: what bad input and bad surroundings get: a plain message, the right exit code, and nothing left
# places: ssh
# in ssh as: root
. "$(dirname "$0")/../support/journey.sh"
journey "bad input"
need_registry

# refuses WHAT STATUS PATTERN COMMAND…: fails as promised, and no box runs afterwards.
refuses() {
    what=$1 wanted=$2 pattern=$3
    shift 3
    exits "$what" "$wanted" timeout 120 "$@"
    says "$what: says so" "$pattern"
    if grep -qE 'panicked at|RUST_BACKTRACE' "$sandbox/err"; then not_ok "$what: no panic"; fi
}

project keys <<'TOML'
imgae = "host"
mount = [".:/src"]
ports = 8000
TOML
refuses "an unknown key" 2 'did you mean.*image' "$DEVENV" up
says "names the file, line and column" 'devenv.toml:1:1'
says "and all problems at once" 'mounts'
printf 'image = "host"\nbroken = [\n' >devenv.toml
refuses "broken TOML" 2 'devenv.toml:[23]' "$DEVENV" up
printf 'image = "host"\nmounts = ["no-such-folder:/src"]\n' >devenv.toml
refuses "a missing source" 2 'no-such-folder' "$DEVENV" up
printf 'image = "host"\nreplicas = 3\n' >devenv.toml
refuses "a key for later" 2 'replicas' "$DEVENV" up
cd "$work" || exit 1
mkdir empty
cd empty || exit 1
refuses "no devenv.toml" 1 'devenv.toml' "$DEVENV" up
refuses "no such command" 2 'frobnicate' "$DEVENV" frobnicate

cd "$work/keys" || exit 1
printf 'image = "host"\nports = ["18600:8000"]\n' >devenv.toml
python3 -m http.server --bind 127.0.0.1 18600 >/dev/null 2>&1 &
holder=$!
within 10 fetch http://127.0.0.1:18600/
refuses "a fixed port that is taken" 1 '18600' "$DEVENV" up
says "and by whom" "python|$holder"
kill "$holder"
wait "$holder" 2>/dev/null
check "the port is free: up" "$DEVENV" up
check "down" "$DEVENV" down

printf 'image = "%s/debian:no-such-tag"\n' "$registry" >devenv.toml
refuses "an unknown tag" 1 'no-such-tag' "$DEVENV" up
printf 'image = "%s/nothing:1"\n' "$registry" >devenv.toml
refuses "an unknown image" 1 'nothing' "$DEVENV" up
printf 'image = "127.0.0.1:1/debian:1"\n' >devenv.toml
refuses "a registry that is down" 1 '127.0.0.1:1.*(refused|connect)|(refused|connect)' "$DEVENV" up
printf 'image = "host:::bad ref"\n' >devenv.toml
refuses "a reference that is none" 2 'devenv.toml:1' "$DEVENV" up

faulty() {
    python3 "$support/faulty_proxy.py" "$registry" "$@" >"$sandbox/port" &
    proxy=$!
    within 10 test -s "$sandbox/port"
    printf 'image = "127.0.0.1:%s/debian:bookworm"\n' "$(cat "$sandbox/port")" >devenv.toml
}
faulty --cut-after 20000000 --cuts 2
check "connections cut in the middle of a layer, twice: resumed" timeout 120 "$DEVENV" up
check "and whole" "$DEVENV" exec -T -- python3 -c 'import http.server'
kill "$proxy"
"$DEVENV" down >/dev/null 2>&1
"$DEVENV" image prune >/dev/null 2>&1 </dev/null
for reference in $("$DEVENV" image list --json | jq -r '.[].reference'); do "$DEVENV" image rm "$reference" >/dev/null 2>&1; done
# So early that nothing is ever gained: whoever gets on goes on.
faulty --cut-after 100
refuses "a registry that always cuts" 1 'debian|layer|connection' "$DEVENV" up
same "leaves no image" 0 "$("$DEVENV" image list --json | jq length)"
kill "$proxy"

printf 'image = "host"\n' >devenv.toml
mkdir "$sandbox/bin"
for tool in sh env cat; do ln -s "$(command -v $tool)" "$sandbox/bin/$tool"; done
if [ "$(id -u)" -ne 0 ]; then
    # The keeper of an earlier up would still have its map.
    check "no newuidmap in PATH: a box of one id works" env PATH="$sandbox/bin" "$DEVENV" up
    check "and runs" env PATH="$sandbox/bin" "$DEVENV" exec -T -- true
    same "as the person" "$(id -u)" "$(env PATH="$sandbox/bin" "$DEVENV" exec -T -- id -u)"
    env PATH="$sandbox/bin" "$DEVENV" doctor >"$sandbox/out" 2>&1
    says "doctor says what is missing" 'newuidmap|uidmap'
    check "down" env PATH="$sandbox/bin" "$DEVENV" down
else
    # A full disk, in a mount of our own.
    mkdir "$sandbox/expected-mount"
    if mount -t tmpfs -o size=60m none "$sandbox/expected-mount" 2>/dev/null; then
        printf 'image = "%s/debian:bookworm"\n' "$registry" >devenv.toml
        refuses "a full disk" 1 'space|full' env DEVENV_HOME="$sandbox/expected-mount" "$DEVENV" up
        same "leaves no image" 0 "$(DEVENV_HOME="$sandbox/expected-mount" "$DEVENV" image list --json | jq length)"
        check "and gives the space back" sh -c '[ "$(df --output=pcent "$1" | tail -n1 | tr -dc 0-9)" -lt 20 ]' - "$sandbox/expected-mount"
        DEVENV_HOME="$sandbox/expected-mount" "$DEVENV" down >/dev/null 2>&1
        umount "$sandbox/expected-mount"
    fi
    printf 'image = "host"\n' >devenv.toml
fi

printf 'image = "host"\ncommand = ["false"]\n' >devenv.toml
"$DEVENV" up >"$sandbox/out" 2>"$sandbox/err"
ended() { [ "$(field dev state)" = exited ]; }
check "a command that ends at once is seen" within 10 ended
same "with its exit code" 1 "$(field dev exit_code)"
printf 'image = "host"\ncommand = ["no-such-command-anywhere"]\n' >devenv.toml
refuses "a command that is not there" 1 'no-such-command-anywhere' "$DEVENV" up
printf 'image = "host"\n' >devenv.toml
check "and after all that a plain up works" "$DEVENV" up
finish
