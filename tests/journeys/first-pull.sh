#!/bin/sh
# journey: two projects want the same new image at the same time, and a source vanishes while `up` is at work
# places: ssh
# in ssh as: root
. "$(dirname "$0")/../support/journey.sh"
journey "at the same time"
need_registry

for name in one two; do
    project "$name" <<TOML
image = "$registry/busybox:latest"
TOML
done
"$DEVENV" -C "$work/one" up >"$sandbox/up1" 2>&1 </dev/null &
one=$!
"$DEVENV" -C "$work/two" up >"$sandbox/up2" 2>&1 </dev/null &
two=$!
wait $one || { not_ok "the first project is up"; show "$sandbox/up1"; }
wait $two || { not_ok "the second project is up"; show "$sandbox/up2"; }
for name in one two; do
    check "a box of project $name" "$DEVENV" -C "$work/$name" exec -T -- busybox true
done
same "one image for both" 1 "$("$DEVENV" image list --json | jq length)"
same "the same in both" "$(cd "$work/one" && field dev digest)" "$(cd "$work/two" && field dev digest)"

# The source is there when the file is checked, and gone when the box starts.
project vanishing <<'TOML'
image = "host"
mounts = ["./code:/src"]
setup = ["echo it began", "sleep 3"]
TOML
mkdir code
echo kept >code/file
"$DEVENV" up >"$sandbox/out" 2>"$sandbox/err" </dev/null &
up=$!
began() { cat "$sandbox/out" "$sandbox/err" | grep -q 'it began'; }
within 30 began || not_ok "the setup begins"
mv code away
status=0
wait $up || status=$?
if [ "$place" != here ]; then
    # What the box has is a copy, which no accident here deletes.
    same "up goes on" 0 "$status"
    "$DEVENV" sync status >"$sandbox/out" 2>"$sandbox/err"
    says "it is said why nothing is synced" 'vanishing/code.*(is gone|No such file)'
    exits "a command that may not see what was saved is refused" 125 "$DEVENV" exec -T -- true
    mv away code
    copied() { [ "$("$DEVENV" exec -T -- cat /src/file 2>/dev/null)" = kept ]; }
    check "with the source back it goes on, and nothing was deleted" within 10 copied
    finish
fi
same "up fails" 1 "$status"
says "and says what is missing" 'vanishing/code.*(does not exist|cannot find|No such file)'
check "no folder is made in its place" test ! -e code
mkdir code
check "with the source back it works" "$DEVENV" up
finish
