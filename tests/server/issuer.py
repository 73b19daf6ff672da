"""A small OpenID provider, in a process of its own: metadata, keys that come and go, tokens with any claims, and people
who sign in through a browser.

`python issuer.py` prints its port. Tests sign with its keys through `/sign`, so that no private key leaves it.
"""

import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_decode, base64url_encode

REALM = "/realms/team"


class Provider:
    """The keys and the behaviour of the issuer; it lives in the issuer's process."""

    def __init__(self) -> None:
        self.origin = ""
        self.keys: dict[str, tuple[str, Any]] = {}
        self.withdrawn: dict[str, tuple[str, Any]] = {}
        self.asked: list[str] = []
        self.metadata_at = f"/.well-known/oauth-authorization-server{REALM}"
        self.changed: dict[str, Any] = {}
        self.key_says: dict[str, Any] = {}
        """The fields of each published key that differ from the usual ones."""
        self.doubled: list[str] = []
        """Keys that are published a second time."""
        self.broken = False
        self.client: dict[str, Any] = {}
        """`id`, `redirect` (the address registered), and `secret` of one that is not public."""
        self.person = "ada"
        """The person at each browser."""
        self.says: dict[str, str] = {}
        """Parameters of the redirect, in place of the usual ones; an empty one is left out."""
        self.granted: str | None = None
        """The scope that the token endpoint names; None for what was asked, an empty one for none named."""
        self.id_claims: dict[str, Any] = {}
        """Claims of ID tokens, in place of the usual ones; None for one that is left out."""
        self.id_algorithm = "RS256"
        self.codes_work = 1
        self.codes: dict[str, dict[str, str]] = {}
        self.used: dict[str, int] = {}
        self.exchanges: list[dict[str, str]] = []

    def authorize(self, asked: dict[str, str]) -> str | None:
        """Return where a browser is sent back to; None for a request that no browser is sent back from."""
        registered = (
            asked.get("client_id") == self.client["id"] and asked.get("redirect_uri") == self.client["redirect"]
        )
        if not registered or asked.get("code_challenge_method") != "S256" or asked.get("response_type") != "code":
            return None
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "person": self.person}
        sent = {"code": code, "state": asked["state"], "iss": f"{self.origin}{REALM}", **self.says}
        return f"{asked['redirect_uri']}?{urlencode({name: value for name, value in sent.items() if value})}"

    def exchange(self, given: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Return the answer of the token endpoint."""
        self.exchanges.append({**given, "authorization": authorization})
        if self._client_in(given, authorization) != (self.client["id"], self.client.get("secret", "")):
            return 401, {"error": "invalid_client"}
        asked = self.codes.get(given.get("code", ""))
        used = self.used[given["code"]] = self.used.get(given["code"], 0) + 1
        challenge = base64url_encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest()).decode()
        if (
            asked is None
            or used > self.codes_work
            or given.get("grant_type") != "authorization_code"
            or asked["redirect_uri"] != given.get("redirect_uri")
            or asked["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        usual = {"iss": f"{self.origin}{REALM}", "sub": asked["person"], "aud": self.client["id"], "iat": now}
        claims = {**usual, "exp": now + 300, "nonce": asked["nonce"], **self.id_claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        scope = asked["scope"] if self.granted is None else self.granted
        named = {"scope": scope} if scope else {}
        head = {"kid": self.id_claims["kid"]} if "kid" in self.id_claims else {}
        return 200, {
            "token_type": "Bearer",
            "access_token": "opaque",
            "id_token": self.sign(claims, self.id_algorithm, head),
            **named,
        }

    def _client_in(self, given: dict[str, str], authorization: str) -> tuple[str, str]:
        """Return the client's id and secret, from the header where there is one."""
        if authorization:
            words = base64url_decode(authorization.removeprefix("Basic ")).decode().partition(":")
            return unquote(words[0]), unquote(words[2])
        return given.get("client_id", ""), given.get("client_secret", "")

    def add(self, algorithm: str) -> str:
        """Make a key, publish it, and return its name."""
        private = (
            rsa.generate_private_key(65537, 2048)
            if algorithm.startswith(("RS", "PS"))
            else ec.generate_private_key(ec.SECP256R1())
        )
        name = f"{algorithm}-{secrets.token_hex(4)}"
        self.keys[name] = (algorithm, private)
        return name

    def served(self, path: str) -> dict[str, Any] | None:
        """Return the document at a path."""
        self.asked.append(path)
        issuer = f"{self.origin}{REALM}"
        if path == self.metadata_at:
            ends = {"authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token"}
            return {"issuer": issuer, "jwks_uri": f"{issuer}/keys", **ends, **self.changed}
        if path == f"{REALM}/keys":
            return {"keys": [{**self._public(name), **self.key_says} for name in [*self.keys, *self.doubled]]}
        return None

    def sign(self, claims: dict[str, Any], algorithm: str, head: dict[str, Any]) -> str:
        """Return a token with these claims, signed with a key of this algorithm, or what an attacker would send."""
        kind = "ES" if algorithm.startswith("ES") else "RS"
        own = next(each for each in self.keys if each.startswith(kind))
        name = head.get("kid") or own
        known = {name: self.keys[own], **self.withdrawn, **self.keys}
        head = {"kid": name, **head}
        if algorithm == "none":
            return jwt.encode(claims, "", algorithm="none", headers=head)
        if algorithm == "HS256":
            public = known[name][1].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return _with_public_key(claims, head, public)
        return jwt.encode(claims, known[name][1], algorithm=algorithm, headers=head)

    def _public(self, name: str) -> dict[str, Any]:
        algorithm, private = self.keys[name]
        kind = RSAAlgorithm if algorithm.startswith("RS") else ECAlgorithm
        document = kind.to_jwk(private.public_key(), as_dict=True)
        # Entra ID names no algorithm with its keys.
        return {**document, "kid": name, "use": "sig", **({"alg": algorithm} if kind is ECAlgorithm else {})}


def _with_public_key(claims: dict[str, Any], head: dict[str, Any], public: bytes) -> str:
    """Sign with the public key as if it were a shared secret. PyJWT refuses to make such a token."""
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", **head}).encode(), json.dumps(claims).encode()]
    signed = b".".join(base64url_encode(part) for part in parts)
    return (signed + b"." + base64url_encode(hmac.digest(public, signed, hashlib.sha256))).decode()


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        """Serve what an issuer serves."""
        if self.provider.broken:
            self._answer(503, {})
            return
        if self.path.startswith(f"{REALM}/authorize?"):
            to = self.provider.authorize(dict(parse_qsl(urlsplit(self.path).query)))
            self.send_response(400 if to is None else 302)
            self.send_header("Location", to or "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        found = self.provider.served(self.path)
        self._answer(404 if found is None else 200, found or {})

    def do_POST(self) -> None:
        """Do what a test wants."""
        content = self.rfile.read(int(self.headers["content-length"])).decode()
        provider = self.provider
        if self.path == f"{REALM}/token":
            given = dict(parse_qsl(content))
            self._answer(
                *(503, {}) if provider.broken else provider.exchange(given, self.headers["authorization"] or "")
            )
            return
        given = json.loads(content)
        match self.path:
            case "/sign":
                self._answer(200, {"token": provider.sign(given["claims"], given["algorithm"], given["head"])})
            case "/add":
                self._answer(200, {"kid": provider.add(given["algorithm"])})
            case "/withdraw":
                provider.withdrawn[given["kid"]] = provider.keys.pop(given["kid"])
                self._answer(200, {})
            case "/set":
                for name, value in given.items():
                    setattr(provider, name, value)
                self._answer(200, {})
            case _:
                facts = {"asked": provider.asked, "keys": list(provider.keys), "exchanges": provider.exchanges}
                self._answer(200, facts)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Issuer:
    """A test's hold on the issuer's process."""

    def __init__(self, origin: str) -> None:
        self.name = f"{origin}{REALM}"
        self._http = httpx2.Client(base_url=origin, timeout=10)

    def token(
        self,
        subject: str = "ada",
        scope: str = "orders:read orders:place",
        *,
        audience: str | list[str] = "https://zinc.example.com/mcp",
        algorithm: str = "RS256",
        head: dict[str, Any] | None = None,
        seconds: float = 300,
        without: str = "",
        more: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a token for a subject that is over in so many seconds."""
        now = int(time.time())
        usual = {"iss": self.name, "sub": subject, "aud": audience, "scope": scope, "iat": now, "exp": now + seconds}
        given = {name: value for name, value in {**usual, **claims, **(more or {})}.items() if name != without}
        return str(self._ask("/sign", claims=given, algorithm=algorithm, head=head or {})["token"])

    def add_key(self, algorithm: str = "RS256") -> str:
        """Publish another key; return its name."""
        return str(self._ask("/add", algorithm=algorithm)["kid"])

    def withdraw(self, key: str) -> None:
        """Publish a key no more."""
        self._ask("/withdraw", kid=key)

    def change(self, **attributes: Any) -> None:
        """Change attributes of the `Provider`."""
        self._ask("/set", **attributes)

    def keys(self) -> list[str]:
        """Return the names of the published keys."""
        return list(self._ask("/facts")["keys"])

    def asked(self) -> list[str]:
        """Return the paths that were asked for, each time."""
        return list(self._ask("/facts")["asked"])

    def exchanges(self) -> list[dict[str, str]]:
        """Return the forms that its token endpoint got, each with the header that names the client."""
        return list(self._ask("/facts")["exchanges"])

    def _ask(self, path: str, **given: Any) -> dict[str, Any]:
        answer = self._http.post(path, json=given)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextmanager
def running_issuer() -> Generator[Issuer]:
    """Start an issuer with a key of either kind, and end it."""
    process = subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Issuer(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _main() -> None:
    provider = Provider()
    _Handler.provider = provider
    for algorithm in ("RS256", "ES256"):
        provider.add(algorithm)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        provider.origin = f"http://127.0.0.1:{server.server_port}"
        sys.stdout.write(f"{provider.origin}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    _main()
