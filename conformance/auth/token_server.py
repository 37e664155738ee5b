"""A token server that shares no code with berth: Python's HTTP server and PyJWT.

Arguments: port, private key (PEM), certificate (PEM), and what tokens name their key by: `x5c`, or a key id. Gives
user `writer` pull and push, `reader` pull, and nobody anything else; each one's password is the user's name.
"""

import base64
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

port, key_file, certificate_file, named_by = sys.argv[1:]
with open(key_file, encoding="ascii") as file:
    key = file.read()
with open(certificate_file, "rb") as file:
    der = x509.load_pem_x509_certificate(file.read()).public_bytes(Encoding.DER)
header = {"x5c": [base64.b64encode(der).decode()]} if named_by == "x5c" else {"kid": named_by}
rights = {"reader": {"pull"}, "writer": {"pull", "push"}}


class TokenServer(BaseHTTPRequestHandler):
    def do_GET(self):
        authorization = self.headers.get("Authorization", "Basic Og==").split(" ")[1]
        user, password = base64.b64decode(authorization).decode().split(":", 1)
        if user != password:
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
        query = parse_qs(urlsplit(self.path).query)
        access = []
        for scope in " ".join(query.get("scope", [])).split():
            kind, name, actions = re.fullmatch(r"(\w+):(.+):([a-z,*]*)", scope).groups()
            granted = sorted(rights.get(user, set()) & set(actions.split(",")))
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {"iss": "the token server", "aud": query["service"][0], "sub": user, "access": access}
        claims |= {"iat": now, "nbf": now, "exp": now + 300}
        return self.answer(200, {"token": jwt.encode(claims, key, algorithm="ES256", headers=header)})

    def answer(self, status, value):
        body = dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(port)), TokenServer).serve_forever()
