#!/bin/sh
# journey: exec passes on exit codes, input, output, environment, user and folder unchanged
# places: ssh
# in ssh as: root
. "$(dirname "$0")/../support/journey.sh"
journey "exec"

project codes <<TOML
image  = "$image"
mounts = [".:/src"]
env    = { FROM_FILE = "yes" }
TOML
mkdir -p deep/er

exits "exec on a project that is down is devenv's failure" 125 "$DEVENV" exec -T -- true
check "up" "$DEVENV" up
exits "0" 0 "$DEVENV" exec -T -- true
exits "3" 3 "$DEVENV" exec -T -- sh -c 'exit 3'
exits "255" 255 "$DEVENV" exec -T -- sh -c 'exit 255'
exits "126: cannot be run" 126 "$DEVENV" exec -T -- /etc/passwd
exits "127: not found" 127 "$DEVENV" exec -T -- no-such-command-anywhere
says "and says which" 'no-such-command-anywhere'
exits "137: killed by 9" 137 "$DEVENV" exec -T -- sh -c 'kill -9 $$'
exits "143: killed by 15" 143 "$DEVENV" exec -T -- sh -c 'kill -15 $$'
exits "125: no such box" 125 "$DEVENV" exec -T nobox -- true
exits "2: no command" 2 "$DEVENV" exec -T --
head -c 10000000 /dev/urandom >"$sandbox/bytes"
sum=$(sha256sum <"$sandbox/bytes")
same "10 MB through standard input and output are the same bytes" "$sum" \
    "$("$DEVENV" exec -T -- cat <"$sandbox/bytes" | sha256sum)"
same "and into a pipe" "$sum" "$(cat "$sandbox/bytes" | "$DEVENV" exec -T -- sha256sum)"
same "standard output and error stay apart" "out" "$("$DEVENV" exec -T -- sh -c 'echo out; echo err >&2' 2>/dev/null)"
check "a closed pipe ends it" sh -c '"$DEVENV" exec -T -- yes | head -n1 | grep -qx y'
same "-e sets" "one two" "$("$DEVENV" exec -T -e A=one -e "B=two" -- sh -c 'echo $A $B')"
same "env of the file" "yes" "$("$DEVENV" exec -T -- sh -c 'echo $FROM_FILE')"
same "-w" /usr "$("$DEVENV" exec -T -w /usr -- pwd)"
same "-u root" 0 "$("$DEVENV" exec -T -u root -- id -u)"
same "the default user is the person" "${person#* }" "$("$DEVENV" exec -T -- sh -c 'echo $(id -u) $(id -g)')"
cd deep/er || exit 1
same "the working directory follows" /src/deep/er "$("$DEVENV" exec -T -- pwd)"
cd "$work/codes" || exit 1
same "-C too" /src/deep "$("$DEVENV" -C deep exec -T -- pwd)"
same "words with spaces and quotes arrive whole" "a b|c\"d|" "$("$DEVENV" exec -T -- printf '%s|' 'a b' 'c"d')"
same "no capability beyond the box's default" "0000000000000000" \
    "$("$DEVENV" exec -T -e X=1 -u nobody -- sh -c 'awk "/CapEff/ { print \$2 }" /proc/self/status')"
same "no_new_privs and seccomp are on" "1 2" \
    "$("$DEVENV" exec -T -- awk '/NoNewPrivs|^Seccomp:/ { printf "%s%s", s, $2; s = " " }' /proc/self/status)"
# Not with a pattern: looking through the folder takes a descriptor itself.
same "no descriptor leaks in" "" \
    "$("$DEVENV" exec -T -- sh -c 'for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do [ ! -e /proc/$$/fd/$n ] || printf "leaked-%s " "$n"; done' 7</dev/null </dev/null 2>&1)"
check "fifty at once" sh -c 'for i in $(seq 50); do "$DEVENV" exec -T -- true & pids="$pids $!"; done; for p in $pids; do wait "$p" || exit 1; done'
check "few descriptors are an error, not a panic" sh -c 'ulimit -n 8; "$DEVENV" up >/dev/null 2>&1; [ $? -ne 101 ]'

mkdir "$work/ends" && cd "$work/ends" || exit 1
printf 'image = "%s"\ncommand = ["false"]\n' "$image" >devenv.toml
# Whether `up` is still there to see it end or not.
state() { "$DEVENV" status --json | jq -r '.boxes[0] | "\(.state) \(.exit_code)"'; }
ended() { [ "$(state)" = "exited 1" ]; }
for round in 1 2 3 4 5; do
    "$DEVENV" up >"$sandbox/out" 2>&1
    within 10 ended || { not_ok "the box of a program that ends at once is there, round $round: $(state)"; show "$sandbox/out"; }
    "$DEVENV" down >"$sandbox/out" 2>&1 || { not_ok "and is taken down, round $round"; show "$sandbox/out"; }
done
ok "boxes whose program ends at once are there until they are taken down"
finish
