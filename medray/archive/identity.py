"""The secret key, keyed hashes of identifiers, and sealed object names.

A key is any secret of at least 16 characters. Identifiers are hashed one way; object names, which the key's owner must
be able to read again, are encrypted deterministically (AES-SIV, RFC 5297), so that equal names stay equal.
"""

import base64
import hmac
import os
import secrets
import sys
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from medray import storage
from medray.errors import SettingsError

KEY_VARIABLE = "MEDRAY_KEY"
KEY_BYTES_AT_LEAST = 16
SEALED = "sealed:"


def load_key(key_file: str | None = None) -> bytes:
    """The secret key: of `key_file` (a path or URI), else the text in $MEDRAY_KEY, else ~/.config/medray/key.

    The last is made at first use, readable by its owner only, from 32 random bytes written as hexadecimal digits.

    Raises:
        SettingsError: a key shorter than 16 bytes.
        StorageError: a key file that cannot be read.
    """
    if key_file is not None:
        return _checked(storage.read_bytes(key_file), "The key file")
    if os.environ.get(KEY_VARIABLE):
        return _checked(os.environb[KEY_VARIABLE.encode()], f"${KEY_VARIABLE}")
    own = Path.home() / ".config" / "medray" / "key"
    if not own.exists():
        _make_key(own)
    return _checked(own.read_bytes(), "The key file")


def _checked(secret: bytes, name: str) -> bytes:
    secret = secret.strip()
    if len(secret) < KEY_BYTES_AT_LEAST:
        raise SettingsError(
            f"{name} holds a key of {len(secret)} bytes; at least {KEY_BYTES_AT_LEAST} are needed.",
            "Make one with `openssl rand -hex 32`.",
        )
    return secret


def _make_key(own: Path) -> None:
    own.parent.mkdir(parents=True, exist_ok=True)
    temporary = own.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    try:
        os.link(temporary, own)  # of two processes that start together, one wins and both read its key
        print("medray: made a secret key at ~/.config/medray/key; keep it with the tables it made.", file=sys.stderr)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


@lru_cache(maxsize=65536)
def keyed_hash(key: bytes, text: str) -> str:
    """HMAC-SHA256 of the text (UTF-8), first 32 hexadecimal digits. Equal on every machine, under one key."""
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256")[:16].hex()


def key_check(key: bytes) -> str:
    """8 digits that tell whether two tables were made with the same key."""
    return keyed_hash(key, "medray key check")[:8]


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    return AESSIV(hmac.digest(key, b"medray sealed names", "sha512"))


@lru_cache(maxsize=1024)
def seal(key: bytes, text: str) -> str:
    """Encrypt an object's name, always to the same text. Names that are no valid UTF-8 survive the round trip."""
    data = b"\0" + text.encode("utf-8", "surrogateescape")  # AES-SIV takes no empty text
    return SEALED + base64.urlsafe_b64encode(_cipher(key).encrypt(data, None)).decode()


@lru_cache(maxsize=1024)
def unseal(key: bytes, text: str) -> str:
    """The name behind a sealed text; a name that is not sealed passes through.

    Raises:
        SettingsError: it was sealed with another key, or altered.
    """
    if not text.startswith(SEALED):
        return text
    try:
        data = _cipher(key).decrypt(base64.urlsafe_b64decode(text[len(SEALED) :]), None)
    except (InvalidTag, ValueError):
        raise SettingsError(
            "The table's object names are sealed with another key.", "Use the key file that the index was made with."
        ) from None
    return data[1:].decode("utf-8", "surrogateescape")
