"""X-ray, beside the one model: an adapter, another model, a push; the dog; and the parameters."""

from contextlib import closing
from functools import partial
from pathlib import Path

import streamlit as st

from app import session
from app.widgets import xray_charts as charts
from app.widgets.answer_text import plain_label
from app.widgets.xray_output import output_bars
from app.widgets.xray_state import Subject
from core.errors import FourfoldError
from core.types import SamplingSettings
from interpretability.bigram import DOG_TEXT, BigramModel, train_bigram
from interpretability.model_file import read_model_file
from interpretability.parameters import Anatomy, anatomy
from interpretability.tour import unchanged_by_use
from interpretability.xray import PLAIN, Variant

_POSITIVE = "I love this, it is wonderful.\nWhat a great and happy day."
_NEGATIVE = "I hate this, it is terrible.\nWhat an awful and sad day."
_DOCUMENT_CHUNKS = 5000
_COMPARED = 256  # the last tokens of a long prompt: the comparison keeps every layer's state of each


def draw_compare(subject: Subject) -> None:
    """Adapter on and off, steering, two models. Where the inside cannot be read, the outputs alone."""
    _adapters(subject)
    st.divider()
    _steering(subject)
    st.divider()
    _models(subject)


def _steering(subject: Subject) -> None:
    st.markdown(f"**{subject.say('steer')}**")
    if not subject.xray.abilities.hidden:
        st.info(subject.say("only_output"))
        return
    left, right = st.columns(2)
    positive = left.text_area(subject.say("positive"), _POSITIVE).strip().splitlines()
    negative = right.text_area(subject.say("negative"), _NEGATIVE).strip().splitlines()
    strength = st.slider(subject.say("strength"), -0.5, 0.5, 0.15, 0.05)
    if not (positive and negative):
        return
    place = (tuple(positive), tuple(negative))
    vectors = subject.kept("vectors", lambda: subject.xray.steering(positive, negative), *place)
    _difference(subject, Variant(vectors=vectors, strength=strength), (*place, strength))


def _goes_on(subject: Subject, variant: Variant) -> str:
    steps = subject.xray.steps(subject.ids, 16, SamplingSettings(), variant)
    taken = subject.xray.tokens_of([step.token_id for step in steps])
    return b"".join(token.data for token in taken).decode("utf-8", "replace")


def _difference(subject: Subject, variant: Variant, place: tuple[object, ...], name: str = "changed") -> None:
    """What `variant` changes: per layer, in the output, and in the words that follow."""
    compared = subject.kept("compared", lambda: subject.xray.compare(subject.ids[-_COMPARED:], variant), *place)
    if len(compared.layer_distance):
        titles = (subject.say("layer"), subject.say("layer_distance"), subject.say("variant"))
        charts.lines(compared.layer_distance[:, None], [subject.say(name)], titles)
    st.caption(subject.say("divergence", bits=compared.divergence))
    names = subject.names([change.token_id for change in compared.changes])
    labels = [f"{rank + 1} {token}" for rank, token in enumerate(names) for _ in range(2)]
    values = [value for change in compared.changes for value in (change.before, change.after)]
    series = [subject.say("as_is"), subject.say(name)] * len(names)
    charts.bars(labels, values, (subject.say("token"), subject.say("probability")), (subject.say("variant"), series))
    for which, run in (("as_is", PLAIN), (name, variant)):
        text = subject.kept("goes_on", partial(_goes_on, subject, run), which, *(place if run is variant else ()))
        st.caption(f"{subject.say('continues')} ({subject.say(which)})")
        st.code(text, language=None, wrap_lines=True)


def _adapters(subject: Subject) -> None:
    from training.adapters import AdapterLibrary

    st.markdown(f"**{subject.say('adapter')}**")
    box = session.container()
    base = box.model.sha256 if box.model is not None else ""
    found = [adapter for adapter in AdapterLibrary(box.settings).list() if adapter.fits(base)]
    if not found:
        st.caption(subject.say("no_adapters"))
        return
    chosen = st.selectbox(
        subject.say("adapter_on"),
        found,
        index=None,
        format_func=lambda a: a.name,
        placeholder=subject.say("adapter_off"),
    )
    if chosen is not None:
        _difference(subject, Variant(adapter=str(chosen.path)), ("adapter", str(chosen.path)), "with_adapter")


def _models(subject: Subject) -> None:
    st.markdown(f"**{subject.say('two_models')}**")
    path = st.text_input(subject.say("other_model"), "", placeholder="/models/another.gguf").strip()
    if not path:
        return
    try:
        other = read_model_file(Path(path).expanduser())
        if other.tokens != subject.xray.model.tokens:
            _side_by_side(subject, other.path)
        elif other.is_shaped_like(subject.xray.model):
            _difference(subject, Variant(model=str(other.path)), ("model", str(other.path)), "second_model")
        else:
            variant = Variant(model=str(other.path))
            logits = subject.kept("other", lambda: subject.xray.logits(subject.ids, variant), path)
            own = subject.kept("logits", lambda: subject.xray.logits(subject.ids))
            output_bars(subject, [(subject.xray.path.stem, own), (other.path.stem, logits)])
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(subject.language), 300))


def _side_by_side(subject: Subject, path: Path) -> None:
    st.caption(subject.say("other_vocabulary"))
    theirs = subject.kept("other_next", lambda: subject.xray.next_words(subject.prompt, Variant(model=str(path))), path)
    ours = subject.kept("own_next", lambda: subject.xray.next_words(subject.prompt))
    for name, words in ((subject.xray.path.stem, ours), (path.stem, theirs)):
        st.caption(plain_label(name, 80))
        labels = [f"{rank} {charts.visible(token.text)}" for rank, (token, _) in enumerate(words, 1)]
        titles = (subject.say("token"), subject.say("probability"))
        charts.bars(labels, [chance for _, chance in words], titles)


def draw_dog(subject: Subject) -> None:
    """The bigram model of the dog, then of the user's own documents."""
    st.markdown(f"**{subject.say('dog_text')}**")
    st.code(DOG_TEXT, language=None, wrap_lines=True)
    dog = train_bigram([DOG_TEXT])
    st.latex(r"P(\text{eat} \mid \text{run}) = " + _fraction(dog, "run", "eat"))
    words = ("dog", "run", "eat", "sleep", "play", "bark")
    titles = (subject.say("given_row"), subject.say("next_word"), subject.say("probability"))
    charts.heatmap(dog.table(words), words, words, titles, (0.0, 1.0))
    _next(subject, dog, list(words), 1, "dog")
    st.divider()
    st.markdown(f"**{subject.say('your_documents')}**")
    texts = _documents()
    if not texts:
        st.caption(subject.say("no_documents"))
        return
    own = subject.kept("bigram", lambda: train_bigram(texts), session.collection(), len(texts))
    frequent = own.frequent(6)
    table = own.table(frequent)
    charts.heatmap(table, frequent, frequent, titles, (0.0, max(0.01, float(table.max()))))
    _next(subject, own, [word for word in own.frequent(200) if word in own.counts], 0, "own")


def _fraction(model: BigramModel, given: str, word: str) -> str:
    followers = model.counts[given]
    return rf"\frac{{{followers[word]}}}{{{sum(followers.values())}}} = {model.probability(word, given):.2f}"


def _next(subject: Subject, model: BigramModel, words: list[str], index: int, key: str) -> None:
    given = st.selectbox(subject.say("given"), words, index=index, key=f"given_{key}")
    follow = model.next_words(given)[:10]
    if follow:
        st.caption(subject.say("formula", a=plain_label(given, 30), b=plain_label(follow[0][0], 30)))
    left, right = st.columns(2)
    with left:
        st.caption(subject.say("counted"))
        titles = (subject.say("next_word"), subject.say("probability"))
        charts.bars([word for word, _ in follow], [chance for _, chance in follow], titles)
    with right:
        st.caption(subject.say("same_word_model", word=plain_label(given, 30)))
        _next_of_model(subject, given)
    st.caption(f"{subject.say('dog_writes')}: {plain_label(' '.join(model.generate(given, 12, seed=1)), 200)}")


def _next_of_model(subject: Subject, word: str) -> None:
    """The real model after the same word alone, in the same chart."""
    found = subject.kept("after_word", lambda: subject.xray.next_words(word), word)
    names = [f"{rank} {charts.visible(token.text)}" for rank, (token, _) in enumerate(found, 1)]
    charts.bars(names, [chance for _, chance in found], (subject.say("token"), subject.say("probability")))


def _documents() -> list[str]:
    box = session.container()
    if box.state != "ready" or box.problem is not None:
        return []
    library = box.parts().library
    if session.collection() not in library.names():
        return []
    with closing(library.reader(session.collection())) as store:
        return [chunk.text for _, (_, chunk) in zip(range(_DOCUMENT_CHUNKS), store.iter_chunks(), strict=False)]


def draw_parameters(subject: Subject) -> None:
    """Where the parameters sit, what a token costs, predicted beside measured."""
    body = anatomy(subject.xray.model)
    _numbers(subject, body)
    names = [subject.say(f"part_{part.name}") for part in body.parts]
    charts.bars(names, [part.n_parameters / 1e6 for part in body.parts], (subject.say("part"), subject.say("million")))
    charts.bars(names, [part.n_bytes / 1e6 for part in body.parts], (subject.say("part"), subject.say("megabytes")))
    st.dataframe(
        {
            subject.say("tensor"): [info.name for info in body.tensors],
            subject.say("shape"): [" × ".join(map(str, info.shape)) for info in body.tensors],
            subject.say("type"): [info.type_name for info in body.tensors],
            subject.say("megabytes"): [round(info.n_bytes / 1e6, 3) for info in body.tensors],
            subject.say("bits"): [round(8 * info.n_bytes / info.n_elements, 2) for info in body.tensors],
        },
        hide_index=True,
        height=260,
    )
    _measured(subject, body)


def _numbers(subject: Subject, body: Anatomy) -> None:
    facts = {
        subject.say("architecture"): body.architecture,
        subject.say("million"): f"{body.n_parameters / 1e6:.1f}",
        subject.say("layers"): str(body.n_layers),
        subject.say("heads"): f"{body.n_heads} / {body.n_kv_heads}",
        subject.say("width"): str(body.n_embd),
        subject.say("vocabulary"): f"{body.n_vocab:,}",
        subject.say("context"): f"{body.n_ctx_train:,}",
        subject.say("kv"): f"{body.kv_bytes_per_token / 1024:.1f} KiB",
        subject.say("flops"): f"{body.flops_per_token(0) / 1e9:.2f} GFLOP",
    }
    with st.container(horizontal=True, gap="medium"):
        for name, value in facts.items():
            with st.container(width="content", gap=None):
                st.caption(name)
                st.text(value)
    if body.tied_output:
        st.caption(subject.say("tied"))


def _measured(subject: Subject, body: Anatomy) -> None:
    info = session.container().model
    if not st.button(subject.say("measure"), icon=":material/speed:") or info is None:
        return
    with st.spinner(subject.say("working")):
        measured = subject.xray.measure(subject.ids)
    predicted = body.kv_bytes_per_token / 1024
    values = [predicted, measured.kv_bytes_per_token / 1024]
    names = [subject.say("predicted"), subject.say("measured")]
    charts.bars(names, values, (subject.say("kv"), "KiB"))
    gflop = body.flops(len(subject.ids)) / 1e9
    st.caption(subject.say("speed", gflop=gflop, seconds=measured.seconds, rate=gflop / measured.seconds))
    subject.myth(unchanged_by_use(info.sha256, measured.sha256))
