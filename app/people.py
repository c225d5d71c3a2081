"""The people of a shared server: a folder and a container for each, over one model and one encoder.

    <data folder>/people/<key>/    collections, conversations, adapters, jobs, exams, prompts, uploads of one person
    <data folder>/                 settings, models, cache, user tools: the server's

Everything that a page or the API asks for it asks of a container; which one is decided by the login alone.
"""

import hashlib
import hmac
import json
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from app.container import Container, Models, Parts, build_parts, open_models
from app.identity import KEY_PREFIX, Person
from core.config import Settings, load_settings
from core.errors import LoginError, SettingError
from core.language import Bilingual

if TYPE_CHECKING:
    from retrieval.protocol import Embedder

PERSON_FILE = "person.json"
KEY_FILE = "api-key.json"
# Containers beyond this number are given up, the longest unused first, when nothing goes on in them.
MOST_OPEN = 200
_PERSON_KEY = re.compile(r"[0-9a-f]{32}")
_API_KEY = re.compile(KEY_PREFIX + r"([0-9a-f]{32})-([\w-]{20,100})", re.ASCII)
_REFUSED = Bilingual(
    "This API key is not known. Whoever runs the server makes one.", "未知的 API 密钥，请向服务器管理员申请。"
)


def settings_of(settings: Settings, key: str) -> Settings:
    """The settings of the server as one of its people meets them: all places lead into the own folder."""
    if not _PERSON_KEY.fullmatch(key):
        raise LoginError(_REFUSED)
    server = settings.paths.server
    return settings.model_copy(update={"home": settings.paths.people / key, "shared_home": server})


class People:
    """The containers of everybody who logs in. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        open_shared: Callable[[Settings], Models] | None = None,
        build: Callable[[Settings, Models], Parts] = build_parts,
        most_open: int = MOST_OPEN,
    ) -> None:
        """`open_shared` opens what all share, at the first need; `build` makes a person's parts over it."""
        self._most_open = most_open
        self.settings = settings
        self._open_shared = open_shared or _open_for_people
        self._build = build
        self._models: Models | None = None
        self._opening = threading.Lock()
        self._boxes: OrderedDict[str, Container] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, person: Person) -> Container:
        """The container of a person, not yet started; the folder is made at the first visit."""
        with self._lock:
            box = self._boxes.get(person.key)
            if box is None:
                _note(settings_of(self.settings, person.key), person)
                box = self._boxes[person.key] = self._open(person.key)
                self._give_up_old()
            self._boxes.move_to_end(person.key)
            return box

    def close(self) -> None:
        """Stop what runs and give the model's memory back."""
        for box in list(self._boxes.values()):
            box.close()
        if self._models is not None:
            self._models[0].close()

    def _open(self, key: str) -> Container:
        return Container(settings_of(self.settings, key), lambda settings: self._parts(settings, key))

    def _parts(self, settings: Settings, key: str) -> Parts:
        from inference.personal import PersonalEngine

        with self._opening:
            if self._models is None:
                self._models = self._open_shared(self.settings)
        engine, embedder = self._models
        # Adapters on a model server are the server's own, by its names.
        mine = PersonalEngine(engine, key, has_own_adapters=not settings.remote_url)
        return self._build(settings, (mine, embedder))

    def _give_up_old(self) -> None:
        for key in list(self._boxes)[: max(0, len(self._boxes) - self._most_open)]:
            if not self._boxes[key].is_busy:
                self._boxes.pop(key).close()


def _open_for_people(settings: Settings) -> Models:
    """The model and the encoder, adapters looked for in the folder of whoever asks."""
    from inference.adapters import OWNER

    places = {"home": settings.paths.people / OWNER, "shared_home": settings.paths.server}
    return open_models(settings.model_copy(update=places))


def _note(settings: Settings, person: Person) -> None:
    """Write down whose folder it is, for whoever runs the server."""
    path = settings.paths.home / PERSON_FILE
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    settings.paths.home.chmod(0o700)
    path.write_text(json.dumps({"name": person.name, "since": time.time()}, ensure_ascii=False), encoding="utf-8")


# --- for whoever runs the server


@dataclass(frozen=True)
class Known:
    """A person with a folder on this server; `since` is Unix seconds."""

    person: Person
    since: float
    has_key: bool


def known(settings: Settings) -> list[Known]:
    """Everybody who ever logged in, by name."""
    return sorted(_known(settings), key=lambda one: one.person.name)


def _known(settings: Settings) -> Iterator[Known]:
    for path in settings.paths.people.glob(f"*/{PERSON_FILE}"):
        row = json.loads(path.read_text(encoding="utf-8"))
        has_key = (path.parent / KEY_FILE).is_file()
        yield Known(Person(path.parent.name, str(row["name"])), float(row["since"]), has_key)


def find(settings: Settings, wanted: str) -> Person:
    """The person of a name or key. Raises SettingError where there is none, or more than one of the name."""
    found = [one.person for one in known(settings) if wanted in (one.person.name, one.person.key)]
    if len(found) != 1:
        names = ", ".join(one.person.name for one in known(settings)) or "-"
        raise SettingError(
            Bilingual(
                en=f"{wanted!r} is not one person who has logged in here. Known: {names}. "
                "Where names repeat, give the key.",
                zh=f"{wanted!r} 不是唯一的已登录用户。已知：{names}。若有重名，请改用其编号。",
            )
        )
    return found[0]


def make_key(settings: Settings, person: Person) -> str:
    """A new API key of a person, which ends the one before. Only its hash is kept."""
    secret = secrets.token_urlsafe(32)
    path = settings_of(settings, person.key).paths.home / KEY_FILE
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"sha256": _hash(secret), "since": time.time()}), encoding="utf-8")
    beside.chmod(0o600)
    beside.replace(path)
    return f"{KEY_PREFIX}{person.key}-{secret}"


def revoke_key(settings: Settings, person: Person) -> None:
    """End the API key of a person."""
    (settings_of(settings, person.key).paths.home / KEY_FILE).unlink(missing_ok=True)


def person_of_key(settings: Settings, api_key: str) -> Person:
    """Whose API key this is. Raises LoginError where it is nobody's."""
    match = _API_KEY.fullmatch(api_key)
    folder = settings_of(settings, match[1]).paths.home if match else None
    if match is None or folder is None or not (folder / KEY_FILE).is_file():
        raise LoginError(_REFUSED)
    row = json.loads((folder / KEY_FILE).read_text(encoding="utf-8"))
    if not hmac.compare_digest(str(row["sha256"]), _hash(match[2])):
        raise LoginError(_REFUSED)
    return Person(match[1], str(json.loads((folder / PERSON_FILE).read_text(encoding="utf-8"))["name"]))


def remove(settings: Settings, person: Person) -> None:
    """Delete everything of a person, on this machine and on the servers that keep their conversations and indexes."""
    own = settings_of(settings, person.key)
    _remove_from_servers(own)
    shutil.rmtree(own.paths.home)


def _remove_from_servers(own: Settings) -> None:
    from retrieval.library import Library

    if own.index_url:
        # Nothing is searched or read: the encoder is not asked.
        library = Library(own, cast("Embedder", None))
        for name in library.names():
            with closing(library.reader(name)) as store:
                remote = library.remote(store)
                if remote is not None:
                    remote.drop()
    if own.database_url:
        from core.postgres import drop_schema

        drop_schema(own.database_url, own.owner)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


# --- of this process

_people: People | None = None
_is_decided = False
_sharing = threading.Lock()


def served() -> People | None:
    """The people that this process serves, by its settings; None where it serves one person and nobody logs in."""
    global _people, _is_decided
    with _sharing:
        if not _is_decided:
            settings = load_settings()
            _people, _is_decided = (People(settings) if settings.login != "none" else None), True
        return _people


def share(people: People | None) -> None:
    """Make `people` those of this process, None: one person; for tests and command lines with settings of their own."""
    global _people, _is_decided
    with _sharing:
        _people, _is_decided = people, people is not None
