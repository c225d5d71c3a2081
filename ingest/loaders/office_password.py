"""Encrypted office files, opened with the password that was given."""

import io
import struct

import msoffcrypto
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

from ingest import reasons
from ingest.types import Parsed, Source

_DEFAULT_PASSWORD = "VelvetSweatshop"  # noqa: S105 - published, the same in every Excel


def load_encrypted(source: Source) -> Parsed:
    """Decrypt and read what was inside. Raises DocumentEncryptedError without the right password."""
    from ingest.loaders import registry

    if source.depth > 0 and not source.password:
        raise reasons.encrypted(source.name)
    return registry.load(Source(source.name, decrypted(source), "", source.depth + 1))


def decrypted(source: Source) -> bytes:
    """The file as it was before it was encrypted; Excel's own default password is tried where none was given."""
    opened = io.BytesIO()
    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(source.data))
        file.load_key(password=source.password or _DEFAULT_PASSWORD)
        file.decrypt(opened)
    except (FileFormatError, ParseError, OSError, ValueError, KeyError, struct.error, AttributeError) as error:
        # Without a password of ours, the guess may fail in any way; with one, the file is to blame.
        raise reasons.damaged(source.name, str(error)) if source.password else reasons.encrypted(source.name) from error
    except (InvalidKeyError, DecryptionError) as error:
        raise reasons.encrypted(source.name, wrong_password=bool(source.password)) from error
    return opened.getvalue()
