#!/bin/sh
# journey: behind a company's proxy: boxes use the proxy and trust the authority that the user's settings name
. "$(dirname "$0")/../support/journey.sh"
journey "behind a proxy"

for tool in openssl curl python3; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done

# A private authority, and a server certificate of it.
(
    cd "$sandbox" || exit 1
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=Private authority'
    openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=secret.example'
    echo 'subjectAltName=DNS:secret.example' >extensions
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.crt
    cat server.crt server.key >server.pem
) >"$sandbox/openssl.log" 2>&1 || { not_ok "certificates"; show "$sandbox/openssl.log"; }
python3 "$support/connect_proxy.py" "$sandbox" ${registry:+"$registry"} >"$sandbox/proxy.port" 2>"$sandbox/proxy.log" </dev/null &
proxy=$!
trap 'kill "$proxy" 2>/dev/null; leave 130' INT TERM HUP PIPE
trap 'status=$?; kill "$proxy" 2>/dev/null; leave $status' EXIT
within 10 test -s "$sandbox/proxy.port" || not_ok "the proxy listens"
port=$(cat "$sandbox/proxy.port")

settings() {
    mkdir -p "$DEVENV_HOME"
    cat >"$DEVENV_HOME/config.toml"
}
settings <<TOML
[proxy]
http = "http://127.0.0.1:$port"
https = "http://localhost:$port"
no_proxy = "direct.example"

[host]
ca_certificates = ["$sandbox/ca.pem"]
TOML

project shop <<'TOML'
image = "host"
mounts = [".:/src"]
setup = ["curl -sS --max-time 20 https://secret.example/ >/srv/at-setup"]

[services.web]
image = "host"
command = ["python3", "-m", "http.server", "8080"]
workdir = "/usr/share"
TOML

check "up, with a setup line through the proxy" "$DEVENV" up
same "the setup line got it" "found it" "$("$DEVENV" exec -T -- cat /srv/at-setup)"
same "a box gets it through the proxy, and trusts it" "found it" \
    "$("$DEVENV" exec -T -- curl -sS --max-time 20 https://secret.example/ 2>&1)"
same "plain HTTP too" "by proxy" "$("$DEVENV" exec -T -- curl -sS --max-time 20 http://anything.example/ 2>&1)"
check "the proxy was asked" grep -q 'CONNECT secret.example:443' "$sandbox/requests"
check "other boxes are reached directly" "$DEVENV" exec -T -- curl -sSf --max-time 20 -o /dev/null http://web:8080/
check "and not through the proxy" sh -c "! grep -q 'web:8080' '$sandbox/requests'"
exits "the rest of the host's loopback stays out of reach" 7 \
    "$DEVENV" exec -T -- sh -c 'curl -sS --max-time 20 --noproxy "*" "http://$(awk "/nameserver/ { print \$2 }" /etc/resolv.conf):1/"'

if [ -n "$registry" ]; then
    check "an image is pulled through the proxy, by TLS" "$DEVENV" image pull secret.example/busybox:latest
    check "by way of it" sh -c "[ \"\$(grep -c CONNECT '$sandbox/requests')\" -ge 3 ]"
fi

# Without the settings nothing of them stays.
settings </dev/null
check "restart without the settings" "$DEVENV" restart dev
same "no proxy" "" "$("$DEVENV" exec -T -- sh -c 'echo $http_proxy$HTTPS_PROXY$SSL_CERT_FILE')"
check "no trust" sh -c '"$1" exec -T -- grep -c devenv: /etc/ssl/certs/ca-certificates.crt | grep -qx 0' sh "$DEVENV"

# What the project says wins.
settings <<TOML
[proxy]
https = "http://127.0.0.1:$port"
TOML
cat >devenv.toml <<'TOML'
image = "host"
mounts = [".:/src"]
env = { https_proxy = "http://ours.example:1" }
TOML
check "up with a proxy of the project's own" "$DEVENV" up
same "which wins" "http://ours.example:1" "$("$DEVENV" exec -T -- sh -c 'echo $https_proxy$HTTPS_PROXY')"

kill "$proxy" 2>/dev/null
finish
