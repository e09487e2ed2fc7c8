# shellcheck shell=sh
# Running `true` in a box that runs.
# shellcheck disable=SC2154 # set by `run` and peers.sh

start_dockerd
docker run -d --name exec debian:bookworm sleep infinity >/dev/null
for who in root user; do
    start_podman "$who"
    eval "podman=\$podman_$who runc=\$runc_$who"
    # shellcheck disable=SC2154,SC2086 # set by eval; a list of words
    as "$who" $podman run -d --name exec --ulimit host --network none "$registry/debian:bookworm" sleep infinity >/dev/null
    start_runc "$who" exec
    floor_pid=$runc_pid
    devenv_project "$who"
    if [ -n "$DEVENV" ]; then
        floor_pid=$(as "$who" "$DEVENV" -C "$folder/$who/project" status --json | jq '.boxes[0].pid')
        row "devenv exec -T -- true" - - "$DEVENV -C $folder/$who/project exec -T -- /bin/true"
    fi
    row "setns + fork + exec (floor)" - - "$folder/floor_exec $floor_pid /bin/true"
    row "runc exec" 0.5 - "$runc exec exec /bin/true"
    [ "$who" = user ] || row "docker exec" 0.1 - "docker exec exec /bin/true"
    row "podman exec" 0.1 - "$podman exec exec /bin/true"
    table "$who" "exec: /bin/true in a running box"
done
