"""A token service as registries ask for (distribution's "token" authentication): python3 token_server.py PORT FOLDER USER SECRET

Answers `GET /token?service=…&scope=…` to who knows the password with a JSON web token signed with FOLDER/key.pem, whose
certificate is FOLDER/cert.pem, good for five minutes. What is asked is appended to FOLDER/asked, a line each.
"""

import base64
import http.server
import json
import subprocess
import sys
import time
import urllib.parse

port, folder, user, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(subject, audience, scopes):
    der = subprocess.run(["openssl", "x509", "-in", f"{folder}/cert.pem", "-outform", "DER"], capture_output=True, check=True)
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der.stdout).decode()]}
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    claims = {"iss": "journey", "sub": subject, "aud": audience, "exp": now + 300, "nbf": now - 10, "iat": now, "access": access}
    signed = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", f"{folder}/key.pem"]
    signature = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
    return (signed + b"." + encoded(signature)).decode()


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(asked.query)
        given = self.headers.get("Authorization", "")
        known = given == "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
        with open(f"{folder}/asked", "a") as log:
            log.write(f"{'known' if known else 'unknown'} {' '.join(query.get('scope', []))}\n")
        code, body = 401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}
        if known:
            code, body = 200, {"token": token(user, query["service"][0], query.get("scope", []))}
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Service).serve_forever()
