"""Two people on a real server, over its own socket: no page, whatever it is asked, shows anything of the other."""

import ast
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from websockets.exceptions import InvalidStatus

from app.identity import person_of
from app.people import People, settings_of
from core.config import Settings, changed, load_settings
from core.types import DEFAULT_COLLECTION
from retrieval.embedder import open_embedder
from retrieval.library import Library
from tests.app.belongings import Belongings, furnish
from tests.app.chromium import running_application
from tests.app.conftest import MAIN
from tests.app.page_client import Tab
from tests.app.test_identity import GOOD, SECRET

pytestmark = pytest.mark.slow

ANN, BOB = person_of("ann@example.org"), person_of("bob@example.org")
MARK = "ANNMARK"


def pages() -> list[str]:
    """The pages that the application has, as its script lists them: a new one is walked too."""
    tree = ast.parse(MAIN.read_text(encoding="utf-8"))
    listed = next(
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    )
    return ["", *ast.literal_eval(listed.value)]


def as_(name: str) -> dict[str, str]:
    """What the proxy adds."""
    return {"X-Fourfold-Secret": SECRET, "X-Forwarded-User": name}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("shared")
    settings = changed(load_settings(), **{**GOOD, "home": home})
    owns = belongings_of(settings)
    environment = {
        f"FOURFOLD_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in GOOD.items()
    }
    with running_application(home, environment) as address:
        yield SimpleNamespace(address=address.rstrip("/"), owns=owns, home=home)


def belongings_of(settings: Settings) -> Belongings:
    """One of everything in Ann's folder, made before the server starts; neither has the samples to wait for."""
    people = People(settings)
    libraries = [_without_samples(settings_of(settings, person.key)) for person in (ANN, BOB)]
    owns = furnish(people.of(ANN), libraries[0], MARK)
    people.close()
    return owns


def _without_samples(own: Settings) -> Library:
    library = Library(own, open_embedder(own))
    with library.writer(DEFAULT_COLLECTION) as store:
        store.set_meta("samples", "moved")
    return library


HOSTILE = ("../" + ANN.key, "' OR 1=1 --", "..%2f..%2f{owner}", "a" * 3000)
# What an address may name, by the page that reads it; every page is asked for everything of Ann's all the same.
HOSTILE_FOR = {"": "c", "documents": "in", "xray": "answer"}


def queries(page: str, owns: Belongings) -> Iterator[str]:
    """A page bare, and with everything of Ann's that an address may name."""
    yield from ("", f"c={owns.conversation}&answer={owns.answer}", f"in={owns.collection}")
    if page in HOSTILE_FOR:
        yield from (f"{HOSTILE_FOR[page]}={hostile}" for hostile in HOSTILE)


def get(address: str, headers: dict[str, str], method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(address, data=body, headers=headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def shown_to(server: SimpleNamespace, name: str, page: str = "", query: str = "") -> bytes:
    """What a fresh tab of this person gets at an address."""
    with Tab(server.address, as_(name)) as tab:
        # Labels hide their signs from Markdown.
        return tab.visit(page, query).replace(b"\\", b"")


def ready(server: SimpleNamespace, name: str) -> None:
    """Wait until the person's parts are there: pages that wait for them would show nothing of anybody."""
    for _ in range(240):
        if b"hourglass_top" not in shown_to(server, name, "documents"):
            return
        time.sleep(0.5)
    raise AssertionError("the parts did not load")


@pytest.mark.parametrize("page", pages())
def test_every_page_with_every_name_of_hers_shows_him_nothing(server: SimpleNamespace, page: str):
    ready(server, BOB.name)
    for query in queries(page, server.owns):
        shown = shown_to(server, BOB.name, page, query)
        assert len(shown) > 2000, query
        # What he wrote into the address may come back to him.
        shown = shown.replace(server.owns.collection.encode(), b"").replace(("../" + ANN.key).encode(), b"")
        assert MARK.encode() not in shown, query
        assert b"Utrecht" not in shown, query
        assert ANN.key.encode() not in shown, query


def test_the_same_walk_shows_her_what_is_hers(server: SimpleNamespace):
    owns: Belongings = server.owns
    ready(server, ANN.name)
    found = {
        "an answer": b"hears: Utrecht" in shown_to(server, ANN.name, "", f"c={owns.conversation}"),
        "the list": f"{MARK} asks".encode() in shown_to(server, ANN.name, "models"),
        "a document": b"notes" in shown_to(server, ANN.name, "documents", f"in={owns.collection}"),
        "an adapter": owns.adapter.encode() in shown_to(server, ANN.name, "finetune"),
        "an exam": f"{MARK} examines".encode() in shown_to(server, ANN.name, "exam", f"in={owns.collection}"),
    }
    assert all(found.values()), found


def test_files_that_a_page_offers_are_given_to_nobody_unknown(server: SimpleNamespace):
    with Tab(server.address, as_(ANN.name)) as tab:
        files = tab.media(tab.visit("", f"c={server.owns.conversation}"))
        assert files
        found = [get(server.address + path, as_(ANN.name)) for path in files]
        assert any(MARK.encode() in content for _, content in found)
        for path in files:
            for headers in ({}, {"X-Forwarded-User": ANN.name}, {**as_(ANN.name), "X-Fourfold-Secret": "guess"}):
                status, content = get(server.address + path, headers)
                assert status == 401
                assert MARK.encode() not in content


def test_a_session_of_hers_is_not_continued_by_him(server: SimpleNamespace):
    with Tab(server.address, as_(ANN.name)) as hers:
        hers.visit("", f"c={server.owns.conversation}")
        taken = hers.session_id
        assert taken
        with Tab(server.address, as_(BOB.name), session_id=taken) as his:
            shown = his.visit("", "")
            assert MARK.encode() not in shown
            assert his.session_id != taken
    # And not after she left it either.
    with Tab(server.address, as_(BOB.name), session_id=taken) as his:
        assert MARK.encode() not in his.visit("", "")
        assert his.session_id != taken
    with Tab(server.address, as_(ANN.name), session_id=taken) as hers:
        assert b"hears: Utrecht" in hers.visit("", f"c={server.owns.conversation}")


def test_an_upload_into_her_session_is_not_his(server: SimpleNamespace):
    with Tab(server.address, as_(ANN.name)) as hers:
        hers.visit()
        path = f"/_stcore/upload_file/{hers.session_id}/0f8fad5b-d9cb-469f-a165-70867728950e"
        foreign = {**as_(BOB.name), "Origin": "http://evil.example"}
        assert get(server.address + path, foreign, "PUT", b"x")[0] == 403
        assert get(server.address + path, {}, "PUT", b"x")[0] == 401
        assert get(server.address + path, foreign, "DELETE")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Forwarded-User": "ann@example.org"},
        {"X-Forwarded-User": "ann@example.org", "X-Fourfold-Secret": "guess"},
        {"X-Fourfold-Secret": SECRET},
        {"X-Fourfold-Person": "forged.616e6e.0000", "X-Fourfold-Secret": SECRET},
    ],
)
def test_without_the_proxys_word_there_is_no_page(server: SimpleNamespace, headers: dict[str, str]):
    with pytest.raises(InvalidStatus) as caught, Tab(server.address, headers):
        pass
    assert caught.value.response.status_code == 403
    for path in ("/", "/chat", "/_stcore/host-config", "/media/x.json", "/static/index.html"):
        assert get(server.address + path, headers)[0] == 401
    assert get(server.address + "/_stcore/health", headers)[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example"]
)
def test_a_page_of_another_site_gets_no_connection(server: SimpleNamespace, origin: str):
    with pytest.raises(InvalidStatus), Tab(server.address, as_(ANN.name), origin=origin):
        pass


def test_his_folder_holds_nothing_of_hers(server: SimpleNamespace):
    with Tab(server.address, as_(BOB.name)) as tab:
        tab.visit()
    folder: Path = server.home / "people" / BOB.key
    assert folder.is_dir()
    for path in folder.rglob("*"):
        assert MARK.encode() not in (path.read_bytes() if path.is_file() else str(path).encode())
