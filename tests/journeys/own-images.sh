#!/bin/sh
# journey: images that only this computer can get at: behind a password that is kept here, and in files; wherever the
# boxes run
# places: only ssh vm
. "$(dirname "$0")/../support/journey.sh"
journey "images of one's own"
need_registry
# shellcheck source=../support/images.sh
. "$support/images.sh"

# A registry that wants a password (htpasswd, as docker-registry reads it: bcrypt).
secret=S3cret-$$-word
private_home=$sandbox/private
mkdir -p "$private_home"
python3 -W ignore -c 'import crypt, sys; print("me:" + crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' "$secret" \
    >"$private_home/htpasswd"
private=127.0.0.1:$(free_port)
cat >"$private_home/config.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $private_home/store}
http: {addr: $private}
auth:
  htpasswd: {realm: here, path: $private_home/htpasswd}
YAML
docker-registry serve "$private_home/config.yml" >"$private_home/log" 2>&1 </dev/null &
private_pid=$!
trap 'kill $private_pid 2>/dev/null; leave $?' EXIT
within 10 curl -s -o /dev/null "http://$private/v2/" || show "$private_home/log"
skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false --dest-creds "me:$secret" \
    "docker://$registry/busybox:latest" "docker://$private/mine:1" >"$sandbox/out" 2>&1 || show "$sandbox/out"

project private <<TOML
image = "$private/mine:1"
TOML
exits "without a password up fails" 1 "$DEVENV" up
says "and says who refuses" "$private.*(401|log in|credentials|password|refuse)"

# The file that `docker login` writes.
mkdir -p "$HOME/.docker"
printf '{"auths":{"%s":{"auth":"%s"},"other.example":{"auth":"b3RoZXI6b3RoZXI="}}}' \
    "$private" "$(printf 'me:%s' "$secret" | base64 -w0)" >"$HOME/.docker/config.json"
check "with the one that docker keeps it works" "$DEVENV" up
check "the box is of that image" "$DEVENV" exec -T -- busybox true
check "down" "$DEVENV" down
check "image rm" "$DEVENV" image rm "$private/mine:1"

# A credential helper of this computer, which is asked for this registry only.
mkdir -p "$sandbox/helpers"
cat >"$sandbox/helpers/docker-credential-journey" <<HELPER
#!/bin/sh
read -r server
echo "\$1 \$server" >>"$sandbox/helper-asked"
printf '{"Username":"me","Secret":"%s"}' "$secret"
HELPER
chmod +x "$sandbox/helpers/docker-credential-journey"
printf '{"credsStore":"journey"}' >"$HOME/.docker/config.json"
PATH=$sandbox/helpers:$PATH
check "with a credential helper as well" "$DEVENV" image pull "$private/mine:1"
same "which is asked for this registry only" "get $private" "$(sort -u "$sandbox/helper-asked")"
check "the password is in no file of ours" sh -c "! grep -rqsF '$secret' '$DEVENV_HOME' ${there:+'$there/state' '$there/cache' '$there/sshd.log'}"
printf '{"auths":{"%s":{"auth":"%s"}}}' "$private" "$(printf 'me:wrong' | base64 -w0)" >"$HOME/.docker/config.json"
"$DEVENV" image rm "$private/mine:1" >/dev/null
exits "a wrong password is refused" 1 "$DEVENV" image pull "$private/mine:1"

# A registry that wants a token, which a service of this computer gives to who knows the password.
tokens=127.0.0.1:$(free_port)
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$private_home/key.pem" -out "$private_home/cert.pem" -days 2 -subj /CN=journey 2>/dev/null
python3 "$support/token_server.py" "${tokens#*:}" "$private_home" me "$secret" 2>"$private_home/tokens.log" &
tokens_pid=$!
kill $private_pid
wait $private_pid 2>/dev/null
sed -i '/^auth:/,$d' "$private_home/config.yml"
cat >>"$private_home/config.yml" <<YAML
auth:
  token: {realm: "http://$tokens/token", service: here, issuer: journey, rootcertbundle: $private_home/cert.pem}
YAML
docker-registry serve "$private_home/config.yml" >"$private_home/log" 2>&1 </dev/null &
private_pid=$!
trap 'kill $private_pid $tokens_pid 2>/dev/null; leave $?' EXIT
within 10 curl -s -o /dev/null "http://$private/v2/" || show "$private_home/log"
within 10 curl -s -o /dev/null "http://$tokens/token" || show "$private_home/tokens.log"
exits "a wrong password is refused by the token service" 1 "$DEVENV" image pull "$private/mine:1"
says "which is told" "token.*(401|refuse|log in)|(401|refuse|log in).*token"
printf '{"auths":{"%s":{"auth":"%s"}}}' "$private" "$(printf 'me:%s' "$secret" | base64 -w0)" >"$HOME/.docker/config.json"
check "with the right one a token is fetched" "$DEVENV" image pull "$private/mine:1"
same "for that repository" "known repository:mine:pull" "$(grep ^known "$private_home/asked" | sort -u)"
rm "$HOME/.docker/config.json"
kill $tokens_pid
wait $tokens_pid 2>/dev/null

# Images in files.
skopeo copy --quiet --src-tls-verify=false "docker://$registry/web:latest" "oci:$work/layout:1" >"$sandbox/out" 2>&1 || show "$sandbox/out"
skopeo copy --quiet "oci:$work/layout:1" "oci-archive:$work/oci.tar:1" >"$sandbox/out" 2>&1 || show "$sandbox/out"
skopeo copy --quiet "oci:$work/layout:1" "docker-archive:$work/docker.tar:me/web:1" >"$sandbox/out" 2>&1 || show "$sandbox/out"
for source in "docker-archive:$work/docker.tar:me/web:1" "oci-archive:../oci.tar" "oci:../layout:1"; do
    project "files" <<TOML
image = "$source"
TOML
    check "up with ${source%%:*}" "$DEVENV" up
    check "a command in it" "$DEVENV" exec -T -- busybox true
done
check "down" "$DEVENV" down
# What is there is not read again: another content of the same length does no harm.
for blob in "$work"/layout/blobs/sha256/*; do
    size=$(stat -c %s "$blob")
    [ "$size" -lt 100000 ] || head -c "$size" /dev/zero >"$blob"
done
check "image import of what is there already" "$DEVENV" image import "oci:$work/layout:1" mine/web:2
same "under its name" "mine/web:2" "$("$DEVENV" image list --json | jq -r '.[].reference' | grep -o 'mine/web:2')"
"$DEVENV" image rm mine/web:2 >/dev/null
"$DEVENV" image prune >/dev/null 2>&1
exits "what is damaged is refused where it is needed" 1 "$DEVENV" image import "oci:$work/layout:1"
says "with what is wrong" "sha256|damaged|decompress"
exits "a file that is not there is told" 2 "$DEVENV" image import docker-archive:nothing.tar
kill $private_pid
wait $private_pid 2>/dev/null
finish
