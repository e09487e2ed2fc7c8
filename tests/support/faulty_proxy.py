#!/usr/bin/env python3
"""A TCP proxy on loopback with the faults of a bad network: slow, cut in the middle, or silent.

    faulty_proxy.py UPSTREAM_HOST:PORT [--rate BYTES_PER_SECOND] [--cut-after BYTES] [--cuts COUNT] [--silent]

Prints the port it listens on and serves until it is killed. `--cut-after` closes a connection once so many bytes of
answers have passed; `--cuts` limits how many connections are cut. `--silent` accepts and never answers.
"""
import argparse
import socket
import sys
import threading
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream")
    parser.add_argument("--rate", type=int)
    parser.add_argument("--cut-after", type=int)
    parser.add_argument("--cuts", type=int, default=1 << 30)
    parser.add_argument("--silent", action="store_true")
    settings = parser.parse_args()
    settings.lock = threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    sys.stdout.close()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, settings), daemon=True).start()


def serve(client, settings):
    if settings.silent:
        while client.recv(4096):
            pass
        return
    host, port = settings.upstream.rsplit(":", 1)
    upstream = socket.create_connection((host, int(port)))
    threading.Thread(target=copy, args=(client, upstream, None), daemon=True).start()
    copy(upstream, client, settings)


def copy(source, target, settings):
    passed = 0
    try:
        while data := source.recv(16384):
            if settings and settings.rate:
                time.sleep(len(data) / settings.rate)
            passed += len(data)
            if settings and settings.cut_after and passed > settings.cut_after:
                with settings.lock:
                    settings.cuts -= 1
                    cut = settings.cuts >= 0
                if cut:
                    break
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


main()
