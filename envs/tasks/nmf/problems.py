"""A wide distribution of stochastic NMF problems: synthetic factors and crops of real matrices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.envs.ranges import Range, check_ranges, log_uniform

_ALLOWED: dict[str, Range] = {
    "rows": (1, 4096),
    "cols": (1, 4096),
    "rank": (1, 256),
    "scale": (1e-9, 1e9),
    "sparsity": (0.0, 0.95),
    "condition": (1.0, 1e6),
    "column_spread": (0.0, 10.0),
    "data_noise": (1e-9, 10.0),
    "init_scale": (1e-6, 1e3),
    "gradient_noise": (1e-9, 1e3),
}


@dataclass(frozen=True)
class NMFProblems:
    """Ranges that problems are drawn from; pairs are inclusive, and drawn log-uniformly where marked so.

    Attributes:
        rows: Rows m of the data matrix.
        cols: Columns n of the data matrix.
        rank: Rank r of the factorisation, and of the synthetic truth.
        scale: Overall scale of the data (log-uniform); units of X.
        sparsity: Share of zeros in the true factors.
        condition: Ratio of the largest to the smallest true component (log-uniform).
        column_spread: Standard deviation of the log scales of the columns, as when features have different units.
        data_noise: Noise on the data over its root mean square (log-uniform).
        clean_data: Probability of no noise on the data.
        init_scale: Scale of the initial WH over the mean of the data (log-uniform).
        gradient_noise: Norm of the additive gradient noise over the norm of the first gradient (log-uniform).
            Absolute: it stays the same over the run, so that there is a noise floor.
        clean_gradient: Probability of no additive gradient noise.
        batch_fractions: Shares of the columns in a mini-batch; one is drawn for each problem.
        real: Probability of a crop of a real matrix, or of its transpose, instead of a synthetic one.
    """

    rows: tuple[int, int] = (12, 40)
    cols: tuple[int, int] = (12, 40)
    rank: tuple[int, int] = (2, 8)
    scale: Range = (1e-3, 1e3)
    sparsity: Range = (0.0, 0.7)
    condition: Range = (1.0, 30.0)
    column_spread: Range = (0.0, 2.0)
    data_noise: Range = (1e-3, 0.3)
    clean_data: float = 0.5
    init_scale: Range = (0.1, 3.0)
    gradient_noise: Range = (1e-2, 10.0)
    clean_gradient: float = 0.2
    batch_fractions: tuple[float, ...] = (0.25, 0.5, 1.0)
    real: float = 0.25

    def __post_init__(self) -> None:
        check_ranges(self, _ALLOWED, ("clean_data", "clean_gradient", "real", "batch_fractions"))


@dataclass
class NMFBatch:
    """B problems, padded with zeros to the largest shape: a padded row or column has a zero gradient.

    Attributes:
        X: Data, shape (B, m, n).
        W: Initial left factors, shape (B, m, r).
        H: Initial right factors, shape (B, r, n).
        W_mask: 1 on true entries of W, 0 on padding.
        H_mask: The same for H.
        noise: Additive gradient noise over the norm of the first gradient, shape (B,).
        cols: True number of columns, shape (B,).
        batch_cols: Columns in a mini-batch, shape (B,).
    """

    X: Floats
    W: Floats
    H: Floats
    W_mask: Floats
    H_mask: Floats
    noise: Floats
    cols: NDArray[np.int64]
    batch_cols: NDArray[np.int64]


def draw(problems: NMFProblems, count: int, rng: np.random.Generator, real: list[Floats]) -> NMFBatch:
    """Draw `count` problems.

    Args:
        problems: The distribution.
        count: B, how many.
        rng: Source of randomness.
        real: Real matrices to crop, each non-negative, shape (rows, columns); may be empty.

    Returns:
        The padded problems.
    """
    m, n, r = problems.rows[1], problems.cols[1], problems.rank[1]
    rows = rng.integers(*problems.rows, count, endpoint=True)
    cols = rng.integers(*problems.cols, count, endpoint=True)
    rank = rng.integers(*problems.rank, count, endpoint=True)
    in_rows = (np.arange(m) < rows[:, None]).astype(np.float64)
    in_cols = (np.arange(n) < cols[:, None]).astype(np.float64)
    in_rank = (np.arange(r) < rank[:, None]).astype(np.float64)
    W_mask = in_rows[:, :, None] * in_rank[:, None, :]
    H_mask = in_rank[:, :, None] * in_cols[:, None, :]

    X = _synthetic(problems, W_mask, H_mask, rng)
    is_real = (rng.random(count) < problems.real) & bool(real)
    for b in np.flatnonzero(is_real):
        X[b] = 0.0
        matrix = real[rng.integers(len(real))]
        X[b, : rows[b], : cols[b]] = _crop(matrix if rng.random() < 0.5 else matrix.T, rows[b], cols[b], rng)
    mask = in_rows[:, :, None] * in_cols[:, None, :]
    entries = mask.sum((1, 2))
    X /= np.sqrt((X**2).sum((1, 2)) / entries)[:, None, None]
    X *= log_uniform(problems.scale, count, rng)[:, None, None]

    mean = X.sum((1, 2)) / entries
    size = 2 * np.sqrt(mean * log_uniform(problems.init_scale, count, rng) / rank)[:, None, None]
    noise = log_uniform(problems.gradient_noise, count, rng)
    noise *= rng.random(count) >= problems.clean_gradient
    fractions = rng.choice(problems.batch_fractions, count)
    return NMFBatch(
        X=X,
        W=rng.random(W_mask.shape) * W_mask * size,
        H=rng.random(H_mask.shape) * H_mask * size,
        W_mask=W_mask,
        H_mask=H_mask,
        noise=noise,
        cols=cols,
        batch_cols=np.maximum(1, np.rint(fractions * cols)).astype(np.int64),
    )


def _synthetic(problems: NMFProblems, W_mask: Floats, H_mask: Floats, rng: np.random.Generator) -> Floats:
    """Sparse non-negative factors with a geometric spectrum, plus clipped Gaussian noise; shape (B, m, n)."""
    count, _, r = W_mask.shape
    low, high = problems.sparsity
    density = 1 - rng.uniform(low, high, size=(count, 1, 1))
    W = rng.gamma(1.0, size=W_mask.shape) * (rng.random(W_mask.shape) < density) * W_mask
    H = rng.gamma(1.0, size=H_mask.shape) * (rng.random(H_mask.shape) < density) * H_mask
    rank = (W_mask.max(1) > 0).sum(1)
    steps = np.arange(r) / np.maximum(rank - 1, 1)[:, None]
    components = log_uniform(problems.condition, count, rng)[:, None] ** -steps
    mask = W_mask.max(2)[:, :, None] * H_mask.max(1)[:, None, :]
    low, high = problems.column_spread
    columns = np.exp(rng.uniform(low, high, size=(count, 1, 1)) * rng.standard_normal((count, 1, H_mask.shape[2])))
    clean = ((W * components[:, None, :]) @ H + 1e-3 * mask) * columns
    rms = np.sqrt((clean**2).sum((1, 2)) / mask.sum((1, 2)))
    noise = log_uniform(problems.data_noise, count, rng) * (rng.random(count) >= problems.clean_data)
    return np.maximum(clean + (noise * rms)[:, None, None] * rng.standard_normal(clean.shape), 0.0) * mask


def _crop(matrix: Floats, rows: int, cols: int, rng: np.random.Generator) -> Floats:
    """Random rows and columns (with repetition only where the matrix is too small), never all zero."""
    for _ in range(8):
        i = rng.choice(matrix.shape[0], rows, replace=rows > matrix.shape[0])
        j = rng.choice(matrix.shape[1], cols, replace=cols > matrix.shape[1])
        crop: Floats = matrix[np.ix_(i, j)]
        if crop.mean() > 0:
            return crop
    return np.full((rows, cols), matrix.mean())
