"""Parameter groups of an optimizer: the base LR of each, whatever groups come and go, and how an LR is written."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lrpilot.arrays import number

Group = dict[str, Any]
LR = float | Tensor


class BaseLRs:
    """Base LR of each group: its `initial_lr`, where torch's schedulers remember it, else the LR it came with.

    Args:
        optimizer: Its groups are looked at anew at every step.

    Attributes:
        values: Of the groups that were met last, in order; tensors are copies.
        largest: The largest of them, as a number; 0 without groups.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._groups: list[Group] = []
        self.values: list[LR] = []
        self.largest = 0.0
        self.meet()

    def changed(self) -> bool:
        """Whether a group came, went or changed its place since they were met."""
        try:
            return self._optimizer.param_groups != self._groups  # the same dictionaries are equal without a look inside
        except RuntimeError:  # others hold tensors, which can't be compared like that
            return True

    def meet(self) -> list[int | None]:
        """Take the groups as they are now.

        Returns:
            For each group its place until now; None for those that are new. If all are, and as many as before (an
            optimizer whose state was loaded), each keeps its place.
        """
        groups = self._optimizer.param_groups
        old = self._groups
        places = [next((i for i, known in enumerate(old) if known is group), None) for group in groups]
        if len(old) == len(groups) and all(place is None for place in places):
            places = [*range(len(groups))]
            if not any("initial_lr" in group for group in groups):  # saved before it had a scheduler
                for group, base in zip(groups, self.values, strict=True):
                    group["initial_lr"] = copy.deepcopy(base)
        own_lrs(self._optimizer)
        for group in groups:
            group.setdefault("initial_lr", copy.deepcopy(group["lr"]))
        self._groups = list(groups)
        self.values = [copy.deepcopy(group["initial_lr"]) for group in groups]
        self.largest = max(map(float, self.values), default=0.0)
        return places

    def multiple(self) -> float:
        """Return what the LR of the group with the largest base LR is now, over that base LR."""
        pairs = [(float(base), float(group["lr"])) for group, base in zip(self._groups, self.values, strict=True)]
        base, lr = max(pairs, default=(1.0, 1.0))
        return lr / base

    def set(self, values: Sequence[LR]) -> None:
        """Write base LRs into the first groups, as many as are given, and meet all.

        Raises:
            ValueError: One is a tensor without a value.
        """
        for group, value in zip(self._optimizer.param_groups, values, strict=False):
            if isinstance(value, Tensor) and value.is_meta:
                raise ValueError("base_lrs are on the meta device and have no values; load with map_location='cpu'")
            group["initial_lr"] = copy.deepcopy(value)
        self.meet()


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
    if type(place) is float or not isinstance(place, Tensor):
        group["lr"] = lr
        return lr
    if isinstance(lr, Tensor):
        place.copy_(lr)
    else:
        place.fill_(lr)
    return place.clone()
