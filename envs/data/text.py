"""Real text as sequences of symbols, from frozen files: nothing is downloaded, and no Python version changes it."""

import gzip
import json
import lzma
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SYMBOLS = 64
DOCSTRING_LENGTH = 64
_FROZEN = Path(__file__).parent / "frozen"

Symbols = NDArray[np.int64]


def ranked(text: str) -> Symbols:
    """Return each character's rank by how common it is in the text: 0 is the most common one.

    Args:
        text: Any text; equally common characters are ranked by their code point.

    Returns:
        Ranks, shape (len(text),); SYMBOLS − 1 stands for every character that is rarer.

    Example:
        >>> ranked("banana")
        array([2, 0, 1, 0, 1, 0])
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    _, position, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.minimum(rank, SYMBOLS - 1)[position]


def next_symbols(name: str, window: int, share: tuple[float, float] = (0.0, 1.0)) -> tuple[Symbols, Symbols]:
    """Return a frozen text as windows, each with the symbol that comes next at every position.

    A piece of window + 1 characters gives one window, so that no two windows share a character.

    Args:
        name: File name in `frozen`, without `.txt.xz`.
        window: T, symbols in a window.
        share: Where the piece of the text begins and ends that is wanted, as shares of its length.

    Returns:
        Inputs and targets, each of shape (N, T), in the order of the text; targets are the inputs one later.

    Example:
        >>> inputs, targets = next_symbols("python_manual", 16)
        >>> inputs.shape, bool((inputs[:, 1:] == targets[:, :-1]).all())
        ((27360, 16), True)
    """
    with lzma.open(_FROZEN / f"{name}.txt.xz", "rt", encoding="utf-8", newline="") as file:
        text = file.read()
    symbols = ranked(text[slice(*(round(end * len(text)) for end in share))])
    pieces = symbols[: len(symbols) // (window + 1) * (window + 1)].reshape(-1, window + 1)
    return pieces[:, :-1], pieces[:, 1:]


def docstrings(first: int = 0, every: int = 1) -> tuple[Symbols, Symbols]:
    """Return the beginnings of docstrings of Python's standard library, and the package that each comes from.

    Args:
        first: The first of the twelve packages, in alphabetical order, that is wanted.
        every: From there on, every how many-th.

    Returns:
        Symbols, shape (N, DOCSTRING_LENGTH), with spaces after the end; classes in the alphabetical order of the
        packages, shape (N,).

    Example:
        >>> inputs, packages = docstrings()
        >>> inputs.shape, int(packages.max()) + 1
        ((3518, 64), 12)
    """
    with gzip.open(_FROZEN / "docstrings.json.gz", "rt", encoding="utf-8") as file:
        by_package: dict[str, list[str]] = json.load(file)
    packages = sorted(by_package)[first::every]
    texts = [text.ljust(DOCSTRING_LENGTH) for package in packages for text in by_package[package]]
    counts = [len(by_package[package]) for package in packages]
    return ranked("".join(texts)).reshape(-1, DOCSTRING_LENGTH), np.repeat(np.arange(len(counts)), counts)
