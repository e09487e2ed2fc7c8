"""Tells what a program that watches a folder hears of it: one line `EVENT NAME` each, on standard output.

    python3 watched.py FOLDER READY       tells until it is killed; makes the file READY when it hears
    python3 watched.py FOLDER --serve PORT FILE
        serves FILE of FOLDER over HTTP as it was when its change was last heard of, and at /reloads how often that was
"""
import ctypes
import http.server
import os
import signal
import struct
import sys
import threading

# inotify(7); what readers hear of each other (ACCESS, OPEN, CLOSE_NOWRITE) is left out.
EVENTS = {0x2: "MODIFY", 0x4: "ATTRIB", 0x8: "CLOSE_WRITE", 0x40: "MOVED_FROM", 0x80: "MOVED_TO", 0x100: "CREATE", 0x200: "DELETE"}
HEADER = struct.Struct("iIII")


def events(folder):
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(os.O_CLOEXEC)
    if libc.inotify_add_watch(inotify, os.fsencode(folder), sum(EVENTS)) < 0:
        sys.exit(f"cannot watch {folder}: {os.strerror(ctypes.get_errno())}")
    yield None
    while True:
        data = os.read(inotify, 1 << 16)
        while data:
            _, mask, _, length = HEADER.unpack_from(data)
            name = data[HEADER.size : HEADER.size + length].rstrip(b"\0").decode()
            data = data[HEADER.size + length :]
            yield next((word for bit, word in EVENTS.items() if mask & bit), hex(mask)), name


class Page:
    def __init__(self, folder, name):
        self.path, self.name, self.reloads = os.path.join(folder, name), name, 0
        self.read()

    def read(self):
        with open(self.path, "rb") as file:
            self.content = file.read()

    def hear(self, heard):
        for event in heard:
            if event in (("MOVED_TO", self.name), ("CLOSE_WRITE", self.name)):
                self.read()
                self.reloads += 1


def serve(folder, port, name):
    heard = events(folder)
    next(heard)
    page = Page(folder, name)
    threading.Thread(target=page.hear, args=(heard,), daemon=True).start()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = str(page.reloads).encode() if self.path == "/reloads" else page.content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.HTTPServer(("0.0.0.0", port), Answer).serve_forever()


# The first process of a box is spared the signals it does not ask for.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if sys.argv[2] == "--serve":
    serve(sys.argv[1], int(sys.argv[3]), sys.argv[4])
else:
    for event in events(sys.argv[1]):
        if event is None:
            open(sys.argv[2], "w").close()
        else:
            print(*event, flush=True)
