#!/bin/sh
# journey: the same file in two folders at once: two projects, no clash, ports stay the same
# places: ssh
# in ssh as: root
. "$(dirname "$0")/../support/journey.sh"
journey "two checkouts"

file='image   = "'$image'"
name    = "shop"
mounts  = [".:/src"]
ports   = ["18200"]
volumes = ["data:/data"]
command = ["python3", "-m", "http.server", "18200"]'
project first <<END
$file
END
echo first >page.txt
check "first up" "$DEVENV" up
cd "$work/first" || exit 1
same "the first has the number it asks for" 18200 "$(host_port dev 18200)"
mkdir "$work/second"
cd "$work/second" || exit 1
echo "$file" >devenv.toml
echo second >page.txt
check "second up" "$DEVENV" up
says "says that the port is another" '18200'
other=$(host_port dev 18200)
check "the second has another number" sh -c '[ -n "$1" ] && [ "$1" != 18200 ]' - "$other"
within 10 fetch "http://127.0.0.1:$other/page.txt"
within 10 fetch "http://127.0.0.1:18200/page.txt"
same "each serves its own source" "first second" \
    "$(fetch http://127.0.0.1:18200/page.txt) $(fetch "http://127.0.0.1:$other/page.txt")"
check "its volume is its own" "$DEVENV" exec -T -u root -- sh -c 'echo two >/data/two'
exits "not the first one's" 1 "$DEVENV" -C ../first exec -T -- test -e /data/two
same "list has both" 2 "$("$DEVENV" list --json | jq length)"
check "second down" "$DEVENV" down
check "second up again" "$DEVENV" up
same "the number is the same as before" "$other" "$(host_port dev 18200)"
check "first down" "$DEVENV" -C ../first down
check "second up" "$DEVENV" up
same "and stays when the wanted one is free" "$other" "$(host_port dev 18200)"
cd "$work/second" || exit 1
pids=
for number in 1 2 3 4; do
    "$DEVENV" up >"$sandbox/up.$number" 2>&1 &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || not_ok "one of several ups at once (exit $?)"; done
check "several ups at once leave one box" sh -c '[ "$("$DEVENV" status --json | jq "[.boxes[] | select(.state == \"running\")] | length")" = 1 ]'
finish
