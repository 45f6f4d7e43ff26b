"""Style as a test: what every file here keeps to, whoever writes it.

Each test collects all complaints and shows them together, with file and line. Where a rule needs an
exception, the exception is named here with its reason, and one that is no longer needed is a
complaint too.
"""

import ast
import dataclasses
import importlib
import io
import pickle
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from stiggctl import errors

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "stiggctl"
STATEMENTS = sorted(LIBRARY.glob("ledger/**/*.sql"))

#: A file is one thing, and one thing fits 300 lines (the face's docstrings, which teach, do not count);
#: those that do not: the lines they may have, and why.
LINES_MAX = 300
LONGER: dict[str, tuple[int, str]] = {
    "stiggctl/control/reservation.py": (360, "one object and its four verbs, in both faces"),
    "stiggctl/control/spending.py": (345, "three verbs of the face, each in both"),
    "stiggctl/definitions/parts.py": (330, "the model as people write it, read as a whole"),
    "stiggctl/answers/decision.py": (325, "one answer: its record, its sentence, its JSON and its markup"),
    "stiggctl/control/fitting.py": (310, "one choice among several calls, in both faces"),
    "stiggctl/ledger/reader.py": (340, "all that a ledger can be asked, read as a whole"),
    "stiggctl/ledger/sqlite/model_rows.py": (310, "from rows to records, a kind a function"),
    "stiggctl/errors.py": (445, "one hierarchy, read as a whole"),
    "stiggctl/events.py": (340, "one report, read: each argument has its refusal"),
    "stiggctl/ledger/sqlite/reading.py": (440, "its reader: a verb a question, in the protocol's order"),
    "stiggctl/holder/asking.py": (430, "look and take, and every way in which they can be denied"),
    "stiggctl/holder/exchange.py": (425, "the queue and its lead: the argument about interrupts is one"),
    "stiggctl/holder/holder.py": (410, "how a process begins, changes and ends on a ledger"),
    "stiggctl/holder/orders.py": (330, "one order, from its making to its receipt"),
    "stiggctl/ledger/sqlite/connections.py": (
        325,
        "who writes: its lock, its trouble, and what a fork does to it",
    ),
    "stiggctl/holder/trees.py": (
        315,
        "from rows to paths, of all that is loaded: the argument about versions is one",
    ),
    "stiggctl/ledger/sqlite/reckoning.py": (
        325,
        "what a batch does to numbers: its three parts, and their rules",
    ),
    "stiggctl/holder/page.py": (340, "one layout of a file, written and read"),
}

#: What fits a screen, without the docstring.
FUNCTION_LINES_MAX = 60
LONGER_FUNCTIONS: dict[str, str] = {}

WIDTH_MAX = 110
VAGUE = {
    "manager",
    "helper",
    "helpers",
    "utils",
    "util",
    "common",
    "base",
    "handle",
    "process",
    "data",
    "misc",
}

Complaints = list[str]


@cache
def _files() -> tuple[Path, ...]:
    """Every Python file of the project."""
    rooms = ("stiggctl", "tests", "examples", "benchmarks", "docs")
    return tuple(
        sorted([*ROOT.glob("*.py"), *(path for room in rooms for path in ROOT.glob(f"{room}/**/*.py"))])
    )


def _library() -> list[Path]:
    return [path for path in _files() if path.is_relative_to(LIBRARY)]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _none(complaints: Iterable[str]) -> None:
    found = list(complaints)
    assert not found, "\n".join(["", *found])


def _definitions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _docstring_lines(node: ast.AST) -> int:
    """How many lines the docstring of a module, class or function takes; 0 where it has none."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    if ast.get_docstring(node, clean=False) is None:
        return 0
    said = node.body[0]
    return (said.end_lineno or said.lineno) - said.lineno + 1


def _lines(path: Path) -> int:
    taught = sum(map(_docstring_lines, ast.walk(_tree(path)))) if "control" in path.parts else 0
    return len(path.read_text(encoding="utf-8").splitlines()) - taught


# ------------------------------------------------------------------ modules


def test_every_module_says_what_it_is() -> None:
    _none(f"{_name(path)}: no docstring" for path in _files() if not ast.get_docstring(_tree(path)))


def test_every_room_says_what_is_here_and_what_is_not() -> None:
    complaints = []
    for path in _library():
        defines = any(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in _tree(path).body)
        said = ast.get_docstring(_tree(path)) or ""
        missing = [word for word in ("Here:", "Not here:") if word not in said]
        if defines and missing:
            complaints.append(f"{_name(path)}: its docstring lacks {' and '.join(missing)}")
    _none(complaints)


def test_modules_are_named_after_what_they_are() -> None:
    _none(f"{_name(path)}: a name that says nothing" for path in _library() if path.stem in VAGUE)


def test_a_file_is_one_thing() -> None:
    complaints = []
    for path in _library():
        lines, most = _lines(path), LONGER.get(_name(path), (LINES_MAX, ""))[0]
        if lines > most:
            complaints.append(f"{_name(path)}: {lines} lines, {most} at most")
        if _name(path) in LONGER and lines <= LINES_MAX:
            complaints.append(f"{_name(path)}: needs no exception any more")
    complaints += [f"{name}: is not there" for name in LONGER if not (ROOT / name).exists()]
    _none(complaints)


def test_a_function_fits_a_screen() -> None:
    complaints, used = [], set()
    for path in [*_library(), *ROOT.glob("examples/*.py"), *ROOT.glob("benchmarks/*.py")]:
        for function in _definitions(path):
            name = f"{_name(path)}:{function.name}"
            lines = (function.end_lineno or 0) - function.lineno + 1 - _docstring_lines(function)
            if lines > FUNCTION_LINES_MAX:
                used.add(name)
                if name not in LONGER_FUNCTIONS:
                    complaints.append(
                        f"{name}: {lines} lines without its docstring, {FUNCTION_LINES_MAX} at most"
                    )
    complaints += [f"{name}: needs no exception" for name in LONGER_FUNCTIONS.keys() - used]
    _none(complaints)


def test_a_line_fits_its_width() -> None:
    _none(
        f"{_name(path)}:{number}: {len(line)} wide, {WIDTH_MAX} at most"
        for path in [*_files(), *STATEMENTS]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > WIDTH_MAX
    )


# ------------------------------------------------------------------ what is never written


def test_nothing_is_left_open_or_swallowed() -> None:
    # In two parts each, or this file would complain of itself.
    open_ends = re.compile(
        "|".join(f"{left}{right}" for left, right in [("TO", "DO"), ("FIX", "ME"), ("XX", "X")])
    )
    complaints = []
    for path in _files():
        for number, comment in _comments(path):
            if open_ends.search(comment) or "pragma: no cover" in comment:
                complaints.append(f"{_name(path)}:{number}: {comment}")
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                complaints.append(f"{_name(path)}:{node.lineno}: a bare except")
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                complaints.append(f"{_name(path)}:{node.lineno}: an import from the future")
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                complaints.append(f"{_name(path)}:{node.lineno}: a stub")
    _none(complaints)


def test_what_silences_a_tool_says_which_rule_and_why() -> None:
    silences = re.compile(r"#\s*(?:noqa|type:\s*ignore|ruff:|mypy:|pragma:)")
    reasoned = re.compile(
        r"# noqa: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)* - \S"
        r"|# type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\]  # (?!noqa|type:)\S"
    )
    _none(
        f"{_name(path)}:{number}: {comment}: as `# noqa: CODE - reason`, `# type: ignore[code]  # reason`"
        for path in _files()
        for number, comment in _comments(path)
        if silences.match(comment) and not reasoned.match(comment)
    )


def test_no_file_knows_a_machine() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("docs/**/*.md"), ROOT / ".ci" / "run"]
    place = re.compile(r"(?<![\w.])/(?:home|root|Users|work|opt)/\w")
    _none(
        f"{_name(path)}:{number}: {line.strip()}"
        for path in [*_files(), *STATEMENTS, *pages]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if place.search(line)
    )


# ------------------------------------------------------------------ what belongs together


def test_every_statement_is_named_once_explained_and_used() -> None:
    code = "\n".join(path.read_text() for path in LIBRARY.glob("ledger/**/*.py"))
    complaints = []
    for path in STATEMENTS:
        text = path.read_text()
        names = re.findall(r"^-- name: (\S+)$", text, re.MULTILINE)
        complaints += [f"{_name(path)}: {name} twice" for name in set(names) if names.count(name) > 1]
        for name in names:
            if not re.search(rf"[\"'.]{re.escape(name)}\b", code):
                complaints.append(f"{_name(path)}: {name} is not used")
            if not re.search(rf"^-- name: {re.escape(name)}\n-- \S", text, re.MULTILINE):
                complaints.append(f"{_name(path)}: {name} has no comment that gives its rule")
    _none(complaints)


def test_every_public_name_stands_in_the_reference() -> None:
    package = importlib.import_module("stiggctl")
    names = set(getattr(package, "__all__", ()))
    control = getattr(package, "UsageControl", None)
    names |= {name for name in dir(control) if not name.startswith("_")} if control else set()
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    _none(
        f"docs/reference.md: {name} is missing"
        for name in sorted(names)
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reference)
    )


def test_every_numbered_invariant_is_cited_by_a_test() -> None:
    tests = [path for path in _files() if path.is_relative_to(ROOT / "tests")]
    cited = {label for path in tests for label in re.findall(r"\b[A-Z]{1,2}[0-9]+\b", path.read_text())}
    complaints, homes = [], {}
    for path in _library():
        for label in re.findall(
            r"^  ([A-Z]{1,2}[0-9]+)  ", ast.get_docstring(_tree(path)) or "", re.MULTILINE
        ):
            if label in homes:
                complaints.append(f"{_name(path)}: {label} is {homes[label]}'s already")
            homes[label] = _name(path)
            if label not in cited:
                complaints.append(f"{_name(path)}: no test cites {label}")
    _none(complaints)


# ------------------------------------------------------------------ errors


@dataclasses.dataclass(frozen=True)
class _Fact:
    """Stands for any fact, as a Decision in AccessDenied: it only has to survive pickling itself."""

    name: str


def _all_errors(kind: type[errors.StiggctlError]) -> Iterator[type[errors.StiggctlError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all_errors(child)


def _fact(field: "dataclasses.Field[Any]") -> object:
    if field.name == "problems":
        return (errors.Problem(path="allocations[3].limit", value=-1, expected="zero or more"),)
    written = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    plain: dict[str, Callable[[], object]] = {
        "str": lambda: f"a {field.name}",
        "int": lambda: 7,
        "tuple": lambda: (f"a {field.name}", "another"),
    }
    return plain.get(written.split("[")[0].split(" ")[0], lambda: _Fact(field.name))()


def test_every_error_survives_pickling_with_its_facts_and_its_sentence() -> None:
    kinds = set(_all_errors(errors.StiggctlError))
    assert len(kinds) > 20  # or this test looks at nothing
    for kind in kinds:
        facts = (
            {field.name: _fact(field) for field in dataclasses.fields(kind)}
            if dataclasses.is_dataclass(kind)
            else {}
        )
        error = kind(**facts)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert {name: getattr(again, name) for name in facts} == facts
        assert str(again) == str(error)
