#!/bin/sh
# journey: a second `up` changes nothing; a changed key changes only what depends on it
# places: ssh
# in ssh as: user
. "$(dirname "$0")/../support/journey.sh"
journey "up is idempotent"

write() {
    cat >devenv.toml <<TOML
image  = "$image"
mounts = [".:/src"]
ports  = ["$1:8000"]

[services.side]
image   = "$image"
env     = { WHICH = "$2" }
command = ["sleep", "infinity"]
TOML
}
project same </dev/null
write 18300 one
check "up" "$DEVENV" up
dev=$(field dev pid) side=$(field side pid)
check "up again" "$DEVENV" up
same "same processes" "$dev $side" "$(field dev pid) $(field side pid)"
write 18300 two
check "--dry-run" "$DEVENV" up --dry-run
says "names the box that would restart" side
same "and does nothing" "$dev $side" "$(field dev pid) $(field side pid)"
check "up with one service's env changed" "$DEVENV" up
same "dev is untouched" "$dev" "$(field dev pid)"
check "the service is another process" sh -c '[ "$1" != "$2" ]' - "$side" "$(field side pid)"
same "with the new value" two "$("$DEVENV" exec -T side -- sh -c 'echo $WHICH')"
side=$(field side pid)
write 18301 two
check "up with a port changed" "$DEVENV" up
same "nothing restarted" "$dev $side" "$(field dev pid) $(field side pid)"
same "the port moved" 18301 "$(host_port dev 8000)"
sed -i '/services.side/,$d' devenv.toml
check "up with the service gone" "$DEVENV" up
same "dev is untouched" "$dev" "$(field dev pid)"
check "the service is gone" within 5 has_ended "$side"
same "config show names the image" "$image" "$("$DEVENV" config show 2>/dev/null | grep -oF "$image" | head -n1)"
finish
