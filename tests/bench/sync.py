#!/usr/bin/env python3
"""Measures file sync beside its peers over an sshd on loopback, and prints Markdown tables of medians.

  sync.py SYNC_ENDS FOLDER

SYNC_ENDS is the program of tests/bench/sync_ends.rs; FOLDER an empty one. FILES (50000) and ROUNDS (3) from the
environment. Everything is started here and ends with this program.
"""

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time

ENDS, FOLDER = sys.argv[1], sys.argv[2]
FILES = int(os.environ.get("FILES", "50000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
EDITS = int(os.environ.get("EDITS", "60"))
count = 0


def fresh(name):
    """A path never used before: creating many files right after deleting as many is far slower."""
    global count
    count += 1
    return os.path.join(FOLDER, f"{name}{count}")


def start_sshd():
    folder = os.path.join(FOLDER, "ssh")
    os.makedirs(folder)
    os.makedirs("/run/sshd", exist_ok=True)
    for key in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{key}"], check=True)
    shutil.copy(f"{folder}/client.pub", f"{folder}/authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(f"{folder}/config", "w") as config:
        config.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
                     "StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{folder}/config"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    with open(f"{folder}/run", "w") as script:
        script.write(f"#!/bin/sh\nexec ssh -q -p {port} -i {folder}/client -o StrictHostKeyChecking=no "
                     f"-o UserKnownHostsFile={folder}/known -o ControlMaster=no \"$@\"\n")
    os.chmod(f"{folder}/run", 0o755)
    return server, f"{folder}/run"


def make_tree(root, files):
    source = random.Random(1)
    for number in range(files):
        path = f"{root}/d{number // 1000}/e{number // 30 % 33}/f{number}"
        if number % 10 == 0:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(source.randbytes(source.randint(100, 6000)))


def timed(command, **more):
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    return time.monotonic() - began


class Session:
    """A running session of ours."""

    def __init__(self, here, there, state):
        self.process = subprocess.Popen(
            [ENDS, "host", here, state + "-here", SSH, "127.0.0.1", f"exec {ENDS} far {there} {state}-there"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready_s = int(self.process.stdout.readline().split()[1]) / 1000

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int([line for line in status if line.startswith("VmHWM")][0].split()[1]) / 1024

    def stop(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait()


def unison(here, there, *more):
    return [
        "unison", here, f"ssh://127.0.0.1/{there}", "-batch", "-silent", "-confirmbigdel=false", "-sshcmd", SSH, *more]


def edits(watched, seen):
    """Writes at random and waits until each is seen there; half a second apart, as a person would."""
    source = random.Random(2)
    times = []
    for number in range(EDITS):
        name = f"d{source.randrange(max(1, FILES // 1000))}/e{source.randrange(33)}/edit"
        os.makedirs(os.path.dirname(f"{watched}/{name}"), exist_ok=True)
        text = f"{number} {time.monotonic()}"
        began = time.monotonic()
        with open(f"{watched}/{name}", "w") as file:
            file.write(text)
        while True:
            try:
                with open(f"{seen}/{name}") as file:
                    if file.read() == text:
                        break
            except OSError:
                pass
            if time.monotonic() - began > 30:
                break
            time.sleep(0.0005)
        times.append((time.monotonic() - began) * 1000)
        time.sleep(0.1)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def table(title, rows, unit):
    floor = statistics.median(rows[0][1])
    print(f"\n### {title}\n\n| program | median, {unit} | to the first row |\n|---|---|---|")
    for name, times in rows:
        median = statistics.median(times)
        print(f"| {name} | {median:.2f} | {median / floor:.2f} |", flush=True)


server, SSH = start_sshd()
try:
    os.environ["HOME"] = FOLDER
    tree = fresh("tree")
    make_tree(tree, FILES)
    names = ["tar over ssh", "devenv", "rsync", "unison"]
    first, again, equal = ({name: [] for name in names} for _ in range(3))
    memory = []
    for _ in range(ROUNDS):
        there = fresh("tar")
        os.makedirs(there)
        first["tar over ssh"].append(timed(f"tar -c -C {tree} . | {SSH} 127.0.0.1 tar -x -C {there}", shell=True))
        state, target = fresh("state"), fresh("devenv")
        session = Session(tree, target, state)
        first["devenv"].append(session.ready_s)
        memory.append(session.memory_mb())
        session.stop()
        session = Session(tree, target, state)
        again["devenv"].append(session.ready_s)
        session.stop()
        session = Session(tree, target, fresh("state"))
        equal["devenv"].append(session.ready_s)
        session.stop()
        target = fresh("rsync")
        command = ["rsync", "-a", "-e", SSH, f"{tree}/", f"127.0.0.1:{target}/"]
        first["rsync"].append(timed(command))
        again["rsync"].append(timed(command))
        target = fresh("unison")
        os.makedirs(target)
        first["unison"].append(timed(unison(tree, target)))
        again["unison"].append(timed(unison(tree, target)))
        equal["unison"].append(timed(unison(tree, target, "-ignorearchives")))
    table(f"First copy of {FILES} small files", [(name, first[name]) for name in names], "s")
    table("Once more, nothing changed", [(name, again[name]) for name in names[1:]], "s")
    table("Two equal trees that were never synced", [(name, equal[name]) for name in ["devenv", "unison"]], "s")
    print(f"\nMost memory of devenv's host end: {statistics.median(memory):.0f} MB")

    print(f"\n### Edit to visible on the other side, {FILES} other files\n\n| program | p50, ms | p99, ms |\n|---|---|---|")
    state, target = fresh("state"), fresh("devenv")
    session = Session(tree, target, state)
    print("| devenv | %.1f | %.1f |" % edits(tree, target), flush=True)
    print("| devenv, the other way | %.1f | %.1f |" % edits(target, tree), flush=True)
    session.stop()
    watch = subprocess.Popen(["lsyncd", "-nodaemon", "-delay", "0", "-rsync", tree, f"127.0.0.1:{target}"],
                             env={**os.environ, "RSYNC_RSH": SSH}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)
    print("| lsyncd | %.1f | %.1f |" % edits(tree, target), flush=True)
    watch.terminate()
    watch.wait()
    watch = subprocess.Popen(unison(tree, target, "-repeat", "watch"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(20)
    print("| unison -repeat watch | %.1f | %.1f |" % edits(tree, target), flush=True)
    watch.terminate()
    watch.wait()
finally:
    server.terminate()
    server.wait()
