"""Parameter groups of an optimizer: the base LR of each, whatever groups come and go, and how an LR is written."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lrpilot.arrays import number
from lrpilot.states import StateError

Group = dict[str, Any]
LR = float | Tensor


class BaseLRs:
    """Base LR of each group: its `initial_lr`, where torch's schedulers remember it, else the LR it came with.

    Args:
        optimizer: Its groups are looked at anew at every step.

    Attributes:
        groups: Those that were met last.
        values: Of the groups that were met last, in order; tensors are copies.
        largest: The largest of them, as a number; 0 without groups.
        plain: Whether all are numbers.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self.groups: list[Group] = []
        self.values: list[LR] = []
        self.largest, self.plain = 0.0, True
        self.meet()

    def changed(self) -> bool:
        """Whether a group came, went or changed its place since they were met."""
        groups = self._optimizer.param_groups
        if len(groups) != len(self.groups):
            return True
        return any(group is not known for group, known in zip(groups, self.groups, strict=True))

    def meet(self) -> list[int | None]:
        """Take the groups as they are now.

        Returns:
            For each group its place until now; None for those that are new. If all are (an optimizer's state was
            loaded), each keeps its place.
        """
        groups = self._optimizer.param_groups
        old = self.groups
        places = [next((i for i, known in enumerate(old) if known is group), None) for group in groups]
        if all(place is None for place in places):
            places = [place if place < len(old) else None for place in range(len(groups))]
            if not any("initial_lr" in group for group in groups[: len(old)]):  # saved before it had a scheduler
                for group, base in zip(groups, self.values, strict=False):
                    group["initial_lr"] = copy.deepcopy(base)
        own_lrs(self._optimizer)
        for group in groups:
            group.setdefault("initial_lr", copy.deepcopy(group["lr"]))
        self.groups = list(groups)
        self.values = [_like(group["lr"], group["initial_lr"]) for group in groups]
        self.largest = max(map(float, self.values), default=0.0)
        self.plain = not any(isinstance(value, Tensor) for value in self.values)
        return places

    def multiple(self) -> float:
        """Return what the LR of the group with the largest base LR is now, over that base LR."""
        pairs = [(float(base), float(group["lr"])) for group, base in zip(self.groups, self.values, strict=True)]
        base, lr = max(pairs, default=(1.0, 1.0))
        return lr / base if base else 1.0

    def set(self, values: Sequence[LR]) -> None:
        """Write base LRs into the first groups, as many as are given, and meet all.

        Raises:
            ValueError: One is a tensor without a value.
        """
        for group, value in zip(self._optimizer.param_groups, values, strict=False):
            if isinstance(value, Tensor) and value.is_meta:
                raise StateError("base_lrs are on the meta device and have no values; load with map_location='cpu'")
            group["initial_lr"] = _like(group["lr"], value)
        self.meet()


def _like(place: Any, lr: LR) -> LR:
    """A base LR as a tensor of its own, where the group's LR is one; else as a plain number."""
    return copy.deepcopy(lr) if isinstance(place, Tensor) else float(lr)


def own_lrs(optimizer: Optimizer) -> None:
    """Give each group a tensor of its own, where they share an LR tensor with each other or with the defaults.

    Raises:
        TypeError: An LR is no number.
    """
    seen: set[int] = set()
    for index, group in enumerate(optimizer.param_groups):
        lr = group["lr"]
        number(f"lr of parameter group {index}", lr)
        if isinstance(lr, Tensor):
            if id(lr) in seen:
                group["lr"] = lr = lr.clone()
            seen.add(id(lr))
    default = optimizer.defaults.get("lr")
    if id(default) in seen and isinstance(default, Tensor):
        optimizer.defaults["lr"] = default.clone()


def write_lr(group: Group, lr: LR) -> LR:
    """Set a group's LR, in place if it is a tensor: compiled graphs hold on to it.

    Returns:
        What stands there now; a copy of it if it is a tensor.
    """
    place = group["lr"]
    if not isinstance(place, Tensor):
        group["lr"] = lr = float(lr)
        return lr
    if isinstance(lr, Tensor):
        place.copy_(lr)
    else:
        place.fill_(lr)
    return place.clone()
