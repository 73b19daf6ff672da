"""A company's network: a proxy on a loopback port, and hosts behind it with the company's own certificates."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answering = Callable[[str, bytes], Awaitable[bytes | None]]
"""A function from a request's head and body to the whole answer; None closes the connection."""


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass
class Company:
    """Hosts by name; each CONNECT and each request is an event, in the order in which they came."""

    folder: Path
    hosts: dict[str, Answering] = field(default_factory=dict[str, Answering])
    events: list[str] = field(default_factory=list[str])
    heads: list[str] = field(default_factory=list[str])
    """The heads of the requests to the proxy itself."""
    refusal: bytes | None = None
    """The proxy's answer to a CONNECT instead of a connection. Empty: it hangs up; `silence`: it says nothing."""
    address: str = ""

    @property
    def authority(self) -> Path:
        """The file of certificates that the hosts' are signed with."""
        return self.folder / "authority.pem"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Listen; the proxy's address is then `address`."""
        identity = _certify(self.folder, list(self.hosts) or ["nobody.test"])
        server = await asyncio.start_server(partial(self._proxy, identity), "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    async def _proxy(
        self, identity: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            place = head.split(" ")[1]
            self.events.append(f"{head.split(' ')[0]} {place}")
            if self.refusal == b"silence":
                await asyncio.sleep(60)
            if self.refusal is not None:
                writer.write(self.refusal)
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(identity)
            await self._host(self.hosts[place.rpartition(":")[0]], reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _host(self, host: Answering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
            self.events.append(" ".join(head.split(" ")[:2]))
            answer = await host(head, body)
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()


def answer_of(content: bytes, status: str = "200 OK") -> bytes:
    """Return a whole answer of JSON."""
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(),
        len(content),
        content,
    )


def _certify(folder: Path, hosts: list[str]) -> ssl.SSLContext:
    """Make an authority and a certificate for these hosts, and return the side that shows it."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the company")])
    now = datetime.now(UTC)

    def base(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            # Python 3.13 verifies strictly: each names its own key and its issuer's (RFC 5280, 4.2.1.1 and 4.2.1.2).
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        )

    authority = (
        base(issuer, root.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(root, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    host = base(subject, key.public_key()).add_extension(names, critical=False).sign(root, hashes.SHA256())
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    shown = folder / "host.pem"
    shown.write_bytes(
        host.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown)
    return context
