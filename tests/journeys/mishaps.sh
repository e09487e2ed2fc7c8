#!/bin/sh
# journey: several devenv at once, records cut short, lost keepers and folders, boxes that hang: it heals, and says what is wrong
# places: ssh
# in ssh as: user
. "$(dirname "$0")/../support/journey.sh"
. "$(dirname "$0")/../support/pair.sh"
journey "mishaps"

pair_project mishaps 18160
cp devenv.toml "$sandbox/saved.toml"

# whole WHAT: each box runs once, one keeper, the port answers.
whole() {
    within 15 serves || not_ok "$1: the port answers"
    if within 5 counts "2 1"; then ok "$1: each box once"; else not_ok "$1: two boxes and one keeper, not $(census)"; fi
}
gone() { if within 5 counts "0 0"; then ok "$1: nothing runs"; else not_ok "$1: nothing runs, not $(census)"; fi; }

# Several at once.
for round in 1 2 3; do
    "$DEVENV" up >"$sandbox/up1" 2>&1 & one=$!
    "$DEVENV" up >"$sandbox/up2" 2>&1 & two=$!
    wait $one || { not_ok "first of two up at once"; show "$sandbox/up1"; }
    wait $two || { not_ok "second of two up at once"; show "$sandbox/up2"; }
    within 5 counts "2 1" || not_ok "two up at once, round $round: $(census)"
    "$DEVENV" down >"$sandbox/up1" 2>&1 & one=$!
    "$DEVENV" up >"$sandbox/up2" 2>&1 & two=$!
    wait $one || { not_ok "down beside up"; show "$sandbox/up1"; }
    wait $two || { not_ok "up beside down"; show "$sandbox/up2"; }
    "$DEVENV" down >/dev/null 2>&1
    within 5 counts "0 0" || not_ok "down after up beside down, round $round: $(census)"
done
check "up after all that" "$DEVENV" up
whole "up, up and down at once"
"$DEVENV" exec -T -u root -- sh -c 'echo precious >/data/file'
pids=
for number in 1 2 3 4 5 6 7 8; do
    "$DEVENV" exec -T web -- true >"$sandbox/exec$number" 2>&1 & pids="$pids $!"
done
check "restart beside eight exec" "$DEVENV" restart web
for pid in $pids; do
    # Either it ran, or the box was away: never a crash.
    wait "$pid"
    status=$?
    case $status in 0 | 125 | 137) ;; *) not_ok "exec beside a restart exits with $status" ;; esac
done
if grep -l panicked "$sandbox"/exec?; then not_ok "no panic"; fi
whole "after the restart"

# A file that is wrong must not keep anybody from what runs.
echo 'broken = [' >devenv.toml
exits "up with a broken file" 2 "$DEVENV" up
check "status with a broken file" "$DEVENV" status
check "exec with a broken file" "$DEVENV" exec -T -- true
check "stop with a broken file" "$DEVENV" stop
exits "restart with a broken file changes nothing" 2 "$DEVENV" restart
check "down with a broken file" "$DEVENV" down
gone "down with a broken file"
cp "$sandbox/saved.toml" devenv.toml
check "up" "$DEVENV" up
rm devenv.toml
check "status without the file" "$DEVENV" status
exits "up without the file" 1 "$DEVENV" up
says "says so" 'devenv.toml'
check "down without the file" "$DEVENV" down
gone "down without the file"
exits "and once more there is no project" 1 "$DEVENV" down
cp "$sandbox/saved.toml" devenv.toml

# The keeper: stopped, without its socket, without the whole folder of sockets.
check "up" "$DEVENV" up
web_pid=$(field web pid)
find "$DEVENV_HOME/run" "$state/run" -name keeper.sock -delete
check "the keeper's socket is gone: up" "$DEVENV" up
whole "after that"
same "with the same box" "$web_pid" "$(field web pid)"
rm -rf "$DEVENV_HOME/run" "$state/run"
check "the folder of sockets is gone: up" "$DEVENV" up
whole "after that"
rm -rf "$DEVENV_HOME/run" "$state/run"
check "and once more: down" "$DEVENV" down
gone "after that"
check "up" "$DEVENV" up
for pid in $(keepers); do kill -STOP "$pid"; done
check "the keeper hangs: up" timeout 100 "$DEVENV" up
whole "after that"
for pid in $(keepers); do kill -STOP "$pid"; done
check "the keeper hangs: down" timeout 100 "$DEVENV" down
gone "after that"

# Records cut short while everything runs, emptied, and full of nonsense.
check "up" "$DEVENV" up
records() {
    for record in project.json boxes/web/box.json boxes/dev/box.json "$@"; do
        echo "$state"/data/projects/*/"$record"
    done
    [ "$place" = here ] || echo "$DEVENV_HOME"/data/there/*/project.json
}
for damage in cut empty nonsense boot; do
    for file in $(records boxes/web/exit.json); do
        record=${file##*/data/}
        [ -f "$file" ] || { not_ok "there is $record"; continue; }
        case $damage in
            cut) head -c 100 "$file" >"$sandbox/record" && cat "$sandbox/record" >"$file" ;;
            empty) : >"$file" ;;
            nonsense) echo '{"version": 1, "what": [3]}' >"$file" ;;
            boot) sed -i 's/"boot_id": *"[^"]*"/"boot_id":"00000000-0000-0000-0000-000000000000"/' "$file" ;;
        esac
        "$DEVENV" status >"$sandbox/out" 2>&1 || { not_ok "status with $record: $damage"; show "$sandbox/out"; }
        "$DEVENV" up >"$sandbox/out" 2>&1 || { not_ok "up with $record: $damage"; show "$sandbox/out"; }
        within 15 serves || not_ok "it serves after $record: $damage"
        within 5 counts "2 1" || not_ok "each box once after $record: $damage, not $(census)"
    done
    # Who is born anew has a whole birth record again: two records of one running box are not lost at once.
    "$DEVENV" restart web >/dev/null 2>&1
done
whole "after all records were damaged"
for file in $(records); do
    "$DEVENV" up >/dev/null 2>&1
    record=${file##*/data/}
    : >"$file"
    "$DEVENV" down >"$sandbox/out" 2>&1 || { not_ok "down with $record emptied"; show "$sandbox/out"; }
    within 5 counts "0 0" || not_ok "nothing runs after down with $record emptied, not $(census)"
done
if [ "$place" != here ]; then
    # Nobody is left who knows what was made over there: it is not removed.
    check "up" "$DEVENV" up
    : >"$(echo "$DEVENV_HOME"/data/there/*/project.json)"
    for pid in $(keepers); do kill -9 "$pid"; done
    exits "a lost keeper and a damaged record: down" 1 "$DEVENV" down
    says "says so" 'project.json is damaged'
    check "up mends it" "$DEVENV" up
    check "and down works" "$DEVENV" down
fi
check "up" "$DEVENV" up
"$DEVENV" stop
for file in "$state"/data/seccomp/*; do : >"$file"; done
check "the compiled seccomp list is emptied: up" "$DEVENV" up
whole "after that"
same "the volume is untouched" precious "$("$DEVENV" exec -T -- cat /data/file)"
same "and the source" alive "$(cat page.txt)"
check "down" "$DEVENV" down

# Boxes that will not go, and boxes that do not come.
cat >devenv.toml <<'TOML'
image   = "host"
command = ["sh", "-c", "trap '' TERM; for i in $(seq 300); do sleep 1000 & done; while :; do sleep 1000; done"]
TOML
check "a box that ignores SIGTERM, with 300 processes" "$DEVENV" up
check "goes down" timeout 60 "$DEVENV" down
gone "after that"
printf 'image = "host"\n' >devenv.toml
check "up" "$DEVENV" up
kill -STOP "$(field dev pid)"
check "a stopped box goes down" timeout 60 "$DEVENV" down
gone "after that"
cat >devenv.toml <<'TOML'
image = "host"
depends_on = ["dies"]
[services.dies]
image = "host"
command = ["sh", "-c", "echo last words; exit 3"]
TOML
exits "a service that dies at once" 1 "$DEVENV" up
says "its exit code is told" 'exit code 3'
says "and what it wrote last" 'last words'
same "the other box stays" running "$(field dev state)"
same "and status tells" "exited 3" "$(field dies state) $(field dies exit_code)"
sed -i 's|^command.*|command = ["/etc/passwd"]|' devenv.toml
exits "a command that cannot be executed" 1 "$DEVENV" up
says "says so" '/etc/passwd'
sed -i '/^depends_on/,$d' devenv.toml
check "a service gone from the file" "$DEVENV" up
same "goes" "dev" "$("$DEVENV" status --json | jq -r '.boxes[].name' | tr '\n' ' ' | sed 's/ $//')"
finish
