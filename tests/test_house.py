"""The budgets and manners that every file of the project keeps, checked on the files themselves."""

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("console", "deploy", "producers", "schemas", "sinks", "streams")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_FUNCTION_LINES = 10

# Written in two halves, so that this file passes its own check.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "repo.maven" + ".apache.org",
    "repo1" + ".maven.org",
    "registry.npmjs" + ".org",
    "proxy.golang" + ".org",
    "static.crates" + ".io",
    "deb.debian" + ".org",
]
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/opt/" + "wheels"]
IMPURE_CALLS = {
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid1",
    "uuid4",
}


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def product_files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def python_files() -> list[Path]:
    return [*product_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]


def committed_files() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout to know which files belong to the project")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def named(path: Path, line: int | None = None) -> str:
    return str(path.relative_to(ROOT)) + ("" if line is None else f":{line}")


def function_lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (place, lines) of each function: from its `def` to its last line, without its docstring."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            documented = span(docstring) if docstring else 0
            yield f"{named(path, node.lineno)} {node.name}", span(node) - documented


def span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_too_long() -> None:
    lengths = {named(path): len(path.read_text("utf-8").splitlines()) for path in python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    lengths = (found for path in python_files() for found in function_lengths(path))
    assert {place: lines for place, lines in lengths if lines > MAX_FUNCTION_LINES} == {}


def test_the_median_function_is_short() -> None:
    lengths = [lines for path in product_files() for _, lines in function_lengths(path)]
    assert statistics.median(lengths) < MAX_MEDIAN_FUNCTION_LINES


def test_the_committed_files_name_no_registry_and_no_path_of_one_machine() -> None:
    forbidden = re.compile("|".join(map(re.escape, REGISTRY_HOSTS + MACHINE_PATHS)).encode())
    hits = {named(path): sorted(set(forbidden.findall(path.read_bytes()))) for path in committed_files()}
    assert {name: found for name, found in hits.items() if found} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_importable_and_typed(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_with_code_is_a_package(package: str) -> None:
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [named(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_version_heads_the_changelog_or_is_unreleased() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings, "the changelog has no heading"
    assert released[:1] in ([], [project()["project"]["version"]])


def locked_versions() -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def declared_requirements() -> list[Requirement]:
    extras = project()["project"]["optional-dependencies"].values()
    return [Requirement(line) for lines in (project()["project"]["dependencies"], *extras) for line in lines]


def test_the_lock_satisfies_every_declared_dependency() -> None:
    locked = locked_versions()
    unmet = [
        str(requirement)
        for requirement in declared_requirements()
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"))
    ]
    assert unmet == [], "run `make lock`"


def test_the_lock_is_exact_hashed_and_names_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    entries = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    assert [entry for entry in entries if not re.match(r"[\w.\[\],-]+==\S+ .*--hash=sha256:", entry, re.DOTALL)] == []


def pure_files() -> list[Path]:
    """List the files of the modules that the import contract on rules names, its packages with all they hold."""
    contracts = project()["tool"]["importlinter"]["contracts"]
    pure = next(found for found in contracts if "time" in found.get("forbidden_modules", ()))
    paths = [ROOT / name.replace(".", "/") for name in pure["source_modules"]]
    return [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")])]


def impure_calls(path: Path) -> Iterator[str]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call):
            called = ".".join(ast.unparse(node.func).split(".")[-2:])
            if called in IMPURE_CALLS:
                yield f"{named(path, node.lineno)} {called}"


def test_rules_are_given_the_time_and_never_read_it() -> None:
    files = pure_files()
    assert files, "the import contract on rules names no module"
    assert [call for path in files for call in impure_calls(path)] == []
