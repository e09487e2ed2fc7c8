# shellcheck shell=sh
# Many idle boxes: does starting one cost more when there are others, and what memory does each take?
# shellcheck disable=SC2154 # set by `run` and peers.sh

count=${COUNT:-200}
start_dockerd
printf '\n**many: %s idle boxes, started one after the other** (as root)\n\n' "$count"
echo '| boxes of | ms each, first 20 | ms each, last 20 | stop all, s | memory of the tool, KB a box (PSS) |'
echo '|---|---|---|---|---|'
if [ -n "$DEVENV" ]; then
    number=1
    while [ "$number" -le "$count" ]; do
        mkdir -p "$folder/many/$number"
        printf 'image = "%s/debian:bookworm"\n' "$registry" >"$folder/many/$number/devenv.toml"
        number=$((number + 1))
    done
    cleanup "for f in $folder/many/*; do $DEVENV -q -C \$f down; done"
    python3 "$here/many.py" "devenv, a project each" "$count" devenv "$DEVENV -q -C $folder/many/{} up" "$DEVENV -q -C $folder/many/{} down"
    mkdir -p "$folder/one"
    {
        printf 'image = "%s/debian:bookworm"\n' "$registry"
        seq 2 "$count" | while read -r number; do
            printf '[services.s%s]\nimage = "%s/debian:bookworm"\ncommand = ["sleep", "infinity"]\n' "$number" "$registry"
        done
    } >"$folder/one/devenv.toml"
    cleanup "$DEVENV -q -C $folder/one down"
    python3 "$here/many.py" "devenv, one project" "$count" devenv --at-once "$DEVENV -q -C $folder/one up" "$DEVENV -q -C $folder/one down"
fi
python3 "$here/many.py" "docker run -d" "$count" dockerd,docker-containerd,containerd,containerd-shim,containerd-shim-runc-v2,docker-proxy \
    "docker run -d --name many-{} debian:bookworm sleep infinity" "docker rm -f many-{}"
