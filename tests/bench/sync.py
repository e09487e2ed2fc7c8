#!/usr/bin/env python3
"""Measures file sync beside its peers over an sshd on loopback, and prints Markdown tables of medians.

  sync.py SYNC_ENDS FOLDER

SYNC_ENDS is the program of tests/bench/sync_ends.rs; FOLDER an empty one. From the environment: FILES (50000), ROUNDS
(3), EDITS (60), LARGE_MB (1024), PARTS (all: trees edits checkout large flight idle).
"""

import os
import random
import statistics
import subprocess
import sys
import threading
import time

from sync_world import World, edits, make_tree, table, timed

FILES = int(os.environ.get("FILES", "50000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
EDITS = int(os.environ.get("EDITS", "60"))
LARGE_MB = int(os.environ.get("LARGE_MB", "1024"))
FOLDERS = max(1, FILES // 1000)
# The first look of a peer at its trees takes no longer.
READY_S = 60


def trees(world, tree):
    """A first copy, a second one of nothing, and two trees that are equal already."""
    names = ["tar over ssh", "devenv", "rsync", "unison"]
    first, again, equal = ({name: [] for name in names} for _ in range(3))
    kept = {name: [] for name in ["devenv", "rsync"]}
    memory, logins = [], []
    for _ in range(ROUNDS):
        os.sync()
        logins.append(timed([world.ssh, "127.0.0.1", "true"]))
        there = world.fresh("tar")
        os.makedirs(there)
        first["tar over ssh"].append(
            timed(f"tar -c -C {tree} . | {world.ssh} 127.0.0.1 tar -x -C {there}", shell=True))
        state, target = world.fresh("state"), world.fresh("devenv")
        for rows, at in [(first, state), (again, state), (equal, world.fresh("state"))]:
            # What the one before left to be written would be written in the time of the next.
            os.sync()
            session = world.session(tree, target, at)
            rows["devenv"].append(session.ready_s)
            if rows is first:
                memory.append(session.memory_mb())
                # As in life: what was read is written down after two quiet seconds.
                time.sleep(4)
            session.stop()
        timed([world.kept_ssh, "127.0.0.1", "true"])
        session = world.session(tree, target, state, ssh=world.kept_ssh)
        kept["devenv"].append(session.ready_s)
        session.stop()
        target = world.fresh("rsync")
        os.sync()
        first["rsync"].append(timed(world.rsync(tree, target)))
        again["rsync"].append(timed(world.rsync(tree, target)))
        kept["rsync"].append(timed(world.rsync(tree, target, ssh=world.kept_ssh)))
        target = world.fresh("unison")
        os.makedirs(target)
        os.sync()
        first["unison"].append(timed(world.unison(tree, target)))
        again["unison"].append(timed(world.unison(tree, target)))
        equal["unison"].append(timed(world.unison(tree, target, "-ignorearchives")))
    table(f"First copy of {FILES} small files", [(name, first[name]) for name in names])
    table("Once more, nothing changed", [(name, again[name]) for name in names[1:]])
    print(f"\nAll of them begin with a login, which alone takes {statistics.median(logins):.2f} s", flush=True)
    table("Once more, nothing changed, over a connection that is there", list(kept.items()))
    table("Two equal trees that were never synced", [(name, equal[name]) for name in ["devenv", "unison"]])
    here, there = (statistics.median(ends) for ends in zip(*memory))
    print(f"\nMost memory of devenv in a first copy: {here:.0f} MB here, {there:.0f} MB there", flush=True)


def all_edits(world, tree):
    """From an edit until it is seen on the other side."""
    print(f"\n### Edit to visible on the other side, {FILES} other files\n\n| program | p50, ms | p99, ms |\n|---|---|---|")
    target = world.fresh("devenv")
    session = world.session(tree, target, world.fresh("state"))
    for name, one, two, how in [
            ("devenv", tree, target, "plain"), ("devenv, the other way", target, tree, "plain"),
            ("devenv, in a new folder", tree, target, "new"), ("devenv, saved by rename", tree, target, "rename")]:
        print("| %s | %.1f | %.1f |" % (name, *edits(one, two, EDITS, FOLDERS, how)), flush=True)
    session.stop()
    lsyncd = ["lsyncd", "-nodaemon", "-delay", "0", "-rsync", tree, f"127.0.0.1:{target}"]
    for name, command in [("lsyncd", lsyncd), ("unison", world.unison(tree, target, "-repeat", "1"))]:
        watch = subprocess.Popen(command, env={**os.environ, "RSYNC_RSH": world.ssh},
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # It is ready when it has carried one.
        if edits(tree, target, 1, FOLDERS, patience_s=READY_S)[0] < READY_S * 1000:
            print("| %s | %.1f | %.1f |" % (name, *edits(tree, target, EDITS, FOLDERS)), flush=True)
        else:
            print(f"| {name} | not ready in {READY_S} s | |", flush=True)
        watch.terminate()
        watch.wait()


def checkout(world):
    """A switch of branches that touches 5,000 of 10,000 files, from git's end until both sides are equal."""
    tree = world.fresh("git")
    git = ["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "user.name=n",
           "-c", "user.email=n@localhost", "-C", tree]
    make_tree(tree, 10_000)
    timed(["git", "init", "-q", "-b", "one", tree])
    timed([*git, "add", "."])
    timed([*git, "commit", "-qm", "one"])
    timed([*git, "checkout", "-qb", "two"])
    source = random.Random(3)
    for number in range(5_000):
        with open(f"{tree}/d{number // 1000}/e{number // 30 % 33}/f{number}", "ab") as file:
            file.write(source.randbytes(100))
    timed([*git, "commit", "-qam", "two"])
    ours, theirs = world.fresh("devenv"), world.fresh("rsync")
    session = world.session(tree, ours, world.fresh("state"))
    timed(world.rsync(tree, theirs))
    times = {"devenv": [], "rsync": []}
    for number in range(2 * ROUNDS):
        timed([*git, "checkout", "-q", ["one", "two"][number % 2]])
        times["devenv"].append(session.flush())
        times["rsync"].append(timed(world.rsync(tree, theirs, "--delete")))
    session.stop()
    table("git checkout of 5,000 files: from git's end", list(times.items()))


def large(world):
    """A large file of which 1 % changed, in a hundred and more places."""
    tree, ours, theirs = world.fresh("large"), world.fresh("devenv"), world.fresh("rsync")
    os.makedirs(tree)
    source = random.Random(4)
    with open(f"{tree}/large", "wb") as file:
        for _ in range(LARGE_MB):
            file.write(source.randbytes(1 << 20))
    session = world.session(tree, ours, world.fresh("state"))
    times = {"devenv": [], "rsync": []}
    print(f"\nFirst copy of {LARGE_MB} MB: devenv {session.ready_s:.2f} s, rsync {timed(world.rsync(tree, theirs)):.2f} s")
    for _ in range(ROUNDS):
        with open(f"{tree}/large", "r+b") as file:
            for _ in range(LARGE_MB * 16 // 100):
                file.seek(source.randrange((LARGE_MB << 20) - 65536))
                file.write(source.randbytes(65536))
        times["devenv"].append(session.flush())
        times["rsync"].append(timed(world.rsync(tree, theirs)))
        for copy in (ours, theirs):
            timed(["cmp", f"{tree}/large", f"{copy}/large"])
    print("Most memory: %.0f MB here, %.0f MB there" % tuple(session.memory_mb()))
    session.stop()
    table(f"{LARGE_MB} MB, 1 % changed", list(times.items()))


def flight(world, tree):
    """Edits while a large new file is on its way."""
    target = world.fresh("devenv")
    session = world.session(tree, target, world.fresh("state"))
    with open(world.fresh("huge"), "wb") as file:
        source = random.Random(5)
        for _ in range(LARGE_MB):
            file.write(source.randbytes(1 << 20))
    copying = threading.Thread(target=lambda: [
        timed(["cp", file.name, f"{tree}/huge{number}"]) and session.flush() for number in range(ROUNDS)])
    copying.start()
    times = []
    while copying.is_alive():
        times.extend(edits(tree, target, 1, FOLDERS)[:1])
    times.sort()
    print(f"\nEdits while {LARGE_MB} MB are copied in and sent, {len(times)} of them: p50 {times[len(times) // 2]:.1f} ms, "
          f"p99 {times[int(len(times) * 0.99)]:.1f} ms, slowest {times[-1]:.1f} ms", flush=True)
    session.stop()
    for number in range(ROUNDS):
        os.remove(f"{tree}/huge{number}")


def idle(world, tree):
    """A minute of nothing."""
    session = world.session(tree, world.fresh("devenv"), world.fresh("state"))
    time.sleep(10)
    before = session.processor_s()
    time.sleep(60)
    print(f"\nProcessor time of both ends in a minute of nothing: {session.processor_s() - before:.2f} s", flush=True)
    session.stop()


def main():
    parts = os.environ.get("PARTS", "trees edits checkout large flight idle").split()
    world = World(sys.argv[2], sys.argv[1])
    try:
        tree = world.fresh("tree")
        make_tree(tree, FILES)
        for name, part in [("trees", trees), ("edits", all_edits), ("flight", flight), ("idle", idle)]:
            if name in parts:
                part(world, tree)
        for name, part in [("checkout", checkout), ("large", large)]:
            if name in parts:
                part(world)
    finally:
        world.stop()


main()
