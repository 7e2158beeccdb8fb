"""A service that answers only to Munjigi's users: 200 and who it is, 401, or 503 while there are no keys."""

import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

from verify import Verifier

verifier = Verifier(
    os.environ.get("ISSUER", "http://127.0.0.1:3000"),
    os.environ.get("AUDIENCE", "munjigi"),
)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        bearer = re.fullmatch(
            r"(?i:bearer) ([\w.-]+)", self.headers.get("authorization", ""), re.ASCII
        )
        try:
            claims = verifier.verify(bearer[1]) if bearer else None
        except jwt.PyJWKClientConnectionError as error:
            self.log_error("no keys: %s", error)
            return self.answer(503, {"error": "unavailable"}, ("Retry-After", "5"))
        if claims:
            return self.answer(200, {"sub": claims["sub"], "email": claims["email"]})
        challenge = 'Bearer error="invalid_token"' if bearer else "Bearer"
        self.answer(401, {"error": "unauthenticated"}, ("WWW-Authenticate", challenge))

    def answer(self, status: int, body: dict[str, str], *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_request(self, *_: object) -> None:
        """Nothing: the line would hold the query, and some caller puts a token there."""


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "4000"))), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
