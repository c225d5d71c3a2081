"""One of everything that a person of a shared server may own, each with a mark by which a leak is told."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app import prompt_library
from app.container import Container
from app.prompt_library import PromptTemplate
from evaluation.exam_store import ExamItem, open_store
from orchestrator.events import AnswerCompleted, TextDelta
from orchestrator.history import Overrule
from orchestrator.recording import record
from retrieval.library import Library
from tests.app.fake_parts import ending, opening
from tests.inference.test_adapters import write_adapter
from tests.retrieval.conftest import document

# So that a search has something to tell the one passage from.
OTHERS = (
    "The library opens at nine and closes at six in the evening.",
    "Bread is baked from flour, water, salt and yeast.",
    "The bridge over the river was finished in the year of the flood.",
    "Every invoice is paid within thirty days of its arrival.",
    "The lamp of the lighthouse turns once in fifteen seconds.",
    "A bicycle has two wheels, a chain and a saddle.",
    "In winter the lake freezes and children skate on it.",
    "The parcel was sent on Monday and came on Thursday.",
)


@dataclass(frozen=True)
class Belongings:
    """Names and ids of what was made, as a stranger might learn them; `mark` stands in every text of it."""

    mark: str
    collection: str
    document_id: str
    adapter: str
    conversation: str
    question: str
    answer: str
    job: str
    upload: Path


def furnish(box: Container, library: Library, mark: str) -> Belongings:
    """Give the person of `box` one of everything."""
    collection = f"{mark}-collection"
    with library.writer(collection) as store:
        text = f"{mark} wrote that the zebra named Quagga lives in Utrecht."
        document_id = store.put_document(*document(f"/{mark}/notes.md", text))
        for number, other in enumerate(OTHERS):
            store.put_document(*document(f"/{mark}/other-{number}.md", other))
        store.set_tags(document_id, (f"{mark}-tag",))
    write_adapter(box.settings.paths.adapters, f"{mark}-adapter", 1.0)
    conversation = box.history.create()
    question = box.history.add_question(conversation.id, f"{mark} asks where Quagga lives")
    answer = box.history.begin_answer(question.id)
    events = [*opening(), TextDelta(f"{mark} hears: Utrecht")]
    end: AnswerCompleted = ending(f"{mark} hears: Utrecht")
    list(record(box.history, answer.id, iter([*events, end])))
    box.history.add_feedback(answer.id, "correction", f"{mark} corrects")
    box.history.add_overrule(Overrule(f"{mark} overrules", (), "default", "rag", "prompt"))
    prompt_library.keep(box.settings.paths.home, PromptTemplate(f"{mark}-prompt", f"{mark} instructs"), use=True)
    open_store(box.settings).add([ExamItem(collection, f"{mark} examines?", (f"{mark} knows",), status="kept")])
    job = box.work.start("search", f"{mark}-job", {"path": "/nowhere"}, lambda _params, report: report.keep({mark: 1}))
    upload = box.ingest.keep_upload(collection, f"{mark}.txt", f"{mark} uploads".encode())
    names = (collection, document_id, f"{mark}-adapter")
    return Belongings(mark, *names, conversation.id, question.id, answer.id, job.id, upload)


def everything(box: Container, library: Library) -> str:
    """All that the doors of a container show, as one text."""
    shown: list[object] = [
        library.names(),
        box.history.conversations(),
        box.history.feedback(),
        box.history.overrules(),
    ]
    for name in library.names():
        with closing(library.reader(name)) as store:
            shown += [store.documents(), [chunk.text for _, chunk in store.iter_chunks(0)]]
        shown.append(open_store(box.settings).items(name))
    shown += [box.work.list(), prompt_library.load(box.settings.paths.home)]
    shown += [sorted(str(path) for path in box.settings.paths.home.rglob("*"))]
    return "\n".join(map(str, shown))
