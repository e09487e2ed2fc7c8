#!/bin/sh
# journey: a person without sub-uid ranges: a box with a single user works, and doctor says what is missing
# runs as: single
. "$(dirname "$0")/../support/journey.sh"
journey "a single id"
! grep -qsE "^($(id -un)|$(id -u)):" /etc/subuid || skip "$(id -un) has sub-uid ranges"

project alone <<'TOML'
image  = "host"
mounts = [".:/src"]
ports  = ["18900:8000"]
command = ["python3", "-m", "http.server", "8000"]
TOML
echo page >page.txt
check "up" "$DEVENV" up
check "the port answers" within 10 fetch http://127.0.0.1:18900/page.txt
same "the box's user is the person" "$(id -u)" "$("$DEVENV" exec -T -- id -u)"
check "a file is made inside" "$DEVENV" exec -T -- sh -c 'echo x >/src/made'
same "and is the person's outside" "$(id -u)" "$(stat -c %u made)"
"$DEVENV" doctor >"$sandbox/out" 2>"$sandbox/err"
says "doctor names what is missing" 'subuid|sub-uid|usermod'
if [ -n "$registry" ]; then
    project pulled <<TOML
image = "$registry/debian:bookworm"
TOML
    check "an image from a registry works too" "$DEVENV" up
    check "and runs" "$DEVENV" exec -T -- python3 -c 'import http.server'
fi
finish
