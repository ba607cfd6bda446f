"""Made-up data sets without end: what is drawn decides how hard, how noisy and how badly scaled each of them is.

They are for training policies alone. Real data sets are few; a policy that has seen thousands of these has seen more
ways in which a loss can fall. Labelled ones can be `broad`: with up to 60 classes, and down to almost no noise.
"""

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.envs.data.text import DOCSTRING_LENGTH, SYMBOLS, Symbols
from lrpilot.envs.ranges import scale

SAMPLES = 2000
MOST_CLASSES = 60  # of broad data sets
SIGNAL_LENGTH, WINDOW = 40, 16
Labelled = tuple[Floats, Symbols]


def vectors(rng: np.random.Generator, broad: bool = False) -> Labelled:
    """Return 4 to 64 correlated features; classes are clusters, or what a random network of one layer says.

    Args:
        rng: Source of randomness: also of everything else that is not said here.
        broad: Up to 128 features and 60 classes, and clusters twice as far apart.

    Returns:
        Features, shape (N, d), and one of 2 to 10 classes for each, shape (N,).
    """
    size, classes = round(scale(rng, 4, 128 if broad else 64)), _classes(rng, 10, broad)
    scales = np.arange(1, size + 1) ** -rng.uniform(0, 1.5)
    features = rng.standard_normal((SAMPLES, size)) * scales
    if rng.random() < 0.5:
        labels = rng.integers(classes, size=SAMPLES)
        features += (scale(rng, 0.5, 8 if broad else 4) * rng.standard_normal((classes, size)) * scales)[labels]
    else:
        hidden = np.tanh(features / scales @ rng.standard_normal((size, 16)) * scale(rng, 0.2, 2) / size**0.5)
        logits = hidden @ rng.standard_normal((16, classes))
        labels = (logits + rng.uniform(0, 1) * rng.gumbel(size=logits.shape)).argmax(1)
        labels = np.unique(labels, return_inverse=True)[1] if broad else labels  # some of many classes may never win
    mixing, _ = np.linalg.qr(rng.standard_normal((size, size)))
    return features @ mixing, labels


def images(rng: np.random.Generator, broad: bool = False) -> Labelled:
    """Return smooth patterns of 8 × 8 to 12 × 12 pixels, one for each class, shifted at random and under noise.

    Args:
        rng: Source of randomness.
        broad: Up to 60 classes, and noise from a twentieth of the patterns on.

    Returns:
        Pictures, shape (N, 1, side, side), and one of 2 to 10 classes for each, shape (N,).
    """
    side = 2 * int(rng.integers(4, 7))
    return _patterns(rng, (side, side), broad)


def signals(rng: np.random.Generator, broad: bool = False) -> Labelled:
    """Return the same along one axis, shape (N, 1, SIGNAL_LENGTH)."""
    return _patterns(rng, (SIGNAL_LENGTH,), broad)


def _patterns(rng: np.random.Generator, shape: tuple[int, ...], broad: bool) -> Labelled:
    classes, furthest = _classes(rng, 10, broad), int(rng.integers(0, 4))
    patterns = _smooth(rng, classes, shape, rng.uniform(1, 3))
    labels = rng.integers(classes, size=SAMPLES)
    axes = tuple(range(1, 1 + len(shape)))
    shifts = rng.integers(-furthest, furthest + 1, size=(SAMPLES, len(shape)))
    shifted = np.stack([
        np.roll(patterns[c], s, tuple(a - 1 for a in axes)) for c, s in zip(labels, shifts, strict=True)
    ])
    noise = _smooth(rng, SAMPLES, shape, rng.uniform(0, 2))
    return (shifted + scale(rng, 0.05 if broad else 0.2, 3) * noise)[:, None], labels


def _smooth(rng: np.random.Generator, count: int, shape: tuple[int, ...], exponent: float) -> Floats:
    """Random fields of variance 1 whose amplitude falls as frequency^−exponent, periodic; shape (count, *shape)."""
    grids = np.meshgrid(*(np.fft.fftfreq(size) * size for size in shape), indexing="ij")
    frequency = np.sqrt(sum(grid**2 for grid in grids))
    amplitude = np.maximum(frequency, 1.0) ** -exponent
    axes = tuple(range(1, 1 + len(shape)))
    fields: Floats = np.fft.ifftn(
        np.fft.fftn(rng.standard_normal((count, *shape)), axes=axes) * amplitude, axes=axes
    ).real
    return fields / fields.std()


def texts(rng: np.random.Generator, broad: bool = False) -> tuple[Symbols, Symbols]:
    """Return sequences of symbols whose classes differ in how common each symbol is.

    Args:
        rng: Source of randomness.
        broad: Up to 60 classes that differ by up to three times as much.

    Returns:
        Symbols, shape (N, DOCSTRING_LENGTH), and one of 2 to 6 classes for each, shape (N,).
    """
    classes, used = _classes(rng, 6, broad), round(scale(rng, 8, SYMBOLS))
    common = -rng.uniform(0.5, 1.5) * np.log(np.arange(1, used + 1))
    logits = common + scale(rng, 0.1, 3 if broad else 1) * rng.standard_normal((classes, used))
    labels = rng.integers(classes, size=SAMPLES)
    noise = rng.gumbel(size=(SAMPLES, DOCSTRING_LENGTH, used))
    return (logits[labels][:, None] + noise).argmax(-1), labels


def language(rng: np.random.Generator) -> tuple[Symbols, Symbols]:
    """Return windows of a Markov chain, in which the last symbol, or the one before it, decides about the next.

    Args:
        rng: Source of randomness.

    Returns:
        Inputs and the symbols that come next, each of shape (N, WINDOW).
    """
    used = round(scale(rng, 8, SYMBOLS))
    common = -rng.uniform(0, 1.5) * np.log(np.arange(1, used + 1))
    logits = common + scale(rng, 0.5, 4) * rng.standard_normal((2, used, used))
    share = rng.uniform(0, 1)  # of the symbols that depend on the one before the last
    chain: Symbols = rng.integers(used, size=(WINDOW + 1, 2 * SAMPLES))
    for t in range(2, WINDOW + 1):
        far = rng.random(2 * SAMPLES) < share
        rows: NDArray[np.float64] = np.where(far[:, None], logits[1][chain[t - 2]], logits[0][chain[t - 1]])
        chain[t] = (rows + rng.gumbel(size=rows.shape)).argmax(1)
    return chain[:-1].T.copy(), chain[1:].T.copy()


def _classes(rng: np.random.Generator, most: int, broad: bool) -> int:
    return round(scale(rng, 2, MOST_CLASSES)) if broad else int(rng.integers(2, most + 1))
