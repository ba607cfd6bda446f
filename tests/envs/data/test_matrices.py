"""Real matrices: all load, roles are disjoint, bad ones are refused by entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrpilot.configs import load_recipe
from lrpilot.envs.data.matrices import DataError, checked, list_matrices, load_matrix


@pytest.mark.parametrize("name", list_matrices())
def test_every_matrix_loads_and_can_be_factorised(name: str) -> None:
    matrix = load_matrix(name)
    assert matrix.ndim == 2
    assert matrix.min() >= 0
    assert matrix.std() > 0


def test_roles_share_no_matrix() -> None:
    data = load_recipe("nmf").data
    names = [*data.train, *data.validation, *data.test]
    assert len(names) == len(set(names))
    assert set(names) <= set(list_matrices())


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, -2.0]], r"entry \[0, 1\] is -2.0"),
        ([[1.0], [np.nan]], r"entry \[1, 0\] is nan"),
        ([[np.inf]], "is inf"),
        ([[0.0, 0.0]], "all entries are zero"),
        ([1.0, 2.0], "must be a matrix"),
        ([["a"]], "must be a matrix"),
        (np.zeros((0, 3)), "must be a matrix"),
    ],
)
def test_matrices_that_cannot_be_factorised_are_refused(matrix: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(matrix, "mine")


def test_files_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    assert load_matrix(str(tmp_path / "x.npy")).shape == (3, 2)
    (tmp_path / "bad.npy").write_bytes(b"no")
    with pytest.raises(DataError, match=r"bad\.npy: not a \.npy file"):
        load_matrix(str(tmp_path / "bad.npy"))
    with pytest.raises(DataError, match=r"no matrix 'nope': there are .*digits"):
        load_matrix("nope")
