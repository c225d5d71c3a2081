"""Two people on one server, in process: what is one's is not reachable through any door of the other, nor the API's."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from app import people as served
from app.__main__ import main
from app.api import create_shared_api
from app.api_schema import MODES
from app.container import Container, Parts, adopt, build_parts
from app.downloads import command
from app.exams import try_change
from app.identity import Person, check, person_of
from app.jobs import Report
from app.people import People, settings_of
from app.runs import Runs
from core.config import Settings, changed, load_settings
from core.errors import CollectionNotFoundError, DocumentError, LoginError, SettingError
from core.types import Scope
from inference.fakes import FakeEngine
from inference.protocol import GenerationRequest
from orchestrator.events import TextDelta
from retrieval.fakes import HashEmbedder
from tests.app.belongings import Belongings, everything, furnish
from tests.app.fake_parts import ending
from tests.app.test_identity import GOOD, SECRET

ANN, BOB = person_of("ann@example.org"), person_of("bob@example.org")
PROXY = {"X-Fourfold-Secret": SECRET}


def echo(request: GenerationRequest) -> str:
    """Says what it was given: whatever reaches the model reaches the reader."""
    return request.prompt + "\n".join(message.content for message in request.messages)


def without_samples(settings: Settings, models: Any) -> Parts:
    return replace(build_parts(settings, models), ensure_samples=lambda: None, warm_up=lambda: None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return changed(load_settings(), **{**GOOD, "home": tmp_path / "server"})


@pytest.fixture
def people(settings: Settings) -> Iterator[People]:
    engine = FakeEngine(echo)
    made = People(settings, lambda _settings: cast(Any, (engine, HashEmbedder())), without_samples)
    yield made
    made.close()


@pytest.fixture
def ann(people: People) -> SimpleNamespace:
    box = people.of(ANN)
    return SimpleNamespace(box=box, owns=furnish(box, box.parts().library, "ANNMARK"))


@pytest.fixture
def bob(people: People) -> Container:
    box = people.of(BOB)
    box.parts()
    return box


def test_each_sees_the_own_and_nothing_of_the_other(ann: SimpleNamespace, bob: Container):
    furnish(bob, bob.parts().library, "BOBMARK")
    for box, mine, theirs in ((ann.box, "ANNMARK", "BOBMARK"), (bob, "BOBMARK", "ANNMARK")):
        shown = everything(box, box.parts().library)
        assert shown.count(mine) > 12
        assert theirs not in shown


def test_ids_and_names_of_another_lead_nowhere(ann: SimpleNamespace, bob: Container):
    owns: Belongings = ann.owns
    history = bob.history
    doors: list[tuple[Callable[[str], object], str]] = [
        *((door, owns.conversation) for door in (history.thread, history.delete)),
        *((door, owns.question) for door in (history.message, history.siblings, history.select, history.begin_answer)),
    ]
    for door, of_ann in doors:
        with pytest.raises(KeyError):
            door(of_ann)
    library = bob.parts().library
    with pytest.raises(CollectionNotFoundError):
        library.reader(owns.collection)
    with pytest.raises(CollectionNotFoundError):
        library.searcher().retrieve("Quagga", Scope(collection=owns.collection), 5)
    assert bob.runs.get(owns.answer) is None
    assert [bob.work.get(owns.job), bob.work.result(owns.job), bob.work.resume(owns.job)] == [None, None, None]
    assert not bob.work.cancel(owns.job)
    assert ann.box.history.thread(owns.conversation)[1].text == "ANNMARK hears: Utrecht"


@pytest.mark.parametrize(
    "name", ["../{ann}", "../../people/{ann}/collections/x", "/etc", "..", "{ann}", "\x00", "a" * 300]
)
def test_no_name_of_a_collection_leads_out(ann: SimpleNamespace, bob: Container, name: str):
    library, wanted = bob.parts().library, name.format(ann=ANN.key)
    with pytest.raises(CollectionNotFoundError):
        library.reader(wanted)
    library.create(wanted)
    assert "ANNMARK" not in everything(bob, library)
    folders = {path.parent for path in bob.settings.paths.people.rglob("collection.db")}
    assert all(path.parent.name == "collections" for path in folders)
    library.delete(wanted)
    assert ann.owns.collection in ann.box.parts().library.names()


def test_only_uploads_are_read(ann: SimpleNamespace, bob: Container, tmp_path: Path):
    own = bob.ingest.keep_upload("c", "../../../evil.txt", b"text")
    assert own.is_relative_to(bob.settings.paths.home / "uploads")
    link = own.parent / "link"
    link.symlink_to(ann.box.settings.paths.home)
    (tmp_path / "open").mkdir()
    hostile = [
        ann.owns.upload,
        ann.box.settings.paths.home,
        own.parent / ".." / ".." / ".." / "person.json",
        link / "prompts.json",
        bob.settings.paths.settings_file,
        tmp_path / "open",
        Path("/etc/passwd"),
        Path("~/.ssh").expanduser(),
    ]
    for path in hostile:
        with pytest.raises(DocumentError, match="uploaded"):
            bob.ingest.start("c", [own, path])
    assert bob.ingest.start("c", [own]).wait(60)


def test_what_is_the_servers_is_closed(bob: Container, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SettingError):
        command(bob.settings, "list")
    report = cast(Report, SimpleNamespace())
    for name, value in (("model", "/etc/passwd"), ("remote_url", "http://evil.example"), ("n_ctx", 512)):
        with pytest.raises(SettingError):
            try_change(bob, {"settings": {name: value}, "collection": "c", "modes": ["rag"]}, report)
    with pytest.raises(KeyError):
        bob.work.start("download", "x", {"name": "x", "bytes": 1})
    for name, told in GOOD.items():
        monkeypatch.setenv(f"FOURFOLD_{name.upper()}", told if isinstance(told, str) else json.dumps(told))
    with pytest.raises(SettingError):
        adopt({"top_k": 3})
    assert not settings.paths.settings_file.exists()


def test_tools_that_run_code_are_the_servers(people: People, settings: Settings, bob: Container):
    settings.paths.user_tools.mkdir(parents=True)
    source = (
        "from langchain_core.tools import tool\n\n\n@tool\ndef greet(name: str) -> str:\n"
        '    """Greet somebody."""\n    return name\n'
    )
    (settings.paths.user_tools / "mine.py").write_text(source)
    (bob.settings.paths.home / "tools").mkdir()
    (bob.settings.paths.home / "tools" / "own.py").write_text(source.replace("greet", "smuggled"))
    bob.parts().registry.reload()
    names = {entry.name for entry in bob.parts().registry.all()}
    assert names.isdisjoint({"greet", "smuggled"})
    shared = changed(settings, shared_tools=True, tool_seconds=300.0)
    opened = People(shared, lambda _settings: cast(Any, (FakeEngine(), HashEmbedder())), without_samples)
    assert "greet" in {entry.name for entry in opened.of(BOB).parts().registry.all()}
    opened.close()


def test_the_folder_of_a_person_is_theirs_and_says_who_it_is(settings: Settings, bob: Container):
    assert bob.settings.paths.home == settings.paths.people / BOB.key
    assert bob.settings.paths.home.stat().st_mode & 0o077 == 0
    assert bob.settings.paths.models == settings.paths.models
    assert json.loads((bob.settings.paths.home / "person.json").read_text())["name"] == "bob@example.org"
    for key in ("", "..", "../x", ANN.key.upper(), ANN.key + "0", ANN.key[:-1] + "/", "{owner}"):
        with pytest.raises(LoginError):
            settings_of(settings, key)


def test_containers_that_nobody_uses_are_given_up(settings: Settings):
    few = People(settings, lambda _settings: cast(Any, (FakeEngine(), HashEmbedder())), without_samples, most_open=3)
    first, busy = few.of(person_of("first")), few.of(person_of("busy"))
    work = busy.work.start("search", "long", {}, lambda _params, report: _until_stopped(report))
    for number in range(6):
        few.of(Person(f"{number:032x}", "x"))
    assert few.of(person_of("first")) is not first
    assert few.of(person_of("busy")) is busy
    busy.work.cancel(work.id)
    few.close()


def _until_stopped(report: Report) -> None:
    while not report.is_cancelled:
        time.sleep(0.02)


# --- the HTTP API


@pytest.fixture
def api(people: People) -> Any:
    return create_shared_api(people, check(people.settings))


async def ask(api: Any, path: str, body: Any = None, peer: str = "127.0.0.1", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(api, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        sent = {**PROXY, **headers}
        return await (client.get(path, headers=sent) if body is None else client.post(path, json=body, headers=sent))


def test_the_walk_below_knows_every_route(api: Any):
    known = {"/v1/models", "/v1/chat/completions", "/v1/embeddings"}
    assert {route.path for route in api.routes} == known


HOSTILE_FIELDS: list[dict[str, str]] = [
    {},
    {"collection": "{owns.collection}"},
    {"collection": "../{ann}/collections"},
    {"conversation_id": "{owns.conversation}"},
    {"adapter": "{owns.adapter}"},
    {"adapter": "{ann}/{owns.adapter}"},
    {"adapter": "../../{ann}/adapters/{owns.adapter}"},
    {"collection": "{owns.collection}", "adapter": "{owns.adapter}", "conversation_id": "{owns.conversation}"},
]


@pytest.mark.parametrize("fields", HOSTILE_FIELDS)
async def test_no_request_of_one_brings_anything_of_the_other(
    api: Any, people: People, ann: SimpleNamespace, bob: Container, fields: dict[str, str]
):
    filled = {name: text.format(owns=ann.owns, ann=ANN.key) for name, text in fields.items()}
    for model in MODES:
        for stream in (False, True):
            messages = [{"role": "user", "content": "Where does the zebra named Quagga live?"}]
            body = {"model": model, "messages": messages, "stream": stream, "max_tokens": 2000, **filled}
            said = await ask(api, "/v1/chat/completions", body, **{"X-Forwarded-User": BOB.name})
            for text in (said.text, read_by_the_model(people)):
                # What Bob wrote himself may come back to him; nothing else that is Ann's.
                for own in sorted(filled.values(), key=len, reverse=True):
                    text = text.replace(json.dumps(own, ensure_ascii=False)[1:-1], "")
                assert "ANNMARK" not in text, (model, filled, text[:2000])
                assert "Utrecht" not in text


async def test_the_same_request_of_its_owner_finds_it(api: Any, ann: SimpleNamespace, people: People):
    await ask(api, "/v1/chat/completions", about(ann), **{"X-Forwarded-User": ANN.name})
    assert "Utrecht" in read_by_the_model(people)


def about(ann: SimpleNamespace) -> dict[str, Any]:
    """A request that Ann's document answers."""
    messages = [{"role": "user", "content": "Where does the zebra named Quagga live?"}]
    return {"model": "fourfold-rag", "messages": messages, "collection": ann.owns.collection}


def read_by_the_model(people: People) -> str:
    """Everything that any request put before the model; what was read is forgotten."""
    engine = cast(Any, people._models)[0]
    told = "\n".join(map(str, engine.requests))
    engine.requests.clear()
    return told


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/chat/completions", "/v1/embeddings", "/", "/docs", "/openapi.json"]
)
@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("127.0.0.1", {}),
        ("127.0.0.1", {"X-Forwarded-User": "ann@example.org", "X-Fourfold-Secret": "guess"}),
        ("10.9.9.9", {"X-Forwarded-User": "ann@example.org"}),
        ("10.9.9.9", {"X-Forwarded-User": "ann@example.org", "X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Authorization": f"Bearer ff-{ANN.key}-{'x' * 43}", "X-Forwarded-User": "bob"}),
        ("127.0.0.1", {"Authorization": f"Bearer ff-../{ANN.key}-{'x' * 43}", "X-Forwarded-User": "bob"}),
        ("127.0.0.1", {"Authorization": "Bearer ", "X-Fourfold-Secret": ""}),
    ],
)
async def test_nobody_gets_nothing(api: Any, ann: SimpleNamespace, path: str, peer: str, headers: dict[str, str]):
    said = await ask(api, path, {} if "chat" in path or "embed" in path else None, peer, **headers)
    assert said.status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1", 200),
        ("https://chat.example.org", 200),
        ("http://127.0.0.1:3000", 403),
        ("http://localhost", 403),
        ("https://chat.example.org:8443", 403),
        ("http://chat.example.org", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
async def test_where_the_browser_vouches_only_our_own_pages_may_ask(people: People, origin: str, status: int):
    settings = changed(people.settings, public_url="https://chat.example.org")
    shared = create_shared_api(People(settings), check(settings))
    said = await ask(shared, "/v1/models", **{"X-Forwarded-User": "ann", "Origin": origin})
    assert said.status_code == status


async def test_a_key_of_ones_own_opens_the_own_things_only(api: Any, people: People, ann: SimpleNamespace):
    people.of(BOB)
    key, bobs = served.make_key(people.settings, ANN), served.make_key(people.settings, BOB)

    async def with_key(given: str) -> tuple[int, bool]:
        """The status, and whether Ann's document reached the model; from anywhere, without the proxy's word."""
        said = await ask(api, "/v1/chat/completions", about(ann), "10.9.9.9", Authorization=f"Bearer {given}")
        return said.status_code, "Utrecht" in read_by_the_model(people)

    assert await with_key(key) == (200, True)
    assert await with_key(bobs) == (503, False)
    assert await with_key(key.replace(ANN.key, BOB.key)) == (401, False)
    assert key not in (people.settings.paths.people / ANN.key / "api-key.json").read_text()
    again = served.make_key(people.settings, ANN)
    assert await with_key(key) == (401, False)
    assert await with_key(again) == (200, True)
    served.revoke_key(people.settings, ANN)
    assert await with_key(again) == (401, False)


# --- for whoever runs the server


def test_the_command_line_lists_makes_keys_and_removes(
    people: People,
    ann: SimpleNamespace,
    bob: Container,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FOURFOLD_HOME", str(people.settings.home))
    assert main(["people", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["people"]
    assert [one["person"]["name"] for one in listed] == ["ann@example.org", "bob@example.org"]
    assert main(["people", "--key", "bob@example.org"]) == 0
    assert re.search(rf"key: ff-{BOB.key}-\S{{43}}", capsys.readouterr().out)
    assert main(["people", "--remove", ANN.key]) == 0
    assert not ann.box.settings.paths.home.exists()
    assert main(["people", "--key", "ann@example.org"]) == 1


# --- answers that another process gives


def test_an_answer_of_another_process_is_followed_and_stopped(bob: Container, people: People):
    here = Runs(bob.history, is_shared=True)
    elsewhere = Runs(bob.history, is_shared=True)
    conversation = bob.history.create()
    answer = bob.history.begin_answer(bob.history.add_question(conversation.id, "long?").id)

    def slow(is_cancelled: Any) -> Iterator[Any]:
        yield TextDelta("so far")
        while not is_cancelled():
            time.sleep(0.02)
        yield ending("so far")

    run = here.start(answer.id, slow)
    seen = elsewhere.get(answer.id)
    assert seen is not None
    for _ in range(200):
        if seen.view.text:
            break
        time.sleep(0.02)
    assert seen.view.text == "so far"
    seen.cancel()
    assert run.wait(20)
    assert seen.wait(5)
    assert elsewhere.get(answer.id) is None
    assert bob.history.message(answer.id).status == "stopped"
