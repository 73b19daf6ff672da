"""An OpenID provider on this machine: metadata, one key, and short tokens for its people."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

_SECONDS = 120
"""The life of a token. A run takes longer, so hosts need new tokens during it."""


class Issuer:
    """Serves the documents that a server asks of an issuer, until it is closed."""

    def __init__(self, audience: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._audience = audience
        public = {
            **ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True),
            "kid": "one",
            "use": "sig",
            "alg": "ES256",
        }
        documents: dict[str, Any] = {"/keys": {"keys": [public]}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = documents.get(self.path)
                content = json.dumps(found or {}).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"http://127.0.0.1:{self._server.server_port}"
        metadata = {"issuer": self.name, "jwks_uri": f"{self.name}/keys", "token_endpoint": f"{self.name}/token"}
        documents["/.well-known/oauth-authorization-server"] = metadata
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def token(self, subject: str) -> str:
        """Return a new token with which a person may read and order."""
        now = int(time.time())
        claims = {"iss": self.name, "sub": subject, "aud": self._audience, "iat": now, "exp": now + _SECONDS}
        scope = {"scope": "orders:read orders:place"}
        return jwt.encode({**claims, **scope}, self._key, algorithm="ES256", headers={"kid": "one"})

    def close(self) -> None:
        """Serve nothing more."""
        self._server.shutdown()
        self._server.server_close()
