#!/bin/sh
# journey: a Debian image from a registry, the source mounted, a port published, files owned by the right person
# places: vm ssh
. "$(dirname "$0")/../support/journey.sh"
journey "a Debian image from a registry"
need_registry

project shop <<TOML
image   = "$registry/debian:bookworm"
mounts  = [".:/src"]
ports   = ["18000:8000", "18002:8002/udp"]
command = ["python3", "-m", "http.server", "8000"]
TOML
echo 'from the source' >page.txt

check "up pulls, starts and publishes" "$DEVENV" up
within 10 fetch "http://127.0.0.1:18000/page.txt"
same "the page is fetched from the host" "from the source" "$(fetch http://127.0.0.1:18000/page.txt)"
[ ! -e /proc/net/if_inet6 ] || ! grep -q ' lo$' /proc/net/if_inet6 ||
    same "and over IPv6 loopback" "from the source" "$(fetch "http://[::1]:18000/page.txt")"
cat >udp.py <<'PYTHON'
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[1] == "serve":
    one.bind(("", 8002))
    data, sender = one.recvfrom(2048)
    one.sendto(b"heard " + data, sender)
else:
    one.settimeout(1)
    one.sendto(b"this", ("127.0.0.1", 18002))
    sys.exit(one.recv(2048) != b"heard this")
PYTHON
"$DEVENV" exec -T -- python3 /src/udp.py serve &
check "a datagram is answered" within 20 python3 udp.py ask
kill $! 2>/dev/null
check "a file is made inside" "$DEVENV" exec -T -- sh -c 'mkdir -p /src/made && echo inside >/src/made/file'
same "it belongs to the person outside" "$(id -u):$(id -g)" "$(stat -c %u:%g made/file)"
same "the box user has the person's name" "${person%% *}" "$("$DEVENV" exec -T -- id -un)"
check "root of the box can install" "$DEVENV" exec -T -u root -- sh -c 'echo x >/usr/local/bin/x'
same "os-release is the image's" "bookworm" "$("$DEVENV" exec -T -- sh -c '. /etc/os-release; echo $VERSION_CODENAME')"
same "file owners of the image are right" "root:root root:shadow" \
    "$("$DEVENV" exec -T -- stat -c %U:%G /etc/passwd /etc/shadow | tr '\n' ' ' | sed 's/ $//')"
check "set-user-id files keep their bit" "$DEVENV" exec -T -- sh -c '[ -u /usr/bin/passwd ]'
check "image list knows it" sh -c '"$DEVENV" image list --json | jq -e ".[] | select(.reference | contains(\"debian:bookworm\")) | .digest | startswith(\"sha256:\")"'
check "status --json has the promised fields" sh -c '"$DEVENV" status --json | jq -e "
    .project == \"shop\" and .place == \"$0\" and (.path | startswith(\"/\")) and
    (.boxes[0] | has(\"name\") and has(\"image\") and (.digest | startswith(\"sha256:\")) and .state == \"running\" and (.pid > 1)
        and has(\"ip\") and has(\"started_at\") and has(\"exit_code\") and has(\"health\")
        and (.ports[0] | has(\"address\") and .host == 18000 and .box == 8000 and .protocol == \"tcp\"))"' "$place"
check "logs have the server's lines" sh -c '"$DEVENV" logs dev 2>&1 | grep -q "GET /page.txt"'
check "a second project reuses the image without the registry" sh -c '
    mkdir -p "$1/other" && cd "$1/other" && printf "image = \"%s/debian:bookworm\"\n" "$2" >devenv.toml &&
    "$DEVENV" up && "$DEVENV" exec -T -- true' - "$work" "$registry"
cd "$work/shop" || exit 1
check "down" "$DEVENV" down
exits "the port is closed" 7 curl -s --noproxy '*' http://127.0.0.1:18000/
same "the source is as it was" "from the source" "$(cat page.txt)"
outside=$(find "$HOME" "$XDG_RUNTIME_DIR" -newer "$work/shop/page.txt" -type f -user "$(id -un)" 2>/dev/null)
same "no file is left outside the state folder" "" "$outside"
finish
