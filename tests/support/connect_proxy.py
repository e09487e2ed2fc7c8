#!/usr/bin/env python3
"""A web proxy on loopback that knows one name, and a web server behind it with a certificate of a private authority.

    connect_proxy.py FOLDER [REGISTRY_HOST:PORT]

FOLDER has `server.pem` (certificate and key). Prints the proxy's port and serves until it is killed: whatever host a
client asks for, with CONNECT or plainly, it gets the server, which passes what is below /v2/ on to the registry. Writes each request's first line to FOLDER/requests.
"""
import http.client
import http.server
import pathlib
import socket
import ssl
import sys
import threading


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/v2/") and len(sys.argv) > 2:
            return self.pass_on()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"found it\n")

    def pass_on(self):
        asked = http.client.HTTPConnection(sys.argv[2])
        asked.request("GET", self.path, headers={name: self.headers[name] for name in ["Accept"] if name in self.headers})
        answer = asked.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        while data := answer.read(65536):
            self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def copy(source, target):
    try:
        while data := source.recv(16384):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def answer(client, port, log):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(4096)
        if not data:
            return
        head += data
    line = head.split(b"\r\n")[0].decode()
    with open(log, "a") as requests:
        requests.write(line + "\n")
    if not line.startswith("CONNECT "):
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nby proxy\n")
        client.close()
        return
    server = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    copy(server, client)
    client.close()


def main():
    folder = pathlib.Path(sys.argv[1])
    port = serve(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    sys.stdout.close()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=answer, args=(client, port, folder / "requests"), daemon=True).start()


main()
