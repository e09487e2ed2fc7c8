#!/bin/sh
# shellcheck disable=SC2317 # the checks call the functions
# A project on a remote host (an sshd on loopback; as root, another user's account): ports, source, and what may go wrong.
. "$(dirname "$0")/../support/journey.sh"
# shellcheck source=../support/sshd.sh
. "$(dirname "$0")/../support/sshd.sh"
journey "a project on a remote host"
command -v /usr/sbin/sshd >/dev/null || skip "openssh-server is not installed"

chmod 755 "$sandbox" "$work"
sandbox_there=$sandbox
start_sshd "$sandbox" || { not_ok "sshd starts"; finish; }
printf 'place = "%s"\n' "$place" >"$DEVENV_HOME/config.toml"

# Processes over there, by the program that was put there.
agents() {
    for folder in /proc/[0-9]*; do
        case $(readlink "$folder/exe" 2>/dev/null) in "$there"/*) echo "${folder#/proc/}" ;; esac
    done
}
none_there() { [ -z "$(agents)" ]; }
page_is() { [ "$(fetch "http://127.0.0.1:$1/page")" = "$2" ]; }

project shop <<'TOML'
image   = "host"
mounts  = [".:/src"]
ports   = ["8742:8000"]
command = ["python3", "-m", "http.server", "8000", "--bind", "127.0.0.1", "--directory", "/src"]
TOML
echo first >page
check "up" "$DEVENV" up
check "the port is here, and the source is there" within 20 page_is 8742 first
same "who works there" "$there_user" "$("$DEVENV" exec -- id -un)"
same "status knows the place" "$place" "$("$DEVENV" status --json | jq -r .place)"
same "and the port" 8742 "$(host_port dev 8000)"
exits "exit codes come through" 7 "$DEVENV" exec -- sh -c 'exit 7'
echo second >page
check "what is edited here is seen there" within 20 page_is 8742 second
same "one program was put there" 1 "$(find "$there/cache/devenv/bin" -name devenv -type f | wc -l)"
check "up again" "$DEVENV" up

# Another build of devenv: the same program in another file counts as one.
cp "$DEVENV" "$sandbox/another"
keeper() { pgrep -f "__keeper-there $DEVENV_HOME/"; }
before=$(keeper)
check "another build works on the same project" "$sandbox/another" exec -- true
keeper_is_new() { [ "$(keeper | wc -l)" = 1 ] && [ "$(keeper)" != "$before" ]; }
check "with a keeper of its own" within 5 keeper_is_new
check "which publishes the ports" within 20 page_is 8742 second
check "and back" "$DEVENV" exec -- true

# Both sides change one file while nothing is carried.
echo both >both.txt
check "sync flush" "$DEVENV" sync flush
check "sync pause" "$DEVENV" sync pause
same "which status says" paused "$("$DEVENV" sync status --json | jq -r '.[0].state')"
check "commands work meanwhile" "$DEVENV" exec -- sh -c 'echo theirs >/src/both.txt; echo untouched >/src/undo.txt'
echo ours >both.txt
exits "flush says that it cannot" 1 "$DEVENV" sync flush
says "and why" "file sync is paused"
check "sync resume" "$DEVENV" sync resume
conflict_is_listed() { [ "$("$DEVENV" sync status --json | jq -r '.[0].conflicts[].path')" = both.txt ]; }
check "the conflict is listed" within 20 conflict_is_listed
same "and neither is touched" ours "$(cat both.txt)"
same "neither there" theirs "$("$DEVENV" exec -- cat /src/both.txt 2>/dev/null)"
"$DEVENV" sync diff both.txt >diff.out 2>/dev/null
check "diff shows ours" grep -qx -- "-ours" diff.out
check "and theirs" grep -qx -- "+theirs" diff.out
exits "a pattern that matches no conflict is an error" 1 "$DEVENV" sync resolve --ours no-such-file
check "resolve --ours" "$DEVENV" sync resolve --ours both.txt
same "ends it" ours "$("$DEVENV" exec -- cat /src/both.txt)"
same "for good" 0 "$("$DEVENV" sync status --json | jq '.[0].conflict_count')"
check "what was made there is here" grep -qx untouched undo.txt
rests() { [ "$("$DEVENV" sync status --json | jq -r '.[0].state')" = watching ]; }
check "sync rests" within 20 rests
check "a command there replaces a file" "$DEVENV" exec -- sh -c 'echo spoilt >/src/both.txt'
same "which is seen here" spoilt "$(cat both.txt)"
check "sync undo" "$DEVENV" sync undo
same "brings it back here" ours "$(cat both.txt)"
same "and there" ours "$("$DEVENV" exec -- cat /src/both.txt)"
check "sync reset" "$DEVENV" sync reset
exits "here nothing is synced" 2 "$DEVENV" --place here sync status
says "which is said" "the source is mounted"

# The connection is cut.
sessions=$(pgrep -P "$sshd_pid")
# shellcheck disable=SC2086 # a list
kill -9 $sessions
check "the next command connects again" "$DEVENV" exec -- true
silent() { [ -z "$("$DEVENV" exec -- true 2>&1)" ]; }
check "and the one after that has nothing to tell" silent
check "the port works again" within 20 page_is 8742 second
for pid in $(agents); do
    case $(tr '\0' ' ' <"/proc/$pid/cmdline") in *"devenv agent "*) kill -9 "$pid" ;; esac
done
check "so it does after the agent was killed" "$DEVENV" exec -- true
check "and the box was not touched" within 20 page_is 8742 second

# The host is gone for a while.
stop_sshd
exits "a host that is gone is an error" 125 timeout 60 "$DEVENV" exec -- true
says "that names the host and the reason" "ssh://there.*"
says "in ssh's own words" "Connection refused"
/usr/sbin/sshd -D -e -f "$there/sshd_config" >>"$there/sshd.log" 2>&1 </dev/null &
sshd_pid=$!
check "the host is back" within 10 ssh there true
check "and so is the box" "$DEVENV" exec -- true

# Somebody else answers.
cp "$there/known_hosts" "$there/right"
sed "s| ssh-ed25519 .*| $(cut -d' ' -f1,2 "$there/key.pub")|" "$there/right" >"$there/known_hosts"
pkill -P "$sshd_pid"
exits "a host with another key is refused" 125 timeout 60 "$DEVENV" exec -- true
says "which is said" "IDENTIFICATION HAS CHANGED"
says "with what to do" "ssh-keygen -R"
cp "$there/right" "$there/known_hosts"
check "with the right key it works again" "$DEVENV" exec -- true

# A port that is taken here.
python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 8743)); time.sleep(600)' &
taker=$!
project taken <<'TOML'
image = "host"
ports = ["8743:80"]
TOML
within 5 python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8743))'
exits "a port that is taken here is an error" 1 "$DEVENV" up
says "that names the holder" "held by python3, process $taker"
kill "$taker"
check "and free it is not" "$DEVENV" up
same "at its number" 8743 "$(host_port dev 80)"

check "down" "$DEVENV" down
cd "$work/shop" && check "down with the other" "$DEVENV" down
check "nothing runs there any more" within 10 none_there
exits "the port is closed" 7 curl -s --noproxy '*' http://127.0.0.1:8742/page
same "the source is still here" second "$(cat page)"

# A host that allows no user namespaces: a session in one whose limit for further ones is 0.
stop_sshd
mkdir -p "$sandbox/strict"
chmod 755 "$sandbox/strict"
cat >"$sandbox/strict/session" <<'SESSION'
#!/bin/sh
exec unshare --user --map-current-user --keep-caps sh -c '
    echo 0 >/proc/sys/user/max_user_namespaces
    exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all sh -c "$SSH_ORIGINAL_COMMAND"'
SESSION
chmod 755 "$sandbox/strict/session"
start_sshd "$sandbox/strict" "ForceCommand $sandbox/strict/session" || not_ok "another sshd starts"
project strict <<'TOML'
image = "host"
TOML
exits "without user namespaces there is no box" 1 "$DEVENV" up
says "which is said" "cannot make a user namespace"
exits "and doctor says so" 1 "$DEVENV" doctor
says "with the fix" "sysctl user.max_user_namespaces"

# A host whose disk is full.
if [ "$(id -u)" -eq 0 ]; then
    "$DEVENV" down >/dev/null 2>&1
    stop_sshd
    mkdir -p "$sandbox/expected-mount"
    chmod 755 "$sandbox/expected-mount"
    start_sshd "$sandbox/expected-mount" || not_ok "a third sshd starts"
    if mount -t tmpfs -o "size=4m,mode=700,uid=$(id -u "$there_user")" none "$there/state" 2>/dev/null; then
        project full <<'TOML'
image  = "host"
mounts = [".:/src"]
TOML
        head -c 8000000 /dev/urandom >large
        before=$(sha256sum <large)
        # What fits is carried, and what does not is tried again.
        check "a full disk over there: up goes on" timeout 60 "$DEVENV" up
        says "and says what is missing" "large: No space left"
        same "and nothing is lost here" "$before" "$(sha256sum <large)"
        mount -o remount,size=200m "$there/state"
        check "with room it works" "$DEVENV" up
        arrived() { [ "$("$DEVENV" exec -T -- sha256sum /src/large | cut -d" " -f1)" = "${before%% *}" ]; }
        within 60 arrived
        same "as a whole" "$before" "$("$DEVENV" exec -T -- cat /src/large | sha256sum)"
        check "down" "$DEVENV" down
        umount -l "$there/state"
    fi
fi
finish
