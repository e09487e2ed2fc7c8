#!/usr/bin/env python3
"""Runs a command on a terminal of its own and plays a script of keys and expectations, as a person would.

    terminal.py [--timeout SECONDS] [--size ROWSxCOLUMNS] SCRIPT -- COMMAND…

SCRIPT has one step a line:
    expect REGEX     wait until the output since the last match matches
    refuse REGEX     the output since the last match must not match (looked at once)
    send TEXT        type TEXT; \\r is Enter, \\x03 Ctrl-C, \\x1a Ctrl-Z, \\x04 Ctrl-D
    size ROWSxCOLS   resize the terminal
    exit CODE        wait for the command's end and compare its exit code
Exit code 0: every step held. What was on the screen is printed when one did not.
"""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


def main():
    arguments = sys.argv[1:]
    timeout, size = 15.0, (24, 80)
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--timeout":
            timeout = float(arguments.pop(0))
        elif option == "--size":
            size = rows_columns(arguments.pop(0))
    script, separator, command = arguments[0], arguments[1], arguments[2:]
    assert separator == "--" and command, __doc__
    child, screen = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    resize(screen, size)
    play = Play(child, screen, timeout)
    with open(script, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            verb, _, rest = line.partition(" ")
            wrong = getattr(play, verb)(rest)
            if wrong:
                print(f"step {number} `{line}`: {wrong}\n--- screen\n{play.everything.decode(errors='replace')}\n---")
                if not play.reaped:
                    os.kill(child, signal.SIGKILL)
                sys.exit(1)


class Play:
    def __init__(self, child, screen, timeout):
        self.child, self.screen, self.timeout = child, screen, timeout
        self.everything, self.unread, self.ended = b"", b"", False
        self.reaped = False

    def read(self, seconds):
        ready, _, _ = select.select([self.screen], [], [], seconds)
        if not ready:
            return
        try:
            data = os.read(self.screen, 65536)
        except OSError:
            data = b""
        if not data:
            self.ended = True
        self.everything += data
        self.unread += data

    def expect(self, pattern):
        deadline = time.monotonic() + self.timeout
        while True:
            found = re.search(pattern.encode(), self.unread)
            if found:
                self.unread = self.unread[found.end():]
                return None
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                return "did not come" + (" (the command ended)" if self.ended else "")
            self.read(min(left, 0.2))

    def refuse(self, pattern):
        return "came" if re.search(pattern.encode(), self.unread) else None

    def send(self, text):
        os.write(self.screen, codecs.decode(text, "unicode_escape").encode("latin-1"))

    def size(self, text):
        resize(self.screen, rows_columns(text))

    def exit(self, code):
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if not self.ended:
                self.read(0.1)
            pid, status = os.waitpid(self.child, os.WNOHANG)
            if pid:
                self.reaped = True
                got = os.waitstatus_to_exitcode(status)
                return None if got == int(code) else f"exit code {got}"
            if self.ended:
                time.sleep(0.02)
        return "still runs"


def rows_columns(text):
    rows, columns = text.split("x")
    return int(rows), int(columns)


def resize(screen, size):
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", size[0], size[1], 0, 0))


main()
