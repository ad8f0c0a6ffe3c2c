"""Checksums as the index writes them: CRC-32 of each packed member, SHA-256 of each shard.

A member is checked each time it is read, so its checksum must cost nothing beside decoding: libdeflate's CRC-32 (as in
zip and gzip) takes 23 GB/s on one core, zlib's 2.4, SHA-256 0.8. It finds what disks and networks break; it is no proof
against whoever alters a shard on purpose, which the shard's SHA-256 is.
"""

import imagecodecs


def crc32(data: bytes) -> str:
    """`crc32:` and 8 hexadecimal digits."""
    return f"crc32:{imagecodecs.deflate_crc32(data):08x}"
