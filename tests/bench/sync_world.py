"""What the benchmarks of file sync need: an sshd on loopback, trees, a session of ours, and clocks."""

import os
import random
import shutil
import socket
import statistics
import subprocess
import time


class World:
    """A folder with an sshd on loopback. Everything is started here and ends with `stop`."""

    def __init__(self, folder, ends):
        self.folder, self.ends, self.count = folder, ends, 0
        os.environ["HOME"] = folder
        self.server, self.ssh = self._start_sshd()
        # devenv asks ssh for these first where the user's configuration names none (src/machine/remote/settings.rs).
        self.own_ssh = self._command("own", "-c", "aes128-gcm@openssh.com,aes256-gcm@openssh.com")
        # A connection that is there already, for each of both.
        kept = [f"-oControl{key}={value}" for key, value in [("Master", "auto"), ("Persist", "600")]]
        self.kept_ssh = self._command("kept", f"-oControlPath={folder}/ssh/%C", *kept)

    def fresh(self, name):
        """A path never used before: creating many files right after deleting as many is far slower."""
        self.count += 1
        return os.path.join(self.folder, f"{name}{self.count}")

    def _start_sshd(self):
        folder = os.path.join(self.folder, "ssh")
        os.makedirs(folder)
        os.makedirs("/run/sshd", exist_ok=True)
        for key in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{key}"], check=True)
        shutil.copy(f"{folder}/client.pub", f"{folder}/authorized")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with open(f"{folder}/config", "w") as config:
            config.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
                         f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPasswordAuthentication no\n"
                         "PermitRootLogin yes\nPidFile none\n")
        server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{folder}/config"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        with open(f"{folder}/config-client", "w") as config:
            config.write(f"Port {port}\nIdentityFile {folder}/client\nStrictHostKeyChecking no\n"
                         f"UserKnownHostsFile {folder}/known\nControlPath none\n")
        return server, self._command("run")

    def _command(self, name, *options):
        """A program that is ssh with these options."""
        folder = os.path.join(self.folder, "ssh")
        with open(f"{folder}/{name}", "w") as script:
            script.write(f"#!/bin/sh\nexec ssh -q {' '.join(options)} -F {folder}/config-client \"$@\"\n")
        os.chmod(f"{folder}/{name}", 0o755)
        return f"{folder}/{name}"

    def stop(self):
        subprocess.run([self.kept_ssh, "-O", "exit", "127.0.0.1"], stderr=subprocess.DEVNULL)
        self.server.terminate()
        self.server.wait()

    def unison(self, here, there, *more):
        return ["unison", here, f"ssh://127.0.0.1/{there}", "-batch", "-silent", "-confirmbigdel=false",
                "-sshcmd", self.ssh, *more]

    def rsync(self, here, there, *more, ssh=None):
        return ["rsync", "-a", *more, "-e", ssh or self.ssh, f"{here}/", f"127.0.0.1:{there}/"]

    def session(self, here, there, state, ssh=None):
        return Session(self, here, there, state, ssh or self.own_ssh)


class Session:
    """A running session of ours."""

    def __init__(self, world, here, there, state, ssh):
        self.there = f"{world.ends} far {there} {state}-there"
        self.process = subprocess.Popen(
            [world.ends, "host", here, state + "-here", ssh, "127.0.0.1", f"exec {self.there}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready_s = int(self.process.stdout.readline().split()[1]) / 1000

    def flush(self):
        """Waits until all that was saved is there."""
        self.process.stdin.write("flush\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[1]) / 1000

    def _both(self):
        words = self.there.split()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as line:
                    if line.read().split("\0")[:-1] == words:
                        return self.process.pid, int(pid)
            except OSError:
                pass
        raise RuntimeError("the far end is not there")

    def memory_mb(self):
        """The most memory of this end, and of the far one."""
        most = []
        for pid in self._both():
            with open(f"/proc/{pid}/status") as status:
                most.append(int([line for line in status if line.startswith("VmHWM")][0].split()[1]) / 1024)
        return most

    def processor_s(self):
        """Processor time of both ends until now."""
        ticks = 0
        for pid in self._both():
            with open(f"/proc/{pid}/stat") as stat:
                ticks += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait()


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


def edits(watched, seen, count, folders, how="plain", patience_s=30):
    """Writes in turn at random places and waits until each is seen there, a tenth of a second apart. `how`: plain;
    new: in a folder of its own that was not there before; rename: as editors save. Milliseconds: median, 99th of 100;
    what is not seen counts as `patience_s`."""
    source = random.Random(2)
    times = []
    for number in range(count):
        folder = f"d{source.randrange(folders)}/" + (f"n{how}{number}" if how == "new" else f"e{source.randrange(33)}")
        name = f"{folder}/edit"
        os.makedirs(f"{watched}/{folder}", exist_ok=True)
        text = f"{number} {time.monotonic()}"
        began = time.monotonic()
        written = f"{watched}/{name}" + (".tmp" if how == "rename" else "")
        with open(written, "w") as file:
            file.write(text)
        if how == "rename":
            os.rename(written, f"{watched}/{name}")
        while time.monotonic() - began < patience_s:
            try:
                with open(f"{seen}/{name}") as file:
                    if file.read() == text:
                        break
            except OSError:
                pass
            time.sleep(0.0005)
        times.append((time.monotonic() - began) * 1000)
        time.sleep(0.1)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def table(title, rows, unit="s"):
    floor = statistics.median(rows[0][1])
    print(f"\n### {title}\n\n| program | median, {unit} | to the first row |\n|---|---|---|")
    for name, times in rows:
        median = statistics.median(times)
        print(f"| {name} | {median:.2f} | {median / floor:.2f} |", flush=True)
