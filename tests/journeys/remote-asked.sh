#!/bin/sh
# shellcheck disable=SC2317 # the checks call the functions
# What ssh wants to know (is this host right? a password) is asked once, at the terminal; the background process and
# later commands need not ask.
. "$(dirname "$0")/../support/journey.sh"
# shellcheck source=../support/sshd.sh
. "$(dirname "$0")/../support/sshd.sh"
journey "what ssh asks at the terminal"
command -v /usr/sbin/sshd >/dev/null || skip "openssh-server is not installed"

chmod 755 "$sandbox" "$work"
secret=no
sandbox_there=$sandbox
if [ "$(id -u)" -eq 0 ]; then
    secret=yes
    usermod -p "$(openssl passwd -6 open-sesame)" devenv-test
    start_sshd "$sandbox" "PasswordAuthentication yes
AuthenticationMethods password" || { not_ok "sshd starts"; finish; }
else
    start_sshd "$sandbox" || { not_ok "sshd starts"; finish; }
fi
forget_secret() { [ "$secret" = no ] || usermod -p '*' devenv-test; }
trap 'status=$?; forget_secret; leave $status' EXIT
printf 'place = "%s"\n' "$place" >"$DEVENV_HOME/config.toml"
rm "$there/known_hosts"

project shop <<'TOML'
image = "host"
TOML
exits "without a terminal nobody is asked" 1 "$DEVENV" up
says "and that is an error" "Host key verification failed"
says "which says how" "at a terminal"

cat >"$sandbox/script" <<'KEYS'
expect authenticity of host
send yes\r
KEYS
[ "$secret" = no ] || cat >>"$sandbox/script" <<'KEYS'
expect password:
send open-sesame\r
KEYS
cat >>"$sandbox/script" <<'KEYS'
expect started dev
exit 0
KEYS
check "at a terminal ssh asks, once" timeout 60 python3 "$support/terminal.py" --timeout 30 "$sandbox/script" -- "$DEVENV" up
check "later commands need not ask" "$DEVENV" exec -- true
same "who works there" "$there_user" "$("$DEVENV" exec -- id -un)"
check "down" "$DEVENV" down
# Nobody is left to be asked.
rm devenv.toml
for socket in "$DEVENV_HOME"/run/ssh/*; do
    ssh -S "$socket" -O exit there 2>/dev/null
done
forget_secret
finish
