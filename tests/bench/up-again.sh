# shellcheck shell=sh
# A second `up` with nothing to do: the goal is under 15 ms.
# shellcheck disable=SC2154 # set by `run` and peers.sh

if [ -z "$DEVENV" ]; then
    echo "up-again: only devenv is measured" >&2
else
    for who in root user; do
        devenv_project "$who"
        row "devenv up (goal: 15 ms)" - - "$DEVENV -q -C $folder/$who/project up"
        row "devenv status" - - "$DEVENV -q -C $folder/$who/project status"
        row "devenv --version" - - "$DEVENV --version"
        table "$who" "up again: nothing to do"
    done
fi
