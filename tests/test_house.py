"""The house rules that a program can check: one direction of imports, the field's names, small files and functions."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ROOMS = ("lrpilot", "theory", "envs", "configs", "agents", "experiments")  # each may import those before it
SOURCES = [
    path
    for room in (*ROOMS, "examples")
    for path in sorted((ROOT / room).rglob("*.py"))
    if not path.is_relative_to(ROOT / "lrpilot")
    or not (ROOT / "lrpilot" / path.parts[len(ROOT.parts) + 1]).is_symlink()
]
MODULES = {
    ".".join(["lrpilot", *path.relative_to(ROOT).with_suffix("").parts]).replace("lrpilot.lrpilot", "lrpilot"): path
    for path in SOURCES
    if path.relative_to(ROOT).parts[0] in ROOMS
}
MODULES = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}
pytestmark = pytest.mark.skipif(not MODULES, reason="the sources aren't here: the tests run against a wheel")
LAZY = {"lrpilot.cli"}  # imports what a command needs when it is asked for

# Words of earlier versions; the field's own took their place. As whole identifiers, or as words within them.
OLD_WORDS = {
    "strangers", "reflex", "alarm", "overheard", "mislead", "misled", "siblings", "standing", "tail", "worst", "season",
    "arena", "arenas", "compete", "lineage", "travel", "depart", "sighted", "yardstick", "beside", "worth", "exploded",
    "told",
}  # fmt: skip
OLD_NAMES = {"highest", "_highest", "_calm", "calm", "pay", "Motion", "motion", "joined", "further", "but", "ship"}
OLD_NAMES |= {"failed", "stranger", "Stranger"}
ALIASES = {"card.py", "load.py"}  # where names of earlier versions are read


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(module: str) -> set[str]:
    """The modules of this package that a module imports by name, wherever in the file."""
    found = set()
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & MODULES.keys() or {node.module}
    return found & MODULES.keys()


def test_there_are_no_import_circles() -> None:
    waiting = {module: imported(module) - {module} for module in MODULES if module not in LAZY}
    while free := {module for module, needs in waiting.items() if not needs & waiting.keys()}:
        waiting = {module: needs for module, needs in waiting.items() if module not in free}
    assert not waiting


def test_imports_point_one_way() -> None:
    def room(name: str) -> int:
        inside = name.split(".")[1] if "." in name else ""
        return ROOMS.index(inside) if inside in ROOMS else 0

    eager = MODULES.keys() - LAZY
    assert not [(module, other) for module in eager for other in imported(module) if room(other) > room(module)]


def identifiers(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names |= {*node.name.split("."), node.asname or ""}
    return names


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_names_are_those_of_the_field() -> None:
    found = {
        name_of(path): {name for name in identifiers(path) if words(name) & OLD_WORDS or name in OLD_NAMES}
        | (words(path.stem) & OLD_WORDS)
        for path in SOURCES
        if path.name not in ALIASES
    }
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=name_of)
def test_keys_are_those_of_the_field(path: Path) -> None:
    def keys(value: object) -> set[str]:
        inside = value.items() if isinstance(value, dict) else ()
        return {part for key, inner in inside for part in {*str(key).split("."), *keys(inner)}}

    old = {"reflex", "tail", "worst", "further", "but", "beside", "worth", "sighted", "shorter"}
    assert not keys(yaml.safe_load(path.read_text(encoding="utf-8"))) & old


def test_no_path_is_chosen_by_the_type_of_a_recipe_or_a_task() -> None:
    forks = [
        f"{name_of(path)}:{line}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in {"lrpilot", "envs", "agents", "configs"}
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"isinstance\([\w.]+, \w*(?:Recipe|Task)\)", text)
    ]
    assert not forks


def length(function: ast.FunctionDef) -> int:
    """Lines of a function below its first, without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documentation = first.end_lineno - first.lineno + 1 if documented else 0  # type: ignore[operator]
    return function.end_lineno - function.lineno - documentation  # type: ignore[operator]


def test_files_have_up_to_300_lines_and_functions_up_to_40() -> None:
    assert not [name_of(path) for path in SOURCES if path.read_text(encoding="utf-8").count("\n") > 300]
    functions = [(path, node) for path in SOURCES for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]
    assert not [f"{name_of(path)}: {node.name}" for path, node in functions if length(node) > 40]


def test_the_formula_of_an_action_its_rules_and_its_defaults_stand_once() -> None:
    text = {path: path.read_text(encoding="utf-8") for path in MODULES.values()}
    for once in ("* (self.log_high - self.log_low)", "current + action * self.max_change", "SPIKE * highest_loss"):
        assert {path.name for path, lines in text.items() if once in lines} == {"control.py"}
    defaults = [path.name for path, lines in text.items() if re.search(r"log_low: float\b", lines)]
    assert defaults == ["control.py"]
