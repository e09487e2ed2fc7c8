# shellcheck shell=sh
# Making and starting a box: never created before (image present), and created before and stopped.
# shellcheck disable=SC2154 # set by `run` and peers.sh

start_dockerd
for who in root user; do
    start_podman "$who"
    eval "podman=\$podman_$who"
    devenv_project "$who"
    run="run -d --name up --ulimit host $registry/debian:bookworm sleep infinity"
    box="$DEVENV -q -C $folder/$who/project"

    [ -z "$DEVENV" ] || row "devenv up" - "$box down" "$box up"
    [ "$who" = user ] || row "docker run -d" 0.125 "docker rm -f up >/dev/null 2>&1 || true" \
        "docker run -d --name up debian:bookworm sleep infinity"
    row "podman run -d" 0.125 "$podman rm -f -t 0 up >/dev/null 2>&1 || true" "$podman $run"
    row "podman run -d --network none" - "$podman rm -f -t 0 up2 >/dev/null 2>&1 || true" \
        "$podman $(echo "$run" | sed 's/--name up/--name up2 --network none/')"
    table "$who" "up: never created, image present"

    [ -z "$DEVENV" ] || row "devenv up" - "$box stop" "$box up"
    [ "$who" = user ] || row "docker start" 0.125 "docker stop -t 0 up >/dev/null" "docker start up"
    row "podman start" 0.125 "$podman stop -t 0 up >/dev/null" "$podman start up"
    table "$who" "up: created before, stopped"
done
