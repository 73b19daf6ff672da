"""Draws the icon, a shopping bag with a tick, and writes it as PNG with the standard library.

    python -m bench.icon --write

The colour of each pixel is calculated from its distances to the shapes.
"""

import argparse
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = (ROOT / "icon.png", ROOT / "docs" / "icon.png", ROOT / "plugin" / ".claude-plugin" / "icon.png")
"""The files for the bundle, the site and the plugin, which take their files from different folders."""
SIZE = 512
_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Colour = tuple[float, float, float]
_GROUND: Colour = (15, 76, 92)
_BAG: Colour = (250, 249, 246)
_TICK: Colour = (226, 125, 37)


def _box(x: float, y: float, width: float, height: float, radius: float) -> float:
    """Return the distance from a box around the origin with round corners. It is negative inside the box."""
    over_x, over_y = abs(x) - width + radius, abs(y) - height + radius
    return math.hypot(max(over_x, 0.0), max(over_y, 0.0)) + min(max(over_x, over_y), 0.0) - radius


def _line(x: float, y: float, begin: tuple[float, float], end: tuple[float, float], thickness: float) -> float:
    """Return the distance from a line with round ends."""
    along = (end[0] - begin[0], end[1] - begin[1])
    part = ((x - begin[0]) * along[0] + (y - begin[1]) * along[1]) / (along[0] ** 2 + along[1] ** 2)
    part = min(max(part, 0.0), 1.0)
    return math.hypot(x - begin[0] - part * along[0], y - begin[1] - part * along[1]) - thickness / 2


def _handle(x: float, y: float) -> float:
    """Return the distance from the bag's handle: the upper half of a ring."""
    ring = abs(math.hypot(x - 256, y - 190) - 62) - 13
    return ring if y <= 190 else max(ring, y - 190)


def _pixel(x: float, y: float) -> tuple[int, int, int, int]:
    """Return red, green, blue and opacity of one pixel."""
    colour = _GROUND
    shapes = (
        (_handle(x, y), _BAG),
        (_box(x - 256, y - 285, 130, 110, 26), _BAG),
        (min(_line(x, y, (198, 288), (240, 330), 34), _line(x, y, (240, 330), (318, 246), 34)), _TICK),
    )
    for distance, of in shapes:
        colour = _mixed(colour, of, min(max(0.5 - distance, 0.0), 1.0))
    opacity = min(max(0.5 - _box(x - 256, y - 256, 256, 256, 96), 0.0), 1.0)
    red, green, blue = (round(each) for each in colour)
    return red, green, blue, round(255 * opacity)


def _mixed(below: Colour, above: Colour, part: float) -> Colour:
    red, green, blue = (one + (other - one) * part for one, other in zip(below, above, strict=True))
    return red, green, blue


def pixels() -> bytes:
    """Return the picture as lines of PNG. Each line begins with the byte of its filter, which is none."""
    return b"".join(
        b"\0" + bytes(value for x in range(SIZE) for value in _pixel(x + 0.5, y + 0.5)) for y in range(SIZE)
    )


def png(lines: bytes) -> bytes:
    """Return the content of a PNG file with these lines."""
    head = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    return _SIGNATURE + b"".join(
        _chunk(name, data) for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file, each with its name.

    Raises:
        ValueError: it is no PNG file.
    """
    if not file.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    rest = file.removeprefix(_SIGNATURE)
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        yield rest[4:8], rest[8 : 8 + length]
        rest = rest[12 + length :]


def main() -> int:
    """Write the files, or print their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the icon's files")
    if parser.parse_args().write:
        file = png(pixels())
        for path in FILES:
            path.write_bytes(file)
    else:
        print("\n".join(map(str, FILES)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
