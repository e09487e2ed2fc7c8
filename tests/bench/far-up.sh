# shellcheck shell=sh
# `up` and `down` of a project on a remote host (an sshd on loopback), beside the same here. The goal: at most 150 ms more.
# shellcheck disable=SC2154 # set by `run` and sshd.sh

if [ -z "$DEVENV" ]; then
    echo "far-up: only devenv is measured" >&2
else
    # shellcheck source=far.sh
    . "$here/far.sh"
    start_far
    row "up and down, here" - - "sh -c '$DEVENV -q --place here -C $folder/far up && $DEVENV -q --place here -C $folder/far down'"
    row "up and down, there" - - "sh -c '$DEVENV -q -C $folder/far up && $DEVENV -q -C $folder/far down'"
    row "up again, there" - - "$DEVENV -q -C $folder/bare up"
    table root "far-up: a project on a remote host"
fi
