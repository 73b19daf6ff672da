"""A request that changes something about a placed order, frozen as bytes; and the meaning of Zinc's answer to it.

Zinc has no idempotency key for such a request. So it is sent once, and a lost answer is looked up.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from pydantic import SecretStr

from zinc_mcp.errors import ChangeOutcomeUnknownError
from zinc_mcp.network import Leaving, NetworkAnswer
from zinc_mcp.zinc.client import GAVE_UP, ZincClient
from zinc_mcp.zinc.failures import refused_change
from zinc_mcp.zinc.orders import canonical

JSON_TYPE = "application/json"

Fields = Sequence[tuple[str, str]]
"""The fields of a form, each with its text."""

_PATH = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}){1,4}")
_PART = re.compile(r'Content-Disposition: form-data; name="([a-z_]{1,40})"\r\n\r\n(.*)\r\n', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """One request: where it goes, and exactly what is sent."""

    path: str
    content_type: str
    content: str

    def to_bytes(self) -> bytes:
        """Return the request as the journal keeps it."""
        return canonical({"content": self.content, "content_type": self.content_type, "path": self.path}).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """Read what `to_bytes` has written.

        Raises:
            ValueError: it is no such request.
        """
        read: object = json.loads(kept)
        if not isinstance(read, dict):
            raise ValueError("no request")
        parts = cast(dict[str, Any], read)
        if parts.keys() != {"path", "content_type", "content"} or not all(
            isinstance(each, str) for each in parts.values()
        ):
            raise ValueError("no request")
        if not _PATH.fullmatch(parts["path"]):
            raise ValueError("no path of a request")
        return cls(**parts)

    @property
    def sent(self) -> Mapping[str, Any]:
        """The fields that are sent, by their names.

        Raises:
            ValueError: this module has not made the content.
        """
        if self.content_type != JSON_TYPE:
            return dict(self.fields)
        read: object = json.loads(self.content) if self.content else {}
        if not isinstance(read, dict):
            raise ValueError("no request")
        return cast(dict[str, Any], read)

    @property
    def fields(self) -> Fields:
        """The fields of a form, as they would be sent.

        Raises:
            ValueError: the content is no form that `form` has made.
        """
        if not self.content:
            return ()
        boundary, _, _ = self.content.partition("\r\n")
        first, *parts, last = self.content.split(boundary)
        read = [_PART.fullmatch(part.removeprefix("\r\n")) for part in parts]
        if first or last != "--\r\n":
            raise ValueError("no form")
        found = [(part[1], part[2]) for part in read if part is not None]
        if len(found) != len(parts):
            raise ValueError("no form")
        return found


def json_change(path: str, body: object) -> Change:
    """Return a request with a JSON body."""
    return Change(path, JSON_TYPE, canonical(body))


def form(path: str, fields: Fields) -> Change:
    """Return a request with a multipart form of texts (RFC 7578); the same fields always give the same bytes."""
    number = 0
    while True:
        drawn = hashlib.sha256(canonical([number, *map(list, fields)]).encode()).hexdigest()[:32]
        boundary = f"zinc-mcp-{drawn}"
        if not any(boundary in text for _, text in fields):
            break
        number += 1
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields
    ]
    return Change(path, f"multipart/form-data; boundary={boundary}", "".join([*parts, f"--{boundary}--\r\n"]))


def empty(path: str) -> Change:
    """Return a request without a body."""
    return Change(path, JSON_TYPE, "")


async def send_change(
    client: ZincClient, change: Change, api_key: SecretStr, leaving: Leaving | None = None
) -> NetworkAnswer:
    """Send a request once; see `ZincClient.change`."""
    return await client.change(change.path, change.content.encode(), api_key, change.content_type, leaving)


def taken(answer: NetworkAnswer) -> object:
    """Return the content of an answer that says yes; None if there is none that can be read.

    Raises:
        ChangeRejectedError: Zinc answered no.
        ChangeOutcomeUnknownError: the answer proves nothing.
    """
    if 200 <= answer.status < 300:
        return answer.json()
    if 400 <= answer.status < 500 and answer.status not in GAVE_UP:
        raise refused_change(answer)
    # A redirect is not followed, and a 5xx may come after the request was carried out: neither proves anything.
    raise unproved(f"Zinc answered with HTTP status {answer.status}", f"http_{answer.status}")


def unproved(how: str, reason: str) -> ChangeOutcomeUnknownError:
    """Return the error for a request that was sent, and whose answer proves nothing."""
    return ChangeOutcomeUnknownError(f"The request was sent, but {how}.", facts={"reason": reason})
