#!/bin/sh
# journey: published ports of every kind, and the way out
# places: ssh
# in ssh as: user
. "$(dirname "$0")/../support/journey.sh"
journey "network"

cat >"$work/udp.py" <<'PYTHON'
import socket, sys
# udp.py serve ADDRESS PORT | udp.py ask ADDRESS PORT
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
if sys.argv[1] == "serve":
    s.bind((sys.argv[2], int(sys.argv[3])))
    while True:
        data, sender = s.recvfrom(2048)
        s.sendto(b"echo " + data, sender)
s.settimeout(1)
for _ in range(10):
    s.sendto(b"hello", (sys.argv[2], int(sys.argv[3])))
    try:
        print(s.recv(2048).decode())
        break
    except OSError:
        continue
PYTHON

mkdir "$work/ports"
cp "$work/udp.py" "$work/ports/udp.py"
project ports <<TOML
image   = "$image"
mounts  = [".:/src"]
ports   = ["18701:8001", "127.0.0.1:18702:8002/udp", "18710-18712:9000-9002"]
command = ["sh", "-c", """
    python3 -m http.server --bind 127.0.0.1 8001 &
    python3 udp.py serve 0.0.0.0 8002 &
    python3 -m http.server 9000 &
    python3 -m http.server 9001 &
    python3 -m http.server 9002 &
    wait
"""]
TOML
echo page >page.txt

check "up" "$DEVENV" up
check "a program that listens only on the box's own 127.0.0.1 is reached" within 10 fetch http://127.0.0.1:18701/page.txt
same "UDP goes and comes" "echo hello" "$(python3 udp.py ask 127.0.0.1 18702)"
for port in 18710 18711 18712; do
    check "a range: $port" within 10 fetch "http://127.0.0.1:$port/page.txt"
done
if grep -q ' lo$' /proc/net/if_inet6 2>/dev/null; then
    check "IPv6 loopback" within 10 fetch "http://[::1]:18701/page.txt"
fi
same "status knows them all" 5 "$("$DEVENV" status --json | jq '.boxes[0].ports | map({host, protocol}) | unique | length')"
same "nothing listens off loopback" "" "$(ss -Hltun 'sport >= :18700 and sport <= :18720' | awk '{ print $5 }' | grep -vE '^(127\.0\.0\.1|\[::1\]):' | tr '\n' ' ')"
check "many at once" sh -c 'for i in $(seq 40); do curl -fsS --noproxy "*" --max-time 20 -o /dev/null http://127.0.0.1:18701/page.txt & pids="$pids $!"; done; for p in $pids; do wait "$p" || exit 1; done'
head -c 30000000 /dev/urandom >big
settle
same "thirty megabytes through a port are the same bytes" "$(sha256sum <big)" "$(fetch http://127.0.0.1:18710/big | sha256sum)"

# The way out: a server on an address of this computer that is not loopback.
outside=$(ip -4 -o addr show scope global | awk '{ sub("/.*", "", $4); print $4; exit }')
if [ -n "$outside" ]; then
    mkdir "$work/outside"
    echo outside >"$work/outside/page.txt"
    python3 -m http.server --directory "$work/outside" --bind "$outside" 18790 >/dev/null 2>&1 &
    server=$!
    python3 udp.py serve "$outside" 18791 &
    datagrams=$!
    check "the server outside answers" within 10 fetch "http://$outside:18790/page.txt"
    get='import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode().strip())'
    same "TCP to the outside" outside "$("$DEVENV" exec -T -- python3 -c "$get" "http://$outside:18790/page.txt")"
    same "UDP to the outside" "echo hello" "$("$DEVENV" exec -T -- python3 /src/udp.py ask "$outside" 18791)"
    exits "a refused connection is refused, not left hanging" 1 timeout 20 "$DEVENV" exec -T -- python3 -c "$get" "http://$outside:18799/"
    kill "$server" "$datagrams"
    wait "$server" "$datagrams" 2>/dev/null
else
    echo "# no address but loopback: the way out is not looked at"
fi
exits "the host's own loopback is not the box's" 1 timeout 20 "$DEVENV" exec -T -- python3 -c \
    "import socket; socket.create_connection(('127.0.0.1', ${registry##*:}), 5)" 2>/dev/null
check "down" "$DEVENV" down
exits "the ports are closed" 7 curl -s --noproxy '*' http://127.0.0.1:18710/
finish
