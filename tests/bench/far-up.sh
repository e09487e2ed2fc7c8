# shellcheck shell=sh
# `up` and `down` of a project on a remote host (an sshd on loopback), beside the same here. The goal: at most 150 ms more.
# shellcheck disable=SC2154 # set by `run` and sshd.sh

if [ -z "$DEVENV" ]; then
    echo "far-up: only devenv is measured" >&2
else
    # shellcheck source=far.sh
    . "$here/far.sh"
    start_far
    # A project of its own here: the other one stays there.
    cp -r "$folder/far" "$folder/near"
    printf '#!/bin/sh\n%s -q --place "$1" -C "$2" up && %s -q --place "$1" -C "$2" down\n' "$DEVENV" "$DEVENV" >"$folder/up-down"
    chmod +x "$folder/up-down"
    row "up and down, here" - - "$folder/up-down here $folder/near"
    row "up and down, there" - - "$folder/up-down $place $folder/far"
    row "up again, there" - - "$DEVENV -q -C $folder/bare up"
    table root "far-up: a project on a remote host"
fi
