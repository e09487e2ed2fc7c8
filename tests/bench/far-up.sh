# shellcheck shell=sh
# `up` of a project on a remote host (an sshd on loopback), beside the same here; with the connection that the last
# command left, and with a new one, which costs what `ssh there true` costs. The goal: at most 150 ms more.
# shellcheck disable=SC2154 # set by `run` and sshd.sh

if [ -z "$DEVENV" ]; then
    echo "far-up: only devenv is measured" >&2
else
    # shellcheck source=far.sh
    . "$here/far.sh"
    start_far
    # Projects of their own: the others stay up.
    cp -r "$folder/far" "$folder/near"
    cp -r "$folder/far" "$folder/other"
    printf '\n**far-up: a project on a remote host** (%s runs each, in turn)\n\n' "$rounds"
    python3 - "$DEVENV" "$rounds" "$place" "$folder" "$DEVENV_HOME" <<'PYTHON'
import glob, statistics, subprocess, sys, time

devenv, rounds, place, folder, home = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]


def run(*words):
    began = time.monotonic()
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.monotonic() - began) * 1000


def up(where, name):
    took = run(devenv, "-q", "--place", where, "-C", f"{folder}/{name}", "up")
    run(devenv, "-q", "--place", where, "-C", f"{folder}/{name}", "down")
    return took


def forget():
    """Ends kept connections that nobody uses; one in use goes on, and is not found any more."""
    for socket in glob.glob(f"{home}/run/ssh/*"):
        subprocess.run(["ssh", "-S", socket, "-O", "stop", "there"], capture_output=True)


def new():
    forget()
    return up(place, "other")


ways = {
    "`ssh there true` (a new connection)": lambda: run("ssh", "there", "true"),
    "`devenv up`, here": lambda: up("here", "near"),
    "`devenv up`, there": lambda: up(place, "other"),
    "`devenv up`, there, over a new connection": new,
    "`devenv up` again, there": lambda: run(devenv, "-q", "-C", f"{folder}/bare", "up"),
}
got = {way: [] for way in ways}
for number in range(rounds + 1):
    for way, measure in ways.items():
        took = measure()
        if number:
            got[way].append(took)
median = {way: statistics.median(times) for way, times in got.items()}
base = median["`devenv up`, here"]
print("| command | median ms | more than here, ms | ratio |\n|---|---|---|---|")
for way, ms in median.items():
    more = f"{ms - base:.0f} | {ms / base:.1f}" if "there" in way and "up" in way and "again" not in way else "|"
    print(f"| {way} | {ms:.1f} | {more} |")
PYTHON
fi
