"""Tuning and scoring of one cell: grids that grow, ties, budgets, and cells that survive the disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.learned import Learned, Replay, of_family, universal
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.schedules import FixedSchedule, RandomSearch
from lrpilot.experiments.league.store import Store
from lrpilot.experiments.league.tune_and_score import TIE, Budget, best_in_hindsight, tune_and_score
from lrpilot.experiments.league.workload import Workload, load_suite

SMALL = Budget(problems=2, base_lrs=5, shapes=1)


@pytest.fixture(scope="module")
def nmf() -> Workload:
    workload = load_suite(2, 0)[0]
    data = workload.recipe.data.model_copy(update={"test": ("breast_cancer",)})  # the others take a while to load
    return replace(workload, recipe=workload.recipe.model_copy(update={"data": data}))


class Valley(AbstractRival):
    """Its loss is the squared distance in octaves between base LR and a best one, for tuning and scoring alike."""

    def __init__(self, best: float, shapes: tuple[str, ...] = ("a",), tuned: bool = True) -> None:
        super().__init__("valley", "schedule", "", shapes, tuned)
        self.best, self.seen = best, []  # type: ignore[var-annotated]

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        self.seen.append((shape, multiples))
        loss = np.log2(multiples / self.best)[:, None] ** 2 + self.shapes.index(shape) + np.zeros(2 * workload.problems)
        curve = np.stack([0 * loss, loss], 1)
        return Runs(loss, loss > 100, curve, curve[:, 1:], np.array([0.0, 1.0]), 10.0, 0.1, 0.2)


def test_takes_the_best_base_lr_and_shape(nmf: Workload) -> None:
    budget = Budget(problems=2, base_lrs=5, shapes=3)
    cell, every = tune_and_score(Valley(8.0, ("a", "b", "c")), nmf, budget)
    assert (cell.shape, cell.base_lr, cell.on_edge) == ("a", 8.0, False)
    assert cell.tried == 15
    np.testing.assert_array_equal(every, [0.0, 0.0])
    assert cell.tuning_passes == 15 * 2 * 10.0


@pytest.mark.parametrize("best", [2.0**-10, 2.0**10])
def test_grid_grows_beyond_an_edge_until_the_best_lies_inside(nmf: Workload, best: float) -> None:
    cell, _ = tune_and_score(Valley(best), nmf, SMALL)
    assert not cell.on_edge
    assert abs(np.log2(cell.base_lr / best)) <= 1.5
    assert np.all(np.diff(cell.multiples) > 0)
    np.testing.assert_allclose(np.diff(np.log(cell.multiples)), np.log(8))


def test_edge_is_named_where_growing_ends(nmf: Workload) -> None:
    cell, _ = tune_and_score(Valley(2.0**60), nmf, SMALL)
    assert cell.on_edge
    assert cell.base_lr == cell.multiples[-1]


def test_settings_as_good_as_the_best_give_way_to_the_one_nearest_to_the_unit(nmf: Workload) -> None:
    class Flat(Valley):
        def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
            runs = super().play(shape, multiples, workload)
            return replace(runs, curve=TIE / 2 * (runs.curve > runs.curve.min()))

    cell, _ = tune_and_score(Flat(1.0), nmf, SMALL)
    assert (cell.base_lr, cell.on_edge) == (1.0, False)


def test_rivals_with_fewer_shapes_try_more_base_lrs() -> None:
    budget = Budget(problems=2, base_lrs=5, shapes=3)
    assert [len(budget.multiples(shapes)) for shapes in (1, 3)] == [15, 5]
    for shapes in (1, 2, 3):
        assert 1.0 in np.round(budget.multiples(shapes), 12)


def test_untuned_rival_runs_as_it_comes_and_its_tuning_costs_nothing(nmf: Workload) -> None:
    cell, _ = tune_and_score(Valley(8.0, tuned=False), nmf, SMALL)
    assert (cell.base_lr, cell.tried, cell.tuning_passes) == (1.0, 1, 0.0)
    assert len(cell.multiples) == 5  # what another base LR would have done is still measured


def test_scored_problems_play_no_part_in_the_choice(nmf: Workload) -> None:
    class Split(Valley):
        """On the scored problems another base LR is best."""

        def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
            runs, other = super().play(shape, multiples, workload), np.log2(multiples / 64.0)[:, None] ** 2
            final, curve = runs.final.copy(), runs.curve.copy()
            final[:, workload.problems :] = other
            curve[:, -1, workload.problems :] = other
            return replace(runs, final=final, curve=curve)

    cell, every = tune_and_score(Split(1.0), nmf, SMALL)
    assert cell.base_lr == 1.0
    np.testing.assert_array_equal(cell.final, [36.0, 36.0])
    np.testing.assert_array_equal(every, [0.0, 0.0])


def test_hindsight_is_never_worse_than_any_schedule(nmf: Workload) -> None:
    played = [tune_and_score(FixedSchedule(family), nmf, SMALL) for family in ("cosine", "constant")]
    cell = best_in_hindsight([cell for cell, _ in played], [every for _, every in played], nmf)
    for schedule, _ in played:
        assert np.all(cell.final <= schedule.final + 1e-12)
    assert cell.tried == 10


def test_random_search_tries_as_many_settings_and_has_no_base_lr_to_sweep(nmf: Workload) -> None:
    cell, _ = tune_and_score(RandomSearch(), nmf, SMALL)
    assert cell.tried == 5
    assert np.isnan(cell.base_lr)
    assert len(cell.multiples) == 0


def test_a_cell_of_another_policy_is_another_cell(nmf: Workload, tmp_path: Path) -> None:
    store = Store(tmp_path / "cells")
    paths = {store.path(Learned("policy", "", choose), nmf, SMALL) for choose in (universal, of_family, universal)}
    assert len(paths) == 2


def test_cell_survives_the_disk(nmf: Workload, tmp_path: Path) -> None:
    rival = FixedSchedule("cosine")
    cell, every = tune_and_score(rival, nmf, SMALL)
    store = Store(tmp_path / "cells")
    path = store.path(rival, nmf, SMALL)
    assert store.load(path) is None
    store.save(path, cell, every)
    kept = store.load(path)
    assert kept is not None
    for name in vars(cell):
        np.testing.assert_allclose(*_numbers(getattr(kept.cell, name), getattr(cell, name)), atol=1e-5)
    np.testing.assert_allclose(kept.every, every, atol=1e-5)


def test_cells_of_an_archive_are_taken_where_they_are_wanted_and_missing(nmf: Workload, tmp_path: Path) -> None:
    store, other = Store(tmp_path / "cells"), Store(tmp_path / "others")
    played = tune_and_score(FixedSchedule("cosine"), nmf, SMALL)
    rivals = [FixedSchedule("cosine"), FixedSchedule("constant")]
    paths = [store.path(rival, nmf, SMALL) for rival in rivals]
    for path in paths:
        store.save(path, *played)
    store.pack(paths, tmp_path / "cells.zip")
    wanted = [other.path(rival, nmf, SMALL) for rival in [*rivals, FixedSchedule("linear-to-zero")]]
    other.save(wanted[1], *played)
    kept = wanted[1].stat().st_mtime_ns
    assert other.take(wanted, tmp_path / "cells.zip") == 1
    assert wanted[1].stat().st_mtime_ns == kept
    assert wanted[0].read_bytes() == paths[0].read_bytes()
    assert not wanted[2].is_file()


def _numbers(first: object, second: object) -> tuple[object, object]:
    return (0.0, float(first != second)) if isinstance(first, str) else (first, second)


def test_place_of_a_cell_depends_on_problems_rival_and_budget(nmf: Workload, tmp_path) -> None:  # type: ignore[no-untyped-def]
    store = Store(tmp_path)
    cosine, other = FixedSchedule("cosine"), replace(nmf, seed=1)
    places = {
        store.path(cosine, nmf, SMALL),
        store.path(FixedSchedule("constant"), nmf, SMALL),
        store.path(cosine, other, SMALL),
        store.path(cosine, nmf, replace(SMALL, base_lrs=7)),
    }
    assert len(places) == 4
    assert store.path(FixedSchedule("cosine"), replace(nmf), SMALL) in places


def test_same_cell_twice_is_the_same_to_the_bit(nmf: Workload) -> None:
    first, second = (tune_and_score(Learned("universal", "", universal), nmf, SMALL)[0] for _ in range(2))
    np.testing.assert_array_equal(first.final, second.final)
    np.testing.assert_array_equal(first.lr, second.lr)


def test_replay_at_the_mean_has_one_schedule_for_all_and_at_its_level_one_shape(nmf: Workload) -> None:
    """NMF's LRs are multiples of the current bound, and so are the replayed ones."""
    multiples = np.ones(1)
    mean = Replay("mean", "", universal, level=False).play("", multiples, nmf)
    levelled = Replay("level", "", universal, level=True).play("", multiples, nmf)
    assert np.ptp(mean.lr, axis=2).max() < 1e-9
    ratio = np.log(levelled.lr / mean.lr)[0]
    inside = np.all(levelled.lr[0] < 0.99, axis=1) & np.all(mean.lr[0] < 0.99, axis=1)  # not held by the bound
    assert inside.any()
    assert np.ptp(ratio[inside], axis=0).max() < 1e-9


def test_cell_from_json_keeps_what_has_no_number(nmf: Workload) -> None:
    cell, _ = tune_and_score(RandomSearch(), nmf, SMALL)
    again = Cell.from_json(cell.as_json())
    assert np.isnan(again.base_lr)
    assert again.diverged.dtype == bool
