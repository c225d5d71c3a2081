"""What a run will do: the files under the given paths held against what the collection knows."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import SettingError
from core.language import Bilingual
from ingest.loaders.registry import KNOWN_SUFFIXES
from retrieval.records import DocumentRecord
from retrieval.store import CollectionStore

# Folders of tools, never of people.
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "__MACOSX", "venv", "site-packages"})


@dataclass(frozen=True)
class FoundFile:
    """A file on the disk; `modified` in nanoseconds since the epoch, as the file system says."""

    path: Path
    size: int
    modified: int

    @property
    def uri(self) -> str:
        """The document's name in the collection: the absolute path with forward slashes."""
        return self.path.as_posix()


@dataclass(frozen=True)
class Job:
    """A file to read; `content_hash` is the SHA-256 of its bytes, empty where they cannot be read."""

    file: FoundFile
    content_hash: str
    is_new: bool


@dataclass(frozen=True)
class Plan:
    """Everything that a run will do, before it does it."""

    jobs: tuple[Job, ...]
    unchanged: tuple[str, ...]
    renamed: tuple[tuple[DocumentRecord, FoundFile], ...]
    removed: tuple[DocumentRecord, ...]
    known_failures: tuple[tuple[str, Bilingual], ...]


def make_plan(
    store: CollectionStore, paths: Sequence[Path], *, sync: bool = False, retry: bool = False, again: bool = False
) -> Plan:
    """Compare. Documents whose files are gone are `removed` only with `sync`; `retry` takes known failures again.

    `again` takes every file, unchanged ones too.

    Raises SettingError where a path does not exist (with `sync`, a folder that vanished whole is such a mistake too).
    """
    files = {file.uri: file for file in find_files(paths)}
    records = {record.uri: record for record in store.documents()}
    gone = [record for uri, record in records.items() if uri not in files and is_gone(uri)]
    comparison = _Comparison(store, records, gone, retry)
    for file in files.values():
        comparison.take(file) if again else comparison.place(file)
    moved = {record.id for record, _ in comparison.renamed}
    removed = [record for record in gone if record.id not in moved and sync and _is_under(record.uri, paths)]
    return Plan(
        tuple(comparison.jobs),
        tuple(comparison.unchanged),
        tuple(comparison.renamed),
        tuple(removed),
        tuple(comparison.known_failures),
    )


class _Comparison:
    """Sorts files into new, changed, renamed, unchanged and failed before."""

    def __init__(
        self, store: CollectionStore, records: dict[str, DocumentRecord], gone: list[DocumentRecord], retry: bool
    ) -> None:
        self.jobs: list[Job] = []
        self.unchanged: list[str] = []
        self.renamed: list[tuple[DocumentRecord, FoundFile]] = []
        self.known_failures: list[tuple[str, Bilingual]] = []
        self._records = records
        self._gone = {record.content_hash: record for record in gone}
        self._failures = {} if retry else {failure.uri: failure for failure in store.failures()}
        self._tables = _tables_by_document(store)

    def take(self, file: FoundFile) -> None:
        """Read the file whatever is known of it."""
        self.jobs.append(Job(file, _hash_if_readable(file.path), file.uri not in self._records))

    def place(self, file: FoundFile) -> None:
        """Decide what happens with one file."""
        record = self._records.get(file.uri)
        if record is not None and self._is_whole(record) and _same_stat(record, file):
            self.unchanged.append(file.uri)
            return
        content_hash = _hash_if_readable(file.path)
        failure = self._failures.get(file.uri)
        if record is not None and self._is_whole(record) and record.content_hash == content_hash:
            self.unchanged.append(file.uri)
        elif failure is not None and failure.content_hash == content_hash:
            self.known_failures.append((file.uri, failure.message))
        elif record is None and content_hash and content_hash in self._gone:
            self.renamed.append((self._gone.pop(content_hash), file))
        else:
            self.jobs.append(Job(file, content_hash, record is None))

    def _is_whole(self, record: DocumentRecord) -> bool:
        """SQL tables are committed after the document; a run killed between the two left it without them."""
        return int(record.card.get("tables", 0)) == self._tables.get(record.id, 0)


def find_files(paths: Iterable[Path]) -> Iterator[FoundFile]:
    """Every file of a known kind under `paths`, in order of name, once; a file named itself is taken of any kind.

    Hidden files and folders are passed over, and links that lead out are not followed.
    """
    seen: set[Path] = set()
    for path in paths:
        root = _one_spelling(path)
        if not root.exists():
            raise SettingError(
                Bilingual(
                    en=f"{path} does not exist. Name a file or a folder.", zh=f"{path} 不存在。请给出文件或文件夹。"
                )
            )
        for found in _walk(root) if root.is_dir() else [root]:
            if found in seen:
                continue
            seen.add(found)
            # One that went away a moment ago is no file of this run.
            with contextlib.suppress(FileNotFoundError):
                status = found.stat()
                yield FoundFile(found, status.st_size, status.st_mtime_ns)


def hash_file(path: Path) -> str:
    """SHA-256 of the bytes, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_gone(uri: str) -> bool:
    """Whether a file is surely not there; one that may not be looked at, or whose drive does not answer, is not."""
    try:
        Path(uri).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _hash_if_readable(path: Path) -> str:
    """One file that may not be read must not stop the others: its parser will say why."""
    try:
        return hash_file(path)
    except OSError:
        return ""


def _walk(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith((".", "~$")) and _is_known(name) and path.is_file() and not path.is_symlink():
                yield path


def _is_known(name: str) -> bool:
    stem, dot, suffix = name.rpartition(".")
    return (suffix if dot and stem else name).lower() in KNOWN_SUFFIXES


def _one_spelling(path: Path) -> Path:
    """Absolute and without `..`, so that a file is one document however its folder was named."""
    return Path(os.path.normpath(path.expanduser().absolute()))


def _is_under(uri: str, paths: Sequence[Path]) -> bool:
    return any(Path(uri).is_relative_to(_one_spelling(path)) for path in paths)


def _same_stat(record: DocumentRecord, file: FoundFile) -> bool:
    return record.metadata.get("size") == file.size and record.metadata.get("modified_ns") == file.modified


def _tables_by_document(store: CollectionStore) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in store.tables.catalogue():
        counts[table.document_id] = counts.get(table.document_id, 0) + 1
    return counts
