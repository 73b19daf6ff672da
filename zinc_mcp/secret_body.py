"""The bytes of a request that hold a login, a password or a card, hidden from every output until they are sent."""

from typing import Any, NoReturn, SupportsIndex


class SecretBody:
    """Bytes that nothing shows: no repr, format, comparison, copy, pickle or exception. Only `revealed` has them."""

    __slots__ = ("__content",)

    def __init__(self, content: bytes) -> None:
        self.__content = content

    def revealed(self) -> bytes:
        """Return the bytes. Only the request that carries them and their digest may use this."""
        return self.__content

    def __repr__(self) -> str:
        return "SecretBody(**********)"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a SecretBody is neither copied nor written down")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a SecretBody is neither copied nor written down")

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name):
            raise AttributeError("a SecretBody does not change")
        super().__setattr__(name, value)
