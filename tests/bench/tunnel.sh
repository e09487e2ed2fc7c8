# shellcheck shell=sh
# A published port of a box on a remote host (an sshd on loopback) beside `ssh -L` to the same server: throughput of one
# stream, and what a new connection costs.
# shellcheck disable=SC2154 # set by `run` and sshd.sh

# shellcheck source=../support/sshd.sh
. "$here/../support/sshd.sh"
usermod -p '*' devenv-test
stream=$folder/stream
mkdir "$folder/for-tunnel"
start_sshd "$folder/for-tunnel"
cleanup "kill $sshd_pid"
"$stream" serve 19500 >/dev/null 2>&1 &
cleanup "kill $!"
ssh -N -L 127.0.0.1:19501:127.0.0.1:19500 there </dev/null >/dev/null 2>&1 &
cleanup "kill $!"
ssh -N -c aes128-gcm@openssh.com -L 127.0.0.1:19502:127.0.0.1:19500 there </dev/null >/dev/null 2>&1 &
cleanup "kill $!"
subjects="direct:19500 ssh-L:19501 ssh-L-aes-gcm:19502"
if [ -n "$DEVENV" ]; then
    mkdir -p "$folder/tunnel"
    cp "$stream" "$folder/tunnel/stream"
    cat >"$folder/tunnel/devenv.toml" <<TOML
image   = "host"
mounts  = [".:/src"]
ports   = ["19503:9000"]
command = ["/src/stream", "serve", "9000"]
TOML
    "$DEVENV" -q --place "$place" -C "$folder/tunnel" up
    cleanup "PATH=$PATH $DEVENV --place $place -C $folder/tunnel down --volumes"
    subjects="devenv:19503 $subjects"
fi
printf '\n**tunnel: one stream, and connect + one byte there and back** (%s runs each, in turn)\n\n' "$rounds"
measure_streams "way" "there, Gbit/s" "back, Gbit/s"
