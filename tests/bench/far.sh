# shellcheck shell=sh
# A remote host for benchmarks: an sshd on loopback, where a project with the source and one without run already.
# shellcheck disable=SC2154,SC2034 # set by `run` and sshd.sh

# shellcheck source=../support/sshd.sh
. "$here/../support/sshd.sh"

start_far() {
    [ ! -d "$folder/far" ] || return 0
    usermod -p '*' devenv-test
    start_sshd "$folder"
    cleanup "kill $sshd_pid"
    printf 'place = "%s"\n' "$place" >"$DEVENV_HOME/config.toml"
    mkdir -p "$folder/far" "$folder/bare"
    printf 'image = "host"\nmounts = [".:/src"]\n' >"$folder/far/devenv.toml"
    printf 'image = "host"\n' >"$folder/bare/devenv.toml"
    [ -n "$DEVENV" ] || return 0
    for project in far bare; do
        "$DEVENV" -q -C "$folder/$project" up
        cleanup "PATH=$PATH $DEVENV -C $folder/$project down --volumes"
    done
}
