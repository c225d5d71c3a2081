"""The X-ray in a terminal: `python -m interpretability tokens "Hello 你好"`; with `--json` one JSON object a run."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.config import Settings, load_settings
from core.errors import FourfoldError, SettingError
from core.grounded_prompt import NumberedPassage, grounded_messages, grounded_parts
from core.language import Bilingual, language_of
from core.types import Message, SamplingSettings
from inference.extensions import ExtensibleEngine
from inference.runtime import open_engine
from interpretability import bigram, embeddings, parameters, tokens, tour
from interpretability.attribution import passage_spans
from interpretability.logit_lens import lens
from interpretability.loop import Branch
from interpretability.model_file import read_model_file
from interpretability.plain import to_plain
from interpretability.sampling_steps import Sampler
from interpretability.xray import OPERATIONS, PLAIN, Variant, Xray
from retrieval.store import CollectionStore

Arguments = argparse.Namespace
Lines = Mapping[str, Any]
EXAMPLE = "The capital of France is"


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 on an error that a person can mend."""
    arguments = parser().parse_args(argv)
    settings = load_settings()
    if arguments.model:
        settings = settings.model_copy(update={"model": arguments.model})
    engine = open_engine(settings, extensions=(OPERATIONS,))
    try:
        result = run(arguments, engine, settings)
    except FourfoldError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        engine.close()
    plain = to_plain(result)
    if arguments.json:
        print(json.dumps(plain, ensure_ascii=False))
    else:
        for name, value in plain.items():
            print(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    return 0


def run(arguments: Arguments, engine: ExtensibleEngine, settings: Settings) -> Lines:
    """The result of the command that `arguments` name, over an engine that allows `OPERATIONS`."""
    arguments.text = arguments.text or (bigram.DOG_TEXT if arguments.command == "dog" else EXAMPLE)
    if arguments.command == "dog" and arguments.collection:
        arguments.text = _documents(settings, arguments.collection)
    # What was typed, and what the model reads: with --as-chat the two differ by the template.
    arguments.typed, arguments.sha256, arguments.render = arguments.text, engine.info.sha256, engine.render
    if arguments.as_chat:
        arguments.text = engine.render([Message("user", arguments.text)])
    own = PLAIN if arguments.command == "compare" else Variant(adapter=arguments.adapter)
    return COMMANDS[arguments.command](Xray(engine.call, Path(engine.info.path), own), arguments)


def check(xray: Xray, _: Arguments) -> Lines:
    """What this model and this build can show."""
    return {"abilities": xray.abilities, "path": xray.path}


def show_tokens(xray: Xray, arguments: Arguments) -> Lines:
    """Pieces, ids, bytes, merges, density, price."""
    found = xray.tokens(arguments.text)
    dense = tokens.density(arguments.text, lambda _: len(found))
    at = arguments.text.find(arguments.typed.strip())
    spans = [(at, at + len(arguments.typed.strip()), "question")] if at >= 0 else []
    cost = tokens.bill(tokens.by_origin(found, spans), arguments.answer_tokens, arguments.rate, arguments.answer_rate)
    return {
        "tokens": [{"id": token.id, "text": token.text, "bytes": token.data} for token in found],
        "merges": {token.text: [merge.parts for merge in tokens.replay_merges(xray.model, token)] for token in found},
        "characters_per_token": dense.characters_per_token,
        "parallel": {
            text: tokens.density(text, lambda one: len(xray.tokens(one))).characters_per_token
            for text in tokens.PARALLEL
        },
        "tokens_by_origin": cost.tokens_by_origin,
        "price": cost.price,
    }


def show_embeddings(xray: Xray, arguments: Arguments) -> Lines:
    """Angles between the tokens of the text and the nearest words of the last one, or of `--minus` arithmetic."""
    found = xray.tokens(arguments.text)
    plus, minus = [token.id for token in found], [token.id for token in xray.tokens(arguments.minus)]
    vector = embeddings.combine(xray.model, plus if minus else plus[-1:], minus)
    near = embeddings.nearest(xray.model.embedding, vector, arguments.top, [*plus, *minus])
    rows = xray.model.embedding.rows(plus)
    return {
        "tokens": [token.text for token in found],
        "angles": embeddings.angles(rows),
        "map": embeddings.plane(rows),
        "nearest": _named(xray, [(item.token_id, item.cosine) for item in near]),
    }


def show_positions(xray: Xray, arguments: Arguments) -> Lines:
    """The shape of the input matrix and by how much RoPE turns queries and keys of one layer."""
    ids = _ids(xray, arguments.text)
    rotations = xray.rotations(ids, arguments.layer)
    turned = [rotation.turned_by() for rotation in rotations] if rotations else []
    return {"input_matrix": xray.model.embedding.rows(ids).shape, "degrees": dict(zip("QK", turned, strict=False))}


def show_attention(xray: Xray, arguments: Arguments) -> Lines:
    """One layer's attention, all heads or `--head`."""
    seen = xray.attention(_ids(xray, arguments.text), arguments.layer)
    return {"layer": arguments.layer, "weights": None if seen is None else seen.head(arguments.head)}


def show_layers(xray: Xray, arguments: Arguments) -> Lines:
    """Change per layer and what the lens reads at each, for the last token."""
    hidden, _ = xray.hidden(_ids(xray, arguments.text))
    reading = lens(xray.model, hidden, top=3)
    last = zip(reading.token_ids[:, -1], reading.probabilities[:, -1], strict=True)
    return {
        "relative_change": hidden.relative_change()[:, -1],
        "lens": [_named(xray, list(zip(*layer, strict=True))) for layer in last],
    }


def show_sampling(xray: Xray, arguments: Arguments) -> Lines:
    """What each stage of sampling leaves, and the token drawn."""
    draw = Sampler(_sampling(arguments)).draw(xray.logits(_ids(xray, arguments.text)))
    stages = [
        {"stage": stage.name, "left": len(stage.ids), "removed_mass": stage.removed_mass, "entropy_bits": stage.entropy}
        for stage in draw.stages
    ]
    return {"stages": stages, "drawn": _named(xray, [(draw.token_id, draw.probability)])[0]}


def show_loop(xray: Xray, arguments: Arguments) -> Lines:
    """The next `--steps` tokens with their candidates."""
    branch = Branch(tuple(_ids(xray, arguments.text)))
    branch = branch.extended(xray.steps(branch.ids, arguments.steps, _sampling(arguments)))
    if arguments.branch:
        step, rank = arguments.branch
        branch = branch.choosing(step - 1, branch.steps[step - 1].candidates[rank - 1])
        branch = branch.extended(xray.steps(branch.ids, arguments.steps - step, _sampling(arguments)))
    taken = xray.tokens_of([step.token_id for step in branch.steps])
    candidates = [_named(xray, list(zip(step.candidates, step.probabilities, strict=True))) for step in branch.steps]
    return {"text": "".join(token.text for token in taken), "candidates": candidates}


def show_passages(xray: Xray, arguments: Arguments) -> Lines:
    """Which of the `--passage` texts the `--answer` used."""
    if not (arguments.passage and arguments.answer):
        raise SettingError(
            Bilingual(
                en="passages needs --passage, one or more, and --answer.", zh="passages 需要 --passage 和 --answer。"
            )
        )
    # The layout in which passages reach the model when it answers: another one would measure another prompt.
    passages = [NumberedPassage(number, "", text) for number, text in enumerate(arguments.passage, 1)]
    language = language_of(arguments.typed)
    prompt = arguments.render(grounded_messages(arguments.typed, passages, language))
    parts = grounded_parts(arguments.typed, passages, language)[: len(passages)]
    spans = passage_spans(prompt, [part.text for part in parts])
    found = xray.attribute(prompt, spans, arguments.answer)
    cell = arguments.cell and xray.cell_attention(prompt, spans, arguments.answer, arguments.cell, arguments.layer)
    return {
        **({"rows": cell.rows, "columns": cell.columns, "weights": cell.head(arguments.head)} if cell else {}),
        "used": None if found.used is None else found.used + 1,
        "nats": found.weights,
        "grounding": found.grounding,
        "attention": xray.passage_attention(prompt, spans, arguments.answer),
    }


def show_comparison(xray: Xray, arguments: Arguments) -> Lines:
    """What an adapter, a push along a direction or another model changes, per layer and in the output."""
    if arguments.other_model:
        return _beside(xray, arguments)
    compared = xray.compare(_ids(xray, arguments.text), _variant(xray, arguments))
    changes = [{"token": xray.tokens_of([c.token_id])[0].text, **to_plain(c)} for c in compared.changes]
    return {"layer_distance": compared.layer_distance, "divergence_bits": compared.divergence, "changes": changes}


def show_dog(_: Xray, arguments: Arguments) -> Lines:
    """The bigram model of the dog, or of `text`."""
    model = bigram.train_bigram([arguments.text])
    words = model.frequent(6)
    asked = {f"P({arguments.word} | {arguments.given})": model.probability(arguments.word, arguments.given)}
    following = model.next_words(arguments.given)[: arguments.top]
    return {"words": words, "table": model.table(words), **asked, "next": dict(following)}


def show_parameters(xray: Xray, arguments: Arguments) -> Lines:
    """Where the parameters sit and what a token costs; with `--measure` beside what this machine took."""
    body = parameters.anatomy(xray.model)
    measured: Lines = {}
    if arguments.measure:
        ids = _ids(xray, arguments.text)
        measured = {"gflop": body.flops(len(ids)) / 1e9, "measured": xray.measure(ids), "before": arguments.sha256}
    return {
        **to_plain(replace(body, tensors=())),
        "n_parameters": body.n_parameters,
        "n_bytes": body.n_bytes,
        "kv_bytes_per_token": body.kv_bytes_per_token,
        "flops_per_token": body.flops_per_token(0),
        **measured,
    }


def show_tour(_: Xray, __: Arguments) -> Lines:
    """The guided tour in both languages."""
    return {stop.key: stop for stop in tour.TOUR}


COMMANDS: Mapping[str, Callable[[Xray, Arguments], Lines]] = {
    "check": check,
    "tokens": show_tokens,
    "embeddings": show_embeddings,
    "positions": show_positions,
    "attention": show_attention,
    "layers": show_layers,
    "sampling": show_sampling,
    "loop": show_loop,
    "passages": show_passages,
    "compare": show_comparison,
    "dog": show_dog,
    "parameters": show_parameters,
    "tour": show_tour,
}


def _beside(xray: Xray, arguments: Arguments) -> Lines:
    """The next words of two models, and how far apart their outputs are where they share a vocabulary."""
    other = Variant(model=arguments.other_model)
    outputs = xray.compare_models(arguments.text, arguments.other_model)
    words = [xray.next_words(arguments.text, variant, arguments.top) for variant in (PLAIN, other)]
    ours, theirs = ([{"token": token.text, "score": chance} for token, chance in found] for found in words)
    beside = {"next": ours, "next_of_other": theirs, "divergence_bits": None if outputs is None else outputs[0]}
    if outputs is None or not read_model_file(Path(arguments.other_model)).is_shaped_like(xray.model):
        return beside
    return {**beside, "layer_distance": xray.compare(_ids(xray, arguments.text), other).layer_distance}


def _variant(xray: Xray, arguments: Arguments) -> Variant:
    if arguments.adapter:
        return Variant(adapter=arguments.adapter)
    if arguments.positive and arguments.negative:
        vectors = xray.steering(arguments.positive, arguments.negative)
        return Variant(vectors=vectors, strength=arguments.strength)
    raise SettingError(
        Bilingual(
            en="compare needs --adapter FILE, --other-model FILE, or --positive and --negative examples.",
            zh="compare 需要 --adapter 文件、--other-model 文件，或 --positive 与 --negative 例句。",
        )
    )


def _documents(settings: Settings, collection: str) -> str:
    """All passages of a collection, as one text."""
    with CollectionStore(settings.paths.collection(collection), name=collection) as store:
        return "\n".join(chunk.text for _, chunk in store.iter_chunks())


def _pair(text: str) -> tuple[int, int]:
    """`3:2`, both counted from 1."""
    first, _, second = text.partition(":")
    return int(first), int(second)


def _cell(text: str) -> tuple[int, int]:
    """`1:2`, the first sentence and the second passage, as places from 0."""
    sentence, passage = _pair(text)
    return sentence - 1, passage - 1


def _ids(xray: Xray, text: str) -> list[int]:
    return [token.id for token in xray.tokens(text)]


def _named(xray: Xray, scored: list[tuple[int, float]]) -> list[dict[str, Any]]:
    found = xray.tokens_of([token for token, _ in scored])
    return [{"token": token.text, "score": score} for token, (_, score) in zip(found, scored, strict=True)]


def _sampling(arguments: Arguments) -> SamplingSettings:
    return SamplingSettings(
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        min_p=arguments.min_p,
        seed=arguments.seed,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interpretability", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("text", nargs="?", default="")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", default="", help="path of a GGUF; empty: the one in the settings")
    parser.add_argument("--layer", type=int, default=0)
    parser.add_argument("--head", type=int, default=None, help="one head; without it the mean over the heads")
    parser.add_argument("--minus", default="", help="embeddings: text whose tokens are subtracted")
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-k", type=int, default=40)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--min-p", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--as-chat", action="store_true", help="wrap the text in the model's chat template first")
    parser.add_argument("--rate", type=float, default=0.0, help="tokens: price per million read")
    parser.add_argument("--answer-rate", type=float, default=0.0, help="tokens: price per million written")
    parser.add_argument("--answer-tokens", type=int, default=0, help="tokens: length of the answer in the bill")
    parser.add_argument("--branch", type=_pair, metavar="STEP:RANK", help="loop: take this candidate at this step")
    parser.add_argument("--passage", action="append", default=[], help="passages: one text each")
    parser.add_argument("--answer", default="", help="passages: the answer to explain")
    parser.add_argument("--cell", type=_cell, metavar="SENTENCE:PASSAGE", help="passages: their attention by token")
    parser.add_argument("--adapter", default="", help="path of an adapter: run with it; compare: with and without")
    parser.add_argument("--other-model", default="", help="compare: path of another GGUF")
    parser.add_argument("--positive", action="append", default=[], help="compare: an example of one way")
    parser.add_argument("--negative", action="append", default=[], help="compare: an example of the other way")
    parser.add_argument("--strength", type=float, default=0.15, help="compare: how far to push, below 0: the other way")
    parser.add_argument("--collection", default="", help="dog: the passages of this collection instead of the text")
    parser.add_argument("--given", default="run", help="dog: the word before")
    parser.add_argument("--word", default="eat", help="dog: the word after")
    parser.add_argument("--measure", action="store_true", help="parameters: run the text and measure")
    return parser


if __name__ == "__main__":
    sys.exit(main())
