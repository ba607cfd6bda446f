"""The part of the program that a number depends on: the modules that its computation imports, and theirs."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "lrpilot"


@cache
def source_digest(*modules: str) -> str:
    """Return a digest of the text of modules, and of all of this package that they import.

    Args:
        modules: Full names.

    Example:
        >>> source_digest("lrpilot.displacement") == source_digest("lrpilot.summary")
        False
    """
    digest = hashlib.sha256()
    for name in sorted(ancestors(*modules)):
        digest.update(name.encode() + _file(name).read_bytes())
    return digest.hexdigest()


def ancestors(*modules: str) -> set[str]:
    """Return the names of modules and of all modules of this package that they import, at any remove.

    Packages around a module do not count unless something is imported from them by name.

    Args:
        modules: Full names.

    Example:
        >>> sorted(ancestors("lrpilot.summary"))
        ['lrpilot.arrays', 'lrpilot.displacement', 'lrpilot.states', 'lrpilot.summary']
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imported(name))
    return found


@cache
def _imported(module: str) -> tuple[str, ...]:
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    return tuple(name for name in _names(tree) if name.split(".")[0] == PACKAGE and _is_module(name))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the name of something in a module, not of a module in a package
        return False


def _file(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    return Path(str(spec.origin))
