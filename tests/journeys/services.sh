#!/bin/sh
# journey: a project with services: names, volumes, order, addresses, logs
# places: vm ssh
. "$(dirname "$0")/../support/journey.sh"
journey "services"
need_registry

project shop <<TOML
image      = "$registry/debian:bookworm"
mounts     = [".:/src"]
depends_on = ["db", "web"]

[services.db]
image   = "$registry/debian:bookworm"
command = ["sh", "-c", "trap 'date +%s%N >/src/db.stopped; exit 0' TERM; date +%s%N >/src/db.started; echo db ready; while :; do sleep 0.1; done"]
mounts  = [".:/src"]
user    = "root"
volumes = ["data:/data"]

[services.web]
image      = "$registry/web:latest"
depends_on = ["db"]
ports      = ["18080:8080"]
TOML

check "up" "$DEVENV" up
same "three boxes run" "3" "$("$DEVENV" status --json | jq '[.boxes[] | select(.state == "running")] | length')"
within 10 fetch http://127.0.0.1:18080/
same "the image's entrypoint, command and folder are used" "hello from the image" "$(fetch http://127.0.0.1:18080/)"
same "the image's user and environment too" "33 hello" \
    "$("$DEVENV" exec -T web -- sh -c 'echo $(id -u) $GREETING')"
web_ip=$(field web ip)
same "dev finds web by name" "$web_ip" "$("$DEVENV" exec -T -- getent ahostsv4 web | awk 'NR == 1 { print $1 }')"
same "and can talk to it" "hello from the image" \
    "$("$DEVENV" exec -T -- python3 -c 'import urllib.request as r; print(r.urlopen("http://web:8080/").read().decode().strip())')"
check "db finds dev by name" "$DEVENV" exec -T db -- getent hosts dev
exits "a name that is nobody's is not found" 2 "$DEVENV" exec -T -- getent hosts nobody.invalid
check "the boxes are in networks of their own" sh -c \
    '[ "$("$DEVENV" exec -T -- readlink /proc/self/ns/net)" != "$("$DEVENV" exec -T db -- readlink /proc/self/ns/net)" ]'
check "a volume is written" "$DEVENV" exec -T db -- sh -c 'echo precious >/data/file'
check "logs name the box" sh -c '"$DEVENV" logs db | grep -q "db ready"'
check "down" "$DEVENV" down
check "stopped in reverse: db was asked to end" test -s db.stopped
check "up again" "$DEVENV" up
same "the volume was kept across down" precious "$("$DEVENV" exec -T db -- cat /data/file)"
same "web has the address it had" "$web_ip" "$(field web ip)"
db_pid=$(field db pid)
check "restart of one box" "$DEVENV" restart web
same "leaves the others alone" "$db_pid" "$(field db pid)"
same "and its address" "$web_ip" "$(field web ip)"
check "down --volumes" "$DEVENV" down --volumes
check "up once more" "$DEVENV" up
exits "and the volume is empty" 1 "$DEVENV" exec -T db -- test -e /data/file

mkdir "$work/stranger"
cd "$work/stranger" || exit 1
printf 'image = "%s/debian:bookworm"\n' "$registry" >devenv.toml
check "another project is up" "$DEVENV" up
exits "it does not know the first one's names" 2 "$DEVENV" exec -T -- getent hosts web
finish
