"""Encrypted office files, opened with the password that was given."""

import io
import struct

import msoffcrypto
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

from ingest import reasons
from ingest.types import Parsed, Source


def load_encrypted(source: Source) -> Parsed:
    """Decrypt and read what was inside. Raises DocumentEncryptedError without the right password."""
    from ingest.loaders import registry

    inner = decrypted(source)
    return registry.load(Source(source.name, inner, "", source.depth + 1))


def decrypted(source: Source) -> bytes:
    """The file as it was before it was encrypted. Excel's own default password is tried too."""
    for password in (source.password, "VelvetSweatshop"):
        if not password:
            continue
        try:
            file = msoffcrypto.OfficeFile(io.BytesIO(source.data))
            file.load_key(password=password)
            opened = io.BytesIO()
            file.decrypt(opened)
            return opened.getvalue()
        except (InvalidKeyError, DecryptionError):
            continue
        except (FileFormatError, ParseError, OSError, ValueError, KeyError, struct.error, AttributeError) as error:
            raise reasons.damaged(source.name, str(error)) from error
    raise reasons.encrypted(source.name, wrong_password=bool(source.password))
