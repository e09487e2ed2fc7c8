# shellcheck shell=sh
# Streams through several ports, in turn, as a table of medians.
# shellcheck disable=SC2154 # set by `run` and the benchmarks

# measure_streams HEADING UP DOWN: of $subjects, a list of NAME:PORT on 127.0.0.1.
measure_streams() {
    for subject in $subjects; do
        tries=0
        until "$stream" connect 127.0.0.1 "${subject##*:}" 1 >/dev/null 2>&1; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || { echo "${subject%%:*} does not answer" >&2; break; }
            sleep 0.1
        done
    done
    python3 - "$stream" "$rounds" "$subjects" "$@" <<'PYTHON'
import statistics, subprocess, sys

stream, rounds, subjects = sys.argv[1], int(sys.argv[2]), [s.rsplit(":", 1) for s in sys.argv[3].split()]
kinds = [("up", "0.5"), ("down", "0.5"), ("connect", "300")]
got = {}
for _ in range(rounds):
    for kind, amount in kinds:
        for name, port in subjects:
            run = subprocess.run([stream, kind, "127.0.0.1", port, amount], capture_output=True, text=True, timeout=120)
            if run.returncode == 0:
                got.setdefault((name, kind), []).append(float(run.stdout))
print(f"| {sys.argv[4]} | {sys.argv[5]} | {sys.argv[6]} | new connection, µs |\n|---|---|---|---|")
for name, _ in subjects:
    cells = [f"{statistics.median(got[name, kind]):.{0 if kind == 'connect' else 1}f}" if (name, kind) in got else "failed" for kind, _ in kinds]
    print(f"| {name} | " + " | ".join(cells) + " |")
PYTHON
}
