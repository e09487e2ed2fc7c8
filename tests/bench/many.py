#!/usr/bin/env python3
"""Starts COUNT boxes one after the other and prints one row: milliseconds of the first and the last twenty, seconds to
take all down, and the proportional memory (PSS) of the named programs for each box.

    many.py LABEL COUNT PROGRAM,… [--at-once] START STOP

`{}` in START and STOP is the box's number. With --at-once START makes all of them and its time is divided by COUNT.
"""
import os
import statistics
import subprocess
import sys
import time


def run(command):
    begun = time.monotonic()
    subprocess.run(command.split(), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.monotonic() - begun) * 1000


def pss_kb(programs):
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            # A box's first process may run from a file that has no path here: its name still tells.
            names = {os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")}
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                names.add(comm.read().strip())
            if not any(name == program or name == program[:15] for name in names for program in programs):
                continue
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
                total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def main():
    arguments = sys.argv[1:]
    label, count, programs = arguments[0], int(arguments[1]), arguments[2].split(",")
    at_once = arguments[3] == "--at-once"
    start, stop = arguments[-2:]
    before = pss_kb(programs)
    if at_once:
        each = run(start) / count
        first = last = f"{each:.1f} (all at once)"
    else:
        took = [run(start.replace("{}", str(number))) for number in range(1, count + 1)]
        first, last = (f"{statistics.median(part):.1f}" for part in (took[:20], took[-20:]))
    memory = (pss_kb(programs) - before) / count
    begun = time.monotonic()
    for number in [1] if at_once else range(1, count + 1):
        run(stop.replace("{}", str(number)))
    print(f"| {label} | {first} | {last} | {time.monotonic() - begun:.1f} | {memory:.0f} |", flush=True)


main()
