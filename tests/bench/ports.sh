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
for subject in $subjects; do
    tries=0
    until "$stream" connect 127.0.0.1 "${subject##*:}" 1 >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { echo "ports: ${subject%%:*} does not answer" >&2; break; }
        sleep 0.1
    done
done
printf '\n**ports: one stream, and connect + one byte there and back** (%s runs each, in turn)\n\n' "$rounds"
python3 - "$stream" "$rounds" "$subjects" <<'PYTHON'
import statistics, subprocess, sys

stream, rounds, subjects = sys.argv[1], int(sys.argv[2]), [s.rsplit(":", 1) for s in sys.argv[3].split()]
kinds = [("up", "0.5"), ("down", "0.5"), ("connect", "300")]
got = {}
for _ in range(rounds):
    for kind, amount in kinds:
        for name, port in subjects:
            run = subprocess.run([stream, kind, "127.0.0.1", port, amount], capture_output=True, text=True, timeout=120)
            if run.returncode == 0:
                got.setdefault((name, kind), []).append(float(run.stdout))
print("| forwarder | into the box, Gbit/s | out of it, Gbit/s | new connection, µs |\n|---|---|---|---|")
for name, _ in subjects:
    cells = [f"{statistics.median(got[name, kind]):.{0 if kind == 'connect' else 1}f}" if (name, kind) in got else "failed" for kind, _ in kinds]
    print(f"| {name} | " + " | ".join(cells) + " |")
PYTHON
