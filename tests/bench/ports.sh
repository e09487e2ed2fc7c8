# shellcheck shell=sh
# A published port: throughput of one stream, and what a new connection costs.
# shellcheck disable=SC2154 # set by `run` and peers.sh

stream=$folder/stream
"$stream" serve 19400 >/dev/null 2>&1 &
cleanup "kill $!"
start_dockerd
docker run -d --name ports -p 127.0.0.1:19401:9000 -v "$stream:/stream:ro" debian:bookworm /stream serve 9000 >/dev/null
start_podman user
# shellcheck disable=SC2086 # a list of words
as user $podman_user run -d --name ports --ulimit host -p 127.0.0.1:19402:9000 -v "$stream:/stream:ro" \
    "$registry/debian:bookworm" /stream serve 9000 >/dev/null
# pasta as an ordinary user, as podman 5 would run it.
as user pasta --foreground --quiet --config-net -t 127.0.0.1/19403:9000 -u none -T none -U none -- "$stream" serve 9000 >/dev/null 2>&1 &
cleanup "pkill -P $! ; kill $!"
subjects="direct:19400 docker-proxy:19401 rootlessport:19402 pasta:19403"
if [ -n "$DEVENV" ]; then
    port=19410
    for who in root user; do
        mkdir -p "$folder/$who/ports"
        cp "$stream" "$folder/$who/ports/stream"
        cat >"$folder/$who/ports/devenv.toml" <<TOML
image   = "$registry/debian:bookworm"
mounts  = [".:/src"]
ports   = ["$port:9000"]
command = ["/src/stream", "serve", "9000"]
TOML
        [ "$who" = root ] || chown -R devenv-test: "$folder/$who/ports"
        as "$who" "$DEVENV" -q -C "$folder/$who/ports" up
        cleanup "$(as_words "$who") $DEVENV -C $folder/$who/ports down"
        subjects="devenv-$who:$port $subjects"
        port=$((port + 1))
    done
fi
printf '\n**ports: one stream, and connect + one byte there and back** (%s runs each, in turn)\n\n' "$rounds"
measure_streams "forwarder" "into the box, Gbit/s" "out of it, Gbit/s"
