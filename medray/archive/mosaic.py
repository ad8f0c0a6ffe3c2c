"""Siemens mosaics: the slices of one volume tiled in one image, described in private elements.

Source: (0019,100A) NumberOfImagesInMosaic and SliceNormalVector of (0029,1010), the CSA header, whose layout nibabel's
documentation describes. Image Position (Patient) of a mosaic is that of an image of the mosaic's size around the centre
of its first slice.
"""

import math
import struct
from dataclasses import dataclass

from medray.archive.headers import Header
from medray.archive.values import binary, text

MR_CREATOR, TILES, CSA_CREATOR, CSA_IMAGE = 0x00190010, 0x0019100A, 0x00290010, 0x00291010
MOSAIC_TAGS = (MR_CREATOR, TILES, CSA_CREATOR, CSA_IMAGE)
CSA_ELEMENTS_AT_MOST = 512

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Mosaic:
    """A mosaic's layout.

    Attributes:
        tiles: slices in it, row by row from the first corner; what is left of the square is empty.
        normal: unit vector from a slice to the next, LPS.
        flags: `mosaic_normal_assumed` where the header does not say on which side the next slice lies.
    """

    tiles: int
    normal: Vector
    flags: tuple[str, ...] = ()

    @property
    def side(self) -> int:
        """Tiles a row, and rows of tiles."""
        return math.isqrt(self.tiles - 1) + 1


def read_mosaic(header: Header, orientation: Vector | None) -> Mosaic | None:
    """The layout; None where the header does not hold it."""
    csa = _csa(header)
    tiles = binary(header, TILES) if text(header, MR_CREATOR) == "SIEMENS MR HEADER" else None
    if not tiles:
        tiles = int(next(iter(csa.get("NumberOfImagesInMosaic", ())), 0))
    if tiles < 1 or orientation is None:
        return None
    normal = csa.get("SliceNormalVector", ())
    if len(normal) == 3 and math.hypot(*normal) > 0.5:
        return Mosaic(tiles, normal)
    return Mosaic(tiles, cross(orientation[:3], orientation[3:]), ("mosaic_normal_assumed",))


def cross(a: Vector, b: Vector) -> Vector:
    """The vector product of two vectors of three."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _csa(header: Header) -> dict[str, Vector]:
    """The numeric elements of the CSA header (its second version); none where it is absent or cannot be read."""
    raw = header.values.get(CSA_IMAGE, b"")
    if text(header, CSA_CREATOR) != "SIEMENS CSA HEADER" or raw[:4] != b"SV10":
        return {}
    try:
        return _csa_elements(raw)
    except (struct.error, ValueError):
        header.flag("bad_csa_header")
        return {}


def _csa_elements(raw: bytes) -> dict[str, Vector]:
    count, position, found = struct.unpack_from("<I", raw, 8)[0], 16, {}
    for _ in range(min(count, CSA_ELEMENTS_AT_MOST)):
        name, items = struct.unpack_from("<64s12xi", raw, position)
        position += 84
        texts = []
        for _ in range(max(items, 0)):
            length = struct.unpack_from("<4xi", raw, position)[0]
            if length < 0:
                raise ValueError
            position += 16
            texts.append(raw[position : position + length].split(b"\0")[0].strip())
            position += -(-length // 4) * 4
        key = name.split(b"\0")[0].decode("latin-1")
        if key in ("NumberOfImagesInMosaic", "SliceNormalVector"):
            found[key] = tuple(float(part) for part in texts if part)
            if not all(map(math.isfinite, found[key])):
                raise ValueError
    return found
