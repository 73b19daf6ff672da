"""HTTP libraries log each address they ask; in this room an address may hold a token or a node's key."""

import logging


def silence_transports() -> None:
    """Keep httpx and httpcore from logging requests, also where all else is logged at `DEBUG`."""
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
