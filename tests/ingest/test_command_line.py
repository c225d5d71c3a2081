"""`python -m ingest` as a person uses it, the samples, and following a folder."""

import json
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings, load_settings
from core.types import CONCRETE_MODES, DEFAULT_COLLECTION, Scope
from ingest.__main__ import main
from ingest.events import FileDone, Finished
from ingest.pipeline import IngestOptions, IngestPipeline
from ingest.samples import (
    SAMPLE_COLLECTION,
    ensure_sample_collection,
    make_way,
    sample_collection,
    sample_folder,
    suggested_questions,
)
from ingest.sync import snapshot, watch
from retrieval.embedder import open_embedder
from retrieval.fakes import HashEmbedder
from retrieval.library import Library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    (made / "a.txt").write_text("Alpha speaks.", encoding="utf-8")
    (made / "b.docx").write_bytes(b"broken")
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out.strip().splitlines()[-1]


def test_summary_json_and_list(folder: Path, capsys: pytest.CaptureFixture[str]):
    status, line = run(capsys, folder, "--no-vectors")
    assert status == 1
    assert line == "1 ok · 0 skipped · 1 failed: b.docx (the file is damaged or not what its name says)"
    status, line = run(capsys, folder, "--no-vectors", "--json")
    summary = json.loads(line)
    assert (summary["ok"], summary["skipped"], summary["chunks"], summary["vectors"]) == (0, 1, 1, 0)
    assert summary["failed"][0]["zh"].startswith("b.docx：")
    _, listing = run(capsys, "--list", "--json")
    cards = json.loads(listing)
    assert cards["documents"][0]["characters"] == len("Alphaspeaks.")
    assert cards["failures"][0]["error"] == "DocumentDamagedError"
    assert run(capsys, "--list")[1].startswith("failed")


def test_a_plan_and_another_collection(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(capsys, folder, "--dry-run") == (0, "+2 ~0 -0 =0")
    run(capsys, folder, "--no-vectors", "--collection", "notes")
    (folder / "a.txt").unlink()
    assert run(capsys, folder, "--dry-run", "--sync", "--collection", "notes")[1] == "+0 ~0 -1 =0"


def test_a_mistake_is_said_and_is_json_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    status, line = run(capsys, tmp_path / "nowhere", "--json")
    assert status == 2
    assert json.loads(line)["error"] == "SettingError"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(Settings(home=tmp_path_factory.mktemp("samples")), HashEmbedder())
    ensure_sample_collection(library, library.settings)
    return library


def test_the_samples_are_whole(samples: Library):
    with closing(samples.reader(DEFAULT_COLLECTION)) as store:
        records, failures, counts = store.documents(), store.failures(), store.counts()
        tables = store.tables.catalogue()
    assert {Path(record.uri).name for record in records} == {path.name for path in sample_folder().iterdir()}
    assert failures == []
    assert counts["vectors"] == counts["chunks"] > 30
    assert {record.language for record in records} == {"en", "zh"}
    assert [table.rows for table in tables] == [15]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many days of paid annual leave does everyone have?", "25 days"),
        ("How long does the battery of the Lumen last at the low setting?", "14 hours"),
        ("When does the lantern parade start?", "20:30"),
        ("员工每年有多少天带薪年假？", "25 天"),
        ("灯会员的退货期限是多少天？", "60 天"),
        ("中文读书会什么时候举行？", "第三个星期六"),
    ],
)
def test_the_samples_answer(samples: Library, question: str, answer: str):
    retrieval = samples.searcher().retrieve(question, Scope(), 5)
    assert any(answer in scored.chunk.text for scored in retrieval.chunks)


def test_the_samples_are_made_once_and_not_forced_on_anyone(samples: Library, tmp_path: Path):
    with closing(samples.reader(DEFAULT_COLLECTION)) as store:
        before = store.revision()
    assert ensure_sample_collection(samples, samples.settings) == DEFAULT_COLLECTION
    with closing(samples.reader(DEFAULT_COLLECTION)) as store:
        assert store.revision() == before
    own = Library(Settings(home=tmp_path / "own"), HashEmbedder())
    (tmp_path / "mine.txt").write_text("My own words.", encoding="utf-8")
    list(IngestPipeline(own, own.settings).run([tmp_path / "mine.txt"]))
    ensure_sample_collection(own, own.settings)
    with closing(own.reader(DEFAULT_COLLECTION)) as store:
        assert [Path(record.uri).name for record in store.documents()] == ["mine.txt"]


def test_there_is_a_question_for_every_mode_in_both_languages():
    asked = {(question.language, question.mode) for question in suggested_questions()}
    assert asked == {(language, mode) for language in ("en", "zh") for mode in CONCRETE_MODES}


def test_watching_notices_a_new_file_once_it_is_still(folder: Path):
    stop = threading.Event()
    before = snapshot([folder])
    timer = threading.Timer(0.1, lambda: (folder / "c.txt").write_text("New.", encoding="utf-8"))
    timer.start()
    assert watch([folder], stop, every_seconds=0.05)
    assert len(snapshot([folder])) == len(before) + 1
    stop.set()
    assert not watch([folder], stop, every_seconds=0.05)


def test_watching_notices_what_changed_while_the_folder_was_being_read(folder: Path):
    seen = snapshot([folder])
    (folder / "c.txt").write_text("Written during the run.", encoding="utf-8")
    assert watch([folder], threading.Event(), every_seconds=0.01, before=seen)


def test_a_run_without_vectors_says_so(folder: Path, tmp_path: Path):
    library = Library(Settings(home=tmp_path / "home"), HashEmbedder())
    events = list(IngestPipeline(library, library.settings).run([folder], options=IngestOptions(embed=False)))
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.vectors == 0
    assert sum(isinstance(event, FileDone) for event in events) == 1


def test_the_samples_make_way_for_documents_of_the_user(tmp_path: Path):
    library = Library(Settings(home=tmp_path / "home"), HashEmbedder())
    ensure_sample_collection(library, library.settings, embed=False)
    mine = tmp_path / "mine.txt"
    mine.write_text("My own words.", encoding="utf-8")
    assert sample_collection(library.settings) == DEFAULT_COLLECTION
    assert not make_way(library, "another", [mine])
    assert not make_way(library, DEFAULT_COLLECTION, [sample_folder()])
    assert make_way(library, DEFAULT_COLLECTION, [mine])
    list(IngestPipeline(library, library.settings).run([mine], options=IngestOptions(embed=False)))
    assert sample_collection(library.settings) == SAMPLE_COLLECTION
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        assert [Path(record.uri).name for record in store.documents()] == ["mine.txt"]
    found = library.searcher().retrieve("How many days of paid annual leave does everyone have?", Scope("samples"), 5)
    assert any("25 days" in scored.chunk.text for scored in found.chunks)
    # Neither a second call nor the next start brings them back.
    assert not make_way(library, DEFAULT_COLLECTION, [mine])
    ensure_sample_collection(library, library.settings)
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        assert store.counts()["documents"] == 1


def test_documents_are_tagged_read_again_and_taken_out(folder: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, folder / "a.txt", "--no-vectors", "--tag", "harbour", "--tag", "old")
    assert run(capsys, folder / "a.txt", "--dry-run") == (0, "+0 ~0 -0 =1")
    assert run(capsys, folder / "a.txt", "--dry-run", "--again") == (0, "+0 ~1 -0 =0")
    library = Library(load_settings(), open_embedder(load_settings()))
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        assert store.documents()[0].tags == ("harbour", "old")
    assert json.loads(run(capsys, folder, "--remove", "--json")[1])["removed"] == [(folder / "a.txt").as_posix()]
    assert run(capsys, folder, "--remove") == (1, "-0")
    assert (folder / "a.txt").is_file()


def test_a_collection_is_made_with_the_profile_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, folder / "a.txt", "--no-vectors", "--collection", "quick", "--profile", "instant")
    run(capsys, folder / "a.txt", "--no-vectors", "--collection", "quick")
    library = Library(load_settings(), open_embedder(load_settings()))
    with closing(library.reader("quick")) as store:
        assert store.meta("embedder") == "all-MiniLM-L6-v2@53aa5117+instant1"
        assert store.meta("dimension") == "256"
