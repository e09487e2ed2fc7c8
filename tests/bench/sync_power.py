"""File sync while the VM loses its power: python3 sync_power.py FOLDER, with FOLDER/busybox an image. See sync-power.sh."""

import hashlib
import io
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time

folder = pathlib.Path(sys.argv[1])
devenv = os.environ["DEVENV"]
rounds = int(os.environ.get("ROUNDS", 20))
seed = int(os.environ.get("SEED", 1))
chance = random.Random(seed)
tree = folder / "project"
environment = dict(os.environ, DEVENV_HOME=str(folder / "home"))

# A file says itself whether it is whole: number of its version, content, and their digest. It comes into being by a rename,
# as editors do it, without fsync(2), as editors mostly do it.
WRITER = """
version=$1
while :; do
    version=$((version + 1))
    { echo $version; dd if=/dev/urandom bs=512 count=$((version % 61)) 2>/dev/null | base64; } >/src/node_modules/made
    { cat /src/node_modules/made; sha256sum </src/node_modules/made | cut -d' ' -f1; } >/src/node_modules/whole
    mv /src/node_modules/whole /src/there-$((version % 40))
done
"""


def run(*words, check=True, **more):
    done = subprocess.run([devenv, "-q", "--place", "vm", "-C", str(tree), *words], env=environment, capture_output=True, **more)
    if check and done.returncode != 0:
        sys.exit(f"seed {seed}: devenv {' '.join(words)} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def version(content):
    """The version of a whole file; None of a torn one."""
    body, _, digest = content.rstrip(b"\n").rpartition(b"\n")
    whole = hashlib.sha256(body + b"\n").hexdigest().encode() == digest
    return int(body.split(b"\n", 1)[0]) if whole else None


def versions(files):
    return {name: version(content) for name, content in files.items() if name.startswith(("here-", "there-"))}


def here():
    return {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file()}


def there():
    with tarfile.open(fileobj=io.BytesIO(run("exec", "-T", "--", "tar", "-C", "/src", "-cf", "-", "."))) as archive:
        return {m.name.removeprefix("./"): archive.extractfile(m).read() for m in archive if m.isfile() and m.name.count("/") == 1}


class Writer(threading.Thread):
    """Somebody at work on this side."""

    def __init__(self):
        super().__init__(daemon=True)
        self.going, self.written = True, {}

    def run(self):
        global last
        while self.going:
            last += 1
            body = f"{last}\n{chance.randbytes(chance.randrange(20_000)).hex()}\n".encode()
            made = tree / "node_modules" / "made-here"
            made.write_bytes(body + hashlib.sha256(body).hexdigest().encode() + b"\n")
            name = f"here-{last % 40}"
            made.rename(tree / name)
            self.written[name] = last
            time.sleep(0.01)


last = 0
(tree / "node_modules").mkdir(parents=True)
(folder / "home").mkdir()
(folder / "home/config.toml").write_text('[vm]\nmemory = "512m"\ncpus = 2\naccelerator = "tcg"\n')
(tree / "devenv.toml").write_text(f'image = "oci:{folder}/busybox:latest"\nmounts = [".:/src"]\n')
expected, newest_there = {}, 0
try:
    for number in range(rounds):
        run("up")
        run("exec", "-T", "--", "mkdir", "-p", "/src/node_modules")
        writer = Writer()
        writer.start()
        command = [devenv, "-q", "--place", "vm", "-C", str(tree), "exec", "-T", "--", "sh", "-c", WRITER, "sh", str(newest_there)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        far = subprocess.Popen(command, env=environment, **quiet)
        time.sleep(chance.uniform(1, 12))
        qemu = json.loads(run("vm", "status", "--json"))["pid"]
        os.kill(qemu, signal.SIGKILL)
        writer.going = False
        writer.join()
        far.wait()
        expected.update(writer.written)
        time.sleep(1)
        arrived = {name: v for name, v in versions(here()).items() if name.startswith("there-")}
        run("up")
        run("sync", "flush")
        status = json.loads(run("sync", "status", "--json"))
        conflicts = [c for mount in (status if isinstance(status, list) else status["mounts"]) for c in mount["conflicts"]]
        mine, theirs = here(), there()
        problems = [f"conflict: {conflict}" for conflict in conflicts]
        problems += [f"{name} is torn here" for name, v in versions(mine).items() if v is None]
        problems += [f"{name} differs" for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)]
        now = versions(mine)
        problems += [f"{name} is {now.get(name)} and was {v}" for name, v in expected.items() if now.get(name) != v]
        problems += [f"{name} is {now.get(name)} and had arrived as {v}" for name, v in arrived.items() if (now.get(name) or 0) < v]
        if problems:
            sys.exit(f"seed {seed}, round {number}:\n" + "\n".join(problems))
        newest_there = max([newest_there, *(v for name, v in now.items() if name.startswith("there-"))])
        print(f"round {number}: {len(mine)} files are equal, {len(arrived)} of the VM had arrived", flush=True)
finally:
    run("down", "--volumes", check=False)
    run("vm", "rm", "--yes", check=False)
print(f"{rounds} losses of power, nothing torn, nothing older (seed {seed})")
