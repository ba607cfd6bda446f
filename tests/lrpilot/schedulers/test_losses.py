"""Losses: kept by step, averaged over their parts, read late; and over ranks, in one collective."""

from __future__ import annotations

import math

import pytest
import torch

from lrpilot.schedulers.losses import PACKED, Losses


def test_one_loss_a_step_is_handed_over_at_once_as_it_is() -> None:
    losses = Losses()
    for loss in (0.5, torch.tensor(0.25), 3):
        losses.add(loss)
        assert losses.end_step(False) == [float(loss)]
    assert losses.end_step(True) == []


def test_parts_of_a_step_count_as_their_mean_and_steps_without_loss_are_left_out() -> None:
    losses, seen = Losses(), []
    for step in ([1.0, 2.0], [], [math.inf, 1.0], [4.0]):
        for loss in step:
            losses.add(loss)
        seen += losses.end_step(False)
    assert seen == [1.5, math.inf, 4.0]


def test_a_loss_that_is_not_a_number_stays_one() -> None:
    losses = Losses()
    losses.add(math.inf)
    losses.add(-math.inf)
    assert math.isnan(losses.end_step(False)[0])


class Elsewhere(torch.Tensor):
    """A tensor that says that it is on an accelerator, and counts how often it is read."""

    reads = 0

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def tolist(self) -> list[float]:
        Elsewhere.reads += 1
        return torch.Tensor.tolist(self.as_subclass(torch.Tensor))


def test_losses_on_an_accelerator_are_copied_and_read_in_one_transfer() -> None:
    losses, place = Losses(), torch.zeros(()).as_subclass(Elsewhere)
    count = 2 * PACKED + 3
    for step in range(count):
        place.fill_(float(step))  # as a captured graph does: always the same memory
        losses.add(place)
        assert losses.end_step(False) == []
    Elsewhere.reads = 0
    assert losses.end_step(True) == [float(step) for step in range(count)]
    assert Elsewhere.reads == 1


def test_losses_from_here_and_there_keep_their_order() -> None:
    losses, seen = Losses(), []
    for loss in (torch.tensor(1.0).as_subclass(Elsewhere), 2.0, torch.tensor(3.0).as_subclass(Elsewhere)):
        losses.add(loss)
        seen.append(losses.end_step(False))
    assert seen == [[], [1.0, 2.0], []]  # a loss at hand means that the others can be read, too
    losses.end_step(False)  # a step without a loss
    assert losses.end_step(True) == [3.0]


def test_what_is_not_handed_over_is_plain_data_and_comes_back() -> None:
    losses = Losses()
    for step in ([1.0, torch.tensor(2.0).as_subclass(Elsewhere)], [torch.tensor(5.0).as_subclass(Elsewhere)]):
        for loss in step:
            losses.add(loss)
        losses.end_step(False)
    state = losses.state()
    assert state == {"steps": [[3.0, 2], [5.0, 1]], "open": [[0.0, 0]]}
    for saved in (state, {"numbers": [1.0, 2.0, 5.0], "ends": [2, 3]}):  # the second by an earlier version
        again = Losses()
        again.load(saved)
        again.add(7.0)
        assert again.end_step(False) == [1.5, 5.0, 7.0]
    assert losses.end_step(True) == [1.5, 5.0]


def test_what_is_observed_without_end_is_not_piled_up() -> None:
    losses = Losses()
    for count in range(10 * PACKED):
        losses.add(torch.tensor(float(count)).as_subclass(Elsewhere))
    assert len(losses._parts) < PACKED
    assert losses.end_step(True) == [(10 * PACKED - 1) / 2]


def test_more_than_one_element_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one element, not shape \(2,\)"):
        Losses().add(torch.ones(2))
