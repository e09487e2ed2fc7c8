# shellcheck shell=sh
# Running `true` in a box on a remote host (an sshd on loopback), beside a bare `ssh HOST true` over a connection that is kept.
# The goal: at most three times as long.
# shellcheck disable=SC2154 # set by `run` and sshd.sh

# shellcheck source=far.sh
. "$here/far.sh"
start_far
ssh -M -N -f -S "$folder/kept" there </dev/null >/dev/null 2>&1
cleanup "ssh -S $folder/kept -O exit there"
row "ssh there true (kept connection)" - - "ssh -S $folder/kept there true"
[ -z "$DEVENV" ] || row "devenv exec -T -- true" - - "$DEVENV -C $folder/far exec -T -- /bin/true"
[ -z "$DEVENV" ] || row "devenv exec, nothing mounted" - - "$DEVENV -C $folder/bare exec -T -- /bin/true"
table root "far-exec: /bin/true on a remote host"
