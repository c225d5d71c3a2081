"""The one exception tree. A message says what happened, to which file or setting, and what to do.

FourfoldError
├── SettingError            a setting is wrong or contradicts another
├── ModelError
│   ├── ModelNotFoundError  no GGUF or encoder where the setting points
│   ├── ModelLoadError      a file is there but is not a model this build can run
│   ├── ModelBusyError      the queue is full; `retry_after_seconds` tells when to try again
│   ├── ModelUnreachableError   the model's server does not answer, or broke off in mid-answer
│   ├── ModelCrashedError   the worker process died; it is started again for the next request
│   └── PromptTooLongError  the prompt does not fit the context window
├── CollectionError
│   ├── CollectionNotFoundError
│   ├── CollectionLockedError   another process is writing; the message names it
│   ├── CollectionDamagedError  a file fails its checksum and cannot be rebuilt
│   ├── BackendError            the server that keeps a collection's index does not answer or refuses
│   └── EncoderMismatchError    the collection was made with another encoder or splitter
├── DocumentError           one file cannot be read; the batch goes on
│   ├── DocumentEncryptedError
│   ├── DocumentDamagedError
│   ├── DocumentEmptyError
│   ├── DocumentTooLargeError
│   └── UnsupportedFormatError
├── DatabaseError           the server that keeps the conversations does not answer or refuses
├── LoginError              nobody is known to ask: not signed in, or refused
├── IngestClusterError      the machines that an ingest runs on are gone or differ; what was committed stays
├── ToolError               a tool failed; the model reads the message as data
├── TrainingError
└── MissingExtraError       an optional package is absent; the message holds the install command
"""

from core.language import Bilingual


class FourfoldError(Exception):
    """Base of all errors that a user may read, in English and in Chinese.

    `str(error)` is the English text; `error.message.in_("zh")` the Chinese one.
    """

    def __init__(self, message: Bilingual) -> None:
        super().__init__(message.en)
        self.message = message


class SettingError(FourfoldError):
    """A setting is wrong or contradicts another."""


class ModelError(FourfoldError):
    """Something about a model file or the process that runs it."""


class ModelNotFoundError(ModelError):
    """No model stands where the setting points."""


class ModelLoadError(ModelError):
    """The file is there but cannot be run."""


class ModelBusyError(ModelError):
    """The queue is full."""

    def __init__(self, message: Bilingual, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelUnreachableError(ModelError):
    """The server that runs the model does not answer, or broke off."""


class ModelCrashedError(ModelError):
    """The worker process died during the request."""


class PromptTooLongError(ModelError):
    """The prompt does not fit the context window."""


class CollectionError(FourfoldError):
    """Something about a collection of documents."""


class CollectionNotFoundError(CollectionError):
    """No collection has this name."""


class CollectionLockedError(CollectionError):
    """Another process is writing to the collection."""


class CollectionDamagedError(CollectionError):
    """A file of the collection fails its checksum and cannot be rebuilt."""


class BackendError(CollectionError):
    """A server that keeps search indexes does not answer, or holds something else than it should."""


class EncoderMismatchError(CollectionError):
    """The collection was made with another encoder or splitter."""


class DocumentError(FourfoldError):
    """One file cannot be read; the others go on."""


class DocumentEncryptedError(DocumentError):
    """The file wants a password."""


class DocumentDamagedError(DocumentError):
    """The file is broken or truncated."""


class DocumentEmptyError(DocumentError):
    """The file holds no text."""


class DocumentTooLargeError(DocumentError):
    """The file exceeds a limit of size, time or memory."""


class UnsupportedFormatError(DocumentError):
    """No loader reads this kind of file."""


class DatabaseError(FourfoldError):
    """The server that keeps the conversations does not answer, or refuses."""


class LoginError(FourfoldError):
    """Nobody is known to ask: not signed in, or refused."""


class IngestClusterError(FourfoldError):
    """The machines that an ingest runs on are gone, or are not like this one."""


class ToolError(FourfoldError):
    """A tool failed; the model reads the message as data."""


class TrainingError(FourfoldError):
    """Training cannot start or go on."""


class MissingExtraError(FourfoldError):
    """An optional package is absent."""

    def __init__(self, feature: Bilingual, extra: str) -> None:
        command = f"pip install 'fourfold[{extra}]'"
        super().__init__(
            Bilingual(
                en=f"{feature.en} needs an optional package. Install it with: {command}",
                zh=f"{feature.zh}需要一个可选组件。安装命令：{command}",
            )
        )
        self.extra = extra
