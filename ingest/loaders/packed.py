"""7z and RAR: what they hold, under the limits of archives. Nothing is written to a path that an archive names.

7z is read by the optional package py7zr, which is imported here and nowhere else, or else by an installed `bsdtar`
(libarchive); RAR by `bsdtar` alone. Where neither is there, the reason says what to install.
"""

import importlib.util
import io
import lzma
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from ingest import reasons
from ingest.loaders.containers import MAX_ENTRIES, MAX_RATIO, MAX_TOTAL_BYTES, RATIO_APPLIES_FROM
from ingest.types import Source

SEVEN_ZIP, RAR = b"7z\xbc\xaf'\x1c", b"Rar!\x1a\x07"
Entries = Iterator[tuple[str, bytes]]
Wanted = Callable[[str], bool]
Opener = Callable[[Source, Wanted], Entries]
# What bsdtar says of archives that want a password.
_LOCKED = ("encrypt", "passphrase", "password")
# What damaged data makes the decompressors raise.
_BROKEN = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, zlib.error, lzma.LZMAError)
_SECONDS = 45
_MOST_SAID = 4_096


def packed_entries(source: Source, is_wanted: Wanted, openers: Mapping[str, Opener] | None = None) -> Entries:
    """(name, bytes) of the regular files inside that `is_wanted` takes by their names.

    `openers` are the ways to open each format; None: those of this machine. Raises UnsupportedFormatError where there
    is none, DocumentEncryptedError, DocumentDamagedError, or DocumentTooLargeError past the limits.
    """
    kind = "7z" if source.data.startswith(SEVEN_ZIP) else "RAR"
    opener = (present() if openers is None else openers).get(kind)
    if opener is None:
        raise reasons.unsupported(source.name, kind, reasons.INSTALL_FOR_PACKED[kind])
    return opener(source, is_wanted)


def present() -> dict[str, Opener]:
    """What this machine can open, and how."""
    found: dict[str, Opener] = {}
    if shutil.which("bsdtar") is not None:
        found = {"7z": _by_bsdtar, "RAR": _by_bsdtar}
    if importlib.util.find_spec("py7zr") is not None:
        found["7z"] = _by_py7zr
    return found


def _by_py7zr(source: Source, is_wanted: Wanted) -> Entries:
    import py7zr
    from py7zr.exceptions import ArchiveError, PasswordRequired

    library: Any = py7zr
    files = _Files(source)
    try:
        with library.SevenZipFile(io.BytesIO(source.data), password=source.password or None) as archive:
            if archive.needs_password() and not source.password:
                raise reasons.encrypted(source.name)
            infos = [info for info in archive.list() if info.is_file and not info.is_symlink]
            if len(infos) > MAX_ENTRIES:
                raise reasons.too_large(source.name, reasons.UNPACKS_TOO_LARGE)
            wanted = [info.filename for info in infos if is_wanted(info.filename)]
            if wanted:
                archive.extract(targets=wanted, factory=files)
    except PasswordRequired as error:
        raise reasons.encrypted(source.name) from error
    except (ArchiveError, *_BROKEN) as error:
        # A wrong password shows as rubbish that does not unpack.
        if source.password:
            raise reasons.encrypted(source.name, wrong_password=True) from error
        raise reasons.damaged(source.name, str(error)) from error
    yield from files.found.items()


class _Files:
    """What py7zr writes into in place of files: memory, counted as it comes."""

    def __init__(self, source: Source) -> None:
        self.found: dict[str, bytes] = {}
        self._source = source
        self._left = _allowed(source)

    def create(self, filename: str) -> "_File":
        """Called for each entry that is unpacked."""
        return _File(self, filename)

    def spend(self, size: int) -> None:
        """Count bytes, whatever the archive's own directory says of their number."""
        self._left -= size
        if self._left < 0:
            raise reasons.too_large(self._source.name, reasons.UNPACKS_TOO_LARGE)


class _File:
    """One entry while it is unpacked, with the part of a binary file's face that py7zr uses."""

    def __init__(self, files: _Files, name: str) -> None:
        self._files, self._name, self._buffer = files, name, io.BytesIO()

    def write(self, piece: bytes | bytearray) -> int:
        """Take what was unpacked."""
        self._files.spend(len(piece))
        return self._buffer.write(piece)

    def read(self, size: int | None = None) -> bytes:
        """What was written, for the checksum."""
        return self._buffer.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._buffer.seek(offset, whence)

    def flush(self) -> None:
        """Nothing waits."""

    def size(self) -> int:
        """Bytes so far."""
        return len(self._buffer.getbuffer())

    def close(self) -> None:
        """The entry is whole."""
        self._files.found[self._name] = self._buffer.getvalue()


def _by_bsdtar(source: Source, is_wanted: Wanted) -> Entries:
    """The archive turned into a TAR on a pipe, and read from there as any other."""
    # What it says goes into a file: a full pipe that nobody reads would stop it.
    with tempfile.NamedTemporaryFile(suffix=".packed") as copy, tempfile.TemporaryFile() as told:
        copy.write(source.data)
        copy.flush()
        command = ["bsdtar", "--format=pax", "-cf", "-", f"@{copy.name}"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told)
        try:
            found = list(_from_pipe(source, process.stdout, is_wanted)) if process.stdout else []
            process.wait(_SECONDS)
        finally:
            process.kill()
            process.communicate()
        told.seek(0)
        said = told.read(_MOST_SAID).decode("utf-8", "replace").lower()
    if process.returncode and any(word in said for word in _LOCKED):
        raise reasons.encrypted(source.name)
    if process.returncode and not found:
        raise reasons.damaged(source.name, said.replace(copy.name.lower(), "").strip())
    yield from found


def _from_pipe(source: Source, pipe: Any, is_wanted: Wanted) -> Entries:
    left = _allowed(source)
    stream: BinaryIO = pipe
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for count, member in enumerate(archive):
                left -= member.size
                if count >= MAX_ENTRIES or left < 0:
                    raise reasons.too_large(source.name, reasons.UNPACKS_TOO_LARGE)
                file = archive.extractfile(member) if member.isfile() and is_wanted(member.name) else None
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError):
        # The program ended early; what it said tells why.
        return


def _allowed(source: Source) -> int:
    """Bytes that the whole may unpack to: solid archives tell no size of a packed entry."""
    return min(MAX_TOTAL_BYTES, max(RATIO_APPLIES_FROM, len(source.data) * MAX_RATIO))
