"""A stream of losses as people's runs make them, turned into the one that signals can read: positive, on one scale.

Nearly all streams pass through as they are. Four kinds of loss do not: those that are not finite, those of zero or
below now and then, which have no log, streams that fall below zero (log likelihoods), and losses that are redefined in
mid-run. Training tasks make none of these, so the training environment does without.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from statistics import fmean, median
from typing import Any, NamedTuple, Self

from lrpilot.notices import BELOW_ZERO, MANY_BAD, NO_LOSS, NOT_FINITE
from lrpilot.summary import SMALLEST_LOSS, counts_as_loss

REMEMBERED = 32  # newest losses that are kept, at most
BELOW = 8  # so many of them below zero are no accident
COMPARED = 16  # newest losses whose scatter a jump is compared with
BEFORE, AFTER = 8, 8  # losses that must stand on each side of a jump before it is taken for a new scale
JUMP = 2.0  # factor by which a loss must leave the range of those before, at least
NEW_SCALE = 5.0  # factor between two scales, at least
DIP = 1000.0  # factor below that range from which a few losses that come back are taken for no losses
SAME = 1.6  # factor within which losses after a jump are alike, at least
SURE = 0.4  # nats, from losses after a jump on average: with larger ones more are waited for
LARGEST = 1e150  # losses beyond count as so large
WIDEST = 1e6  # factor between two scales, at most
ROUNDING = 1e-3  # losses that are below zero by this share of a usual one count as zero


class Reading(NamedTuple):
    """What a few losses say.

    Attributes:
        losses: Those that count, on the present scale.
        raised: What must be added to all earlier ones to be on it; 0 almost always.
        factor: What they must then be multiplied by; 1 almost always.
        skipped: How many were not finite.
        warnings: By kind, what the user should know of them.
    """

    losses: list[float]
    raised: float = 0.0
    factor: float = 1.0
    skipped: int = 0
    warnings: Mapping[str, str] = {}


@dataclass
class LossStream:
    """What is known of a run's losses so far.

    Attributes:
        offset: What is added to each loss: 0 as long as they are positive.
        margin: With an offset, how far the lowest losses are kept above zero.
        first: First finite loss, as all below without the offset.
        newest: The newest finite ones.
        counted: The newest that counted.
        held: Losses after a jump, until it is known what it is: a few that come back, a new scale, or a run that blows
            up. They are read at once, and again if the scale is new; if far below all before, not before it is known.
        highest_loss: Highest that counted.
        bad_in_a_row: Newest losses that were not finite.
    """

    offset: float = 0.0
    margin: float = 0.0
    first: float | None = None
    newest: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    highest_loss: float = -math.inf
    bad_in_a_row: int = 0

    def read(self, losses: Sequence[float]) -> Reading:
        """Take in losses of whole steps.

        Args:
            losses: In order; at least one.

        Returns:
            What they say.
        """
        before = self.counted or losses
        lowest_loss = min(min(losses), min(before)) + self.offset
        top = max(max(losses), max(before)) + self.offset
        plain = math.isfinite(sum(losses)) and SMALLEST_LOSS + self.margin / 4 <= lowest_loss
        if self.held or not (plain and top < min(JUMP * lowest_loss, LARGEST)):
            return self._read_closely(losses)
        self._remember(losses)
        self.highest_loss = max(self.highest_loss, top - self.offset)
        self.counted = [*self.counted, *losses[-REMEMBERED:]][-REMEMBERED:]
        self.bad_in_a_row = 0
        return Reading([loss + self.offset for loss in losses] if self.offset else list(losses))

    def rescale(self, factor: float) -> None:
        """Be as if all losses so far had been so many times as large.

        Args:
            factor: Positive.
        """
        for name in ("offset", "margin", "highest_loss"):
            setattr(self, name, getattr(self, name) * factor)
        self.first = None if self.first is None else self.first * factor
        for name in ("newest", "counted", "held"):
            setattr(self, name, [loss * factor for loss in getattr(self, name)])

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Return a stream as it was when `state` was called; what an earlier version's lacks begins anew."""
        return cls(**{entry.name: state[entry.name] for entry in fields(cls) if entry.name in state})

    def state(self) -> dict[str, Any]:
        """Return all as plain data."""
        return asdict(self)

    def _remember(self, losses: Sequence[float]) -> None:
        if self.first is None:
            self.first = losses[0]
        self.newest = [*self.newest, *losses[-REMEMBERED:]][-REMEMBERED:]

    def _read_closely(self, losses: Sequence[float]) -> Reading:
        losses = [min(max(loss, -LARGEST), LARGEST) if math.isfinite(loss) else loss for loss in losses]
        finite = [loss for loss in losses if math.isfinite(loss)]
        if finite:
            self._remember(finite)
        raised, factor, left_out = self._raise(), 1.0, 0
        read: list[float] = []
        suspects = 0  # how many of the last in `read` come after a jump
        for index, loss in enumerate(losses):
            self.bad_in_a_row = 0 if math.isfinite(loss) else self.bad_in_a_row + 1
            counts = counts_as_loss(loss + self.offset)
            left_out += not (counts or self.bad_in_a_row)
            new = self._place(loss) if counts else []
            suspects = suspects + len(new) if self.held else 0
            read += new
            due = len(self.held) == REMEMBERED or (len(self.held) >= AFTER and index == len(losses) - 1)
            change = self._new_scale() if due else 1.0
            if change != 1.0:
                factor *= change
                read = [earlier * change for earlier in read[: len(read) - suspects]] + self._release(whole=True)
                suspects = 0
            elif due and (self._held_back() or len(self.held) == REMEMBERED):
                read += self._release()
        return Reading(read, raised, factor, len(losses) - len(finite), self._warnings(left_out > 0, raised > 0))

    def _warnings(self, left_out: bool, raised: bool) -> dict[str, str]:
        given = {
            "zero": (left_out, NO_LOSS),
            "negative": (raised, BELOW_ZERO.format(self.offset)),
            "not finite": (self.bad_in_a_row >= MANY_BAD, NOT_FINITE.format(MANY_BAD)),
        }
        return {kind: message for kind, (applies, message) in given.items() if applies}

    def _raise(self) -> float:
        """Find the offset anew if the stream has fallen below zero, or close to it with the present one.

        The lowest losses are put as far above zero as they are below the first, so that a run that falls on has its
        level halved before the offset is found anew.
        """
        ordered = sorted(self.newest)
        floor = self.margin / 4 if self.margin else -ROUNDING * abs(median(ordered or [0.0]))
        if len(ordered) < BELOW or self.first is None or ordered[BELOW - 1] + self.offset >= floor:
            return 0.0
        low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
        self.margin = max(self.first - low, high - low, abs(low) * 1e-6, SMALLEST_LOSS)
        raised = self.margin - low - self.offset
        self.offset += raised
        return raised

    def _place(self, loss: float) -> list[float]:
        """Take in a loss that counts; return what is to be read now."""
        compared, here = self.counted[-COMPARED:], loss + self.offset
        low, high = min(compared, default=loss) + self.offset, max(compared, default=loss) + self.offset
        if not self.held and low <= here <= high:
            return self._count([loss])
        apart, alike = max(JUMP, math.sqrt(high / low)), max(SAME, high / low)
        deep = len(compared) >= 3 and here < self._far_below()
        jumped = deep or (len(compared) >= BEFORE and not low / apart <= here <= high * apart)
        if self.held:
            middle = median(self.held) + self.offset
            jumped = middle / alike <= here <= middle * alike
        if jumped:
            self.held.append(loss)
            return [] if self._held_back() else [here]
        if self._held_back() and low / JUMP <= here <= high * JUMP:  # it came back
            self.held = []
        return [*self._release(), *self._count([loss])]

    def _held_back(self) -> bool:
        """Whether those after a jump are so far below that they may be no losses at all."""
        return bool(self.held) and self.held[0] + self.offset < self._far_below()

    def _far_below(self) -> float:
        return (sorted(self.counted[-COMPARED:])[min(2, len(self.counted) - 1)] + self.offset) / DIP

    def _release(self, whole: bool = False) -> list[float]:
        """End the suspicion; return those that were held back, or all of them."""
        unread = whole or self._held_back()
        held, self.held = self.held, []
        counted = self._count(held)
        return counted if unread else []

    def _count(self, losses: list[float]) -> list[float]:
        self.highest_loss = max(self.highest_loss, *losses) if losses else self.highest_loss
        self.counted = [*self.counted, *losses][-REMEMBERED:]
        return [loss + self.offset for loss in losses]

    def _new_scale(self) -> float:
        """The factor between the losses before a jump and those held; 1 if they differ in more than that.

        A run that blew up and died, say, hardly moves at all any more.
        """
        after = [math.log(loss + self.offset) for loss in self.held]
        before = [math.log(loss + self.offset) for loss in self.counted[-len(after) :]]
        change, half = fmean(after) - fmean(before), len(after) // 2
        sudden = abs(fmean(after[:half]) - fmean(after[half:])) <= abs(change) / 5
        movement, movement_after = (fmean(abs(b - a) for a, b in pairwise(logs)) for logs in (before, after))
        died = change > 0 and movement_after < movement / 4
        vague = len(after) < REMEMBERED and movement + movement_after > SURE * math.sqrt(len(after))
        if died or vague or not sudden or not math.log(NEW_SCALE) <= abs(change) <= math.log(WIDEST):
            return 1.0
        factor = math.exp(change)
        held, offset, newest = self.held, self.offset, self.newest
        self.rescale(factor)
        self.held, self.offset, self.newest, self.counted = held, offset, newest, []
        return factor
