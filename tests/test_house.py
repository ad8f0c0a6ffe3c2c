"""The rules of the house that no linter holds: sizes, names, documentation, and what must never be committed."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from medray import schema
from medray.errors import Reason

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for room in ("medray", "jobs", "benchmarks", "tests") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
TABLES = {name: value for name, value in vars(schema).items() if name.isupper() and hasattr(value, "names")}
REGISTRY = re.compile(r"://[a-z0-9.-]*(py|npm|deb|crates)[a-z0-9-]*\.(org|com|net|io)")
MACHINE_PATH = re.compile(r"(?<![A-Za-z0-9_.~])/(work|farm|root|home/(?!ubuntu/))/?")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def _committed() -> list[Path]:
    """The files that git knows, or all of an exported tree."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\0") if done.returncode == 0 else [_name(path) for path in SOURCES]
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_file_has_at_most_300_lines_and_a_function_50(path):
    assert len(path.read_text().splitlines()) <= 300
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in _functions(path)}
    assert {name: lines for name, lines in lengths.items() if lines > 50} == {}


@pytest.mark.parametrize("path", [path for path in SOURCES if "tests" not in path.parts], ids=_name)
def test_public_functions_take_at_most_four_arguments_by_position(path):
    """Compiled kernels cannot have keyword-only arguments; a module's `forward` is torch's own protocol."""
    positional = {
        node.name: [arg.arg for arg in (*node.args.posonlyargs, *node.args.args) if arg.arg not in ("self", "cls")]
        for node in _functions(path)
        if not node.name.startswith("_") and node.name != "forward" and "kernels" not in path.stem
    }
    assert {name: names for name, names in positional.items() if len(names) > 4} == {}


def test_no_file_or_folder_is_called_by_what_it_is_not():
    parts = {part for path in SOURCES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert {part for part in parts if FORBIDDEN_NAMES & set(part.split("_"))} == set()


def test_no_registry_address_and_no_path_of_a_machine_is_committed():
    found = []
    for path in _committed():
        if path.suffix in (".png", ".lock") and path.name != "requirements.lock":
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if path != Path(__file__) and (REGISTRY.search(line) or MACHINE_PATH.search(line)):
                found.append(f"{_name(path)}:{number}")
    assert found == []


def test_no_comment_puts_work_off():
    marks = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
    found = [_name(path) for path in SOURCES if path != Path(__file__) and marks.search(path.read_text())]
    assert found == []


@pytest.mark.parametrize("table", TABLES)
def test_every_field_of_a_table_says_what_it_holds(table):
    comments = {field.name: (field.metadata or {}).get(b"comment", b"").decode() for field in TABLES[table]}
    assert {name for name, comment in comments.items() if not comment} == set()


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_in_the_documentation(reason):
    pages = "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))
    assert f"`{reason.value}`" in pages


def test_jobs_are_the_command_line_and_nothing_else():
    for path in (ROOT / "jobs").glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert imported == {"medray.cli"} and len(path.read_text().splitlines()) <= 40


def test_every_library_that_medray_imports_is_asked_for_in_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["pyg"]
    asked = {re.split(r"[\[<>=,;~! ]", line)[0].lower().replace("-", "_") for line in lines}
    imported_as = {"pillow": "PIL", "scikit_learn": "sklearn", "python_gdcm": "gdcm", "pyjpegls": "jpeg_ls"}
    known = {imported_as.get(name, name) for name in asked} | {"medray", "openjpeg", "rle"}
    assert _imported_top_levels(ROOT / "medray") <= known


def _imported_top_levels(folder: Path) -> set[str]:
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def test_the_lock_has_a_hash_for_every_package():
    for name in ("requirements.lock", "requirements-uv.lock"):
        packages = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text())[1:]
        assert packages and all("--hash=sha256:" in package for package in packages)
