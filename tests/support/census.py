"""Counts what runs of one journey: `census.py SANDBOX [THERE]` prints `BOXES KEEPERS`; with `--keepers` the process
ids of the keepers.

A box is a pid namespace other than this one in which a process has mounts below SANDBOX; a keeper is a process that
was started as one, with SANDBOX in its command line or environment. With THERE, the folder of a remote host, boxes and
a second keeper of each project are below that; where there are not as many keepers as here, both numbers are printed.
"""

import os
import sys

folders = [folder.encode() for folder in sys.argv[1:] if folder and folder != "--keepers"]
here, there = folders[0], folders[-1]


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


own = os.readlink("/proc/self/ns/pid")
boxes, keepers, keepers_there = set(), [], []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        namespace = os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        continue
    if namespace != own:
        if there in read(f"/proc/{pid}/mountinfo"):
            boxes.add(namespace)
        continue
    line = read(f"/proc/{pid}/cmdline")
    words, told = line.split(b"\0"), line + read(f"/proc/{pid}/environ")
    if (b"__keeper" if here == there else b"__keeper-there") in words and here in told:
        keepers.append(pid)
    elif b"__keeper" in words and there in told:
        keepers_there.append(pid)
if "--keepers" in sys.argv:
    print(*keepers, *keepers_there, sep="\n")
elif here == there or len(keepers) == len(keepers_there):
    print(len(boxes), len(keepers))
else:
    print(len(boxes), f"{len(keepers)}+{len(keepers_there)}")
