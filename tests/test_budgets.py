"""The budgets of the house: a room that grows crowded fails here, before a person notices."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "app",
    "core",
    "evaluation",
    "inference",
    "ingest",
    "interpretability",
    "orchestrator",
    "retrieval",
    "tools",
    "training",
)
BANNED = ("unittest.mock", "monkeypatch.setattr", "pickle.load", "pickle.dump", "shell=True", "verify=False")
Function = ast.FunctionDef | ast.AsyncFunctionDef
# A `with` block is a scope, not a decision: it is not counted.
NESTING = (ast.If, ast.For, ast.While, ast.Try, ast.AsyncFor, ast.Match)


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions() -> list[tuple[str, Function]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node)
        for path in sources()
        for node in ast.walk(parse(path))
        if isinstance(node, Function)
    ]


def length(node: Function) -> int:
    """Lines of a function without its docstring: documentation is not what makes a function long."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def nesting(node: ast.AST, depth: int = 0) -> int:
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        step = 1 if isinstance(child, NESTING) and not is_elif else 0
        deepest = max(deepest, nesting(child, depth + step))
    return deepest


def test_no_function_is_long():
    too_long = [f"{name}: {length(node)} lines" for name, node in functions() if length(node) > 60]
    assert too_long == []


def test_functions_are_short_on_the_whole():
    lengths = sorted(length(node) for _, node in functions())
    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 35


def test_nesting_is_shallow():
    deep = [f"{name}: {nesting(node)} levels" for name, node in functions() if nesting(node) > 3]
    assert deep == []


def test_modules_are_small_rooms():
    crowded = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in sources()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert crowded == []


def test_no_banned_construct():
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in (*sources(), *(ROOT / "tests").rglob("*.py"))
        if path != Path(__file__).resolve()
        for word in BANNED
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


def test_no_catch_all_module():
    catch_alls = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert [path for path in sources() if path.stem in catch_alls] == []


def test_every_error_a_user_reads_is_bilingual():
    """Both texts of every Bilingual written in the code are there, and the Chinese one holds Chinese."""
    one_sided = []
    for path in sources():
        for node in ast.walk(parse(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Bilingual"):
                continue
            texts = [_literal(argument) for argument in (*node.args, *(keyword.value for keyword in node.keywords))]
            words = any(character.isalpha() for character in texts[0] or "")
            if len(texts) == 2 and None not in texts and words and not _has_han(texts[1] or ""):
                one_sided.append(f"{path.relative_to(ROOT)}:{node.lineno} {texts[0]}")
    assert one_sided == []


def _literal(node: ast.expr) -> str | None:
    """The constant parts of a string or f-string; None where the text is made elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value for part in node.values if isinstance(part, ast.Constant) and isinstance(part.value, str)
        )
    return None


def _has_han(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_tests_keep_up_with_the_code():
    """The aim is half of the code or more; the floor rises with every room that reaches it."""

    def lines(paths: list[Path]) -> int:
        return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)

    ratio = lines(list((ROOT / "tests").rglob("*.py"))) / lines(sources())
    assert 0.25 <= ratio <= 1.1


@pytest.mark.parametrize("package", ["core", "inference", "retrieval", "ingest", "tools", "orchestrator"])
def test_importing_a_package_is_light(package: str):
    """Importing a package loads no model library: they are imported where they are used."""
    heavy = ("torch", "sentence_transformers", "llama_cpp", "streamlit", "transformers")
    code = f"import sys, {package}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
