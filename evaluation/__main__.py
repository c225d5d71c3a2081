"""`python -m evaluation WHAT ...`: exams and benchmarks; with `--json` the last line is one JSON object."""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from core.config import load_settings
from core.errors import FourfoldError

# Each is a module of this package with `add_arguments(parser)` and `run(options, settings) -> dict`.
COMMANDS = {
    "answers": "the assistant's answers to a set of questions",
    "benchmark": "how fast are the parts?",
    "classification": "a labelling task by every way there is, an adapter among them",
    "evidence": "does the search know when it has nothing?",
    "exam": "an exam on your own documents: questions made, reviewed, asked by every mode",
    "files": "odd real documents: does every one end well?",
    "grounding": "reading alone: the right passage given, by itself or among distractors",
    "mtrag": "follow-ups of conversations: searched with the rewrite and by the last turn alone",
    "kills": "ingest killed at random moments: is anything ever broken, twice, or half?",
    "moving": "a collection moved to a server and back, the mover killed midway: the same answers?",
    "planted": "which passage did the answer use? thirty invented facts, leaving out beside attention",
    "retrieval": "are the right passages found?",
    "meter": "does the grounding meter tell true passages from foreign ones?",
    "robustness": "do orders hidden in documents do anything?",
    "routing": "is the right mode chosen?",
    "training_speed": "tokens trained a second, beside peft with transformers' Trainer",
    "soak": "hundreds of mixed requests, cancelled, crowded: only answers, memory flat",
    "sentences": "do the best two sentences hold the answer, without a model? fits their weights, too",
    "tools": "are the right functions called with the right arguments? (BFCL's published rules)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one evaluation; returns the exit status: 0, or 2 where it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description="Exams and benchmarks.")
    commands = parser.add_subparsers(dest="command", required=True)
    # Only the module that is asked for is imported: some need models.
    asked = next((word for word in (arguments or sys.argv[1:]) if word in COMMANDS), "")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        if name == asked:
            importlib.import_module(f"evaluation.{name}").add_arguments(command)
    options = parser.parse_args(arguments)
    try:
        result = importlib.import_module(f"evaluation.{options.command}").run(options, load_settings())
    except FourfoldError as error:
        print(error.message.en, file=sys.stderr)
        return 2
    print(json.dumps(result, ensure_ascii=False) if options.json else json.dumps(result, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
