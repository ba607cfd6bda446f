"""A schedule replayed on the losses of a recorded run: which LR it would have set, step by step."""

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lrpilot.errors import UserError
from lrpilot.policy import SchedulePolicy

COLUMN = "loss"
COLUMNS = {
    "step": "counted from 0",
    "loss": "as recorded, after the step; 'nan', 'inf' and '-inf' are strings",
    "lr": "with which the policy would have made the step, per step",
    "decision": "whether one was made before the step; else the last one holds",
}


class TraceError(UserError):
    """A loss trace that can't be read; the message says what, where and the way out."""


def read_trace(path: str | os.PathLike[str]) -> list[float]:
    """Read recorded losses: one a line, a CSV with a column `loss`, or a JSON list.

    Args:
        path: A UTF-8 file; JSON if its first character is a bracket. Blank lines count for nothing.

    Returns:
        The losses, at least one. Those that are not finite (`nan`, `inf`, in JSON also null) stay.

    Raises:
        TraceError: There is no such file, or an entry is no number; the message names file, line and entry.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TraceError(f"{os.fspath(path)}: can't be read ({error.strerror}); give a file of losses") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{os.fspath(path)}: no UTF-8 text; write one loss a line") from error
    entries = _json(path, text) if text.lstrip()[:1] in {"[", "{"} else _csv(path, text)
    losses = [_number(path, place, entry) for place, entry in entries]
    if not losses:
        raise TraceError(f"{os.fspath(path)}: holds no loss; write one a line")
    return losses


def replay(
    policy: SchedulePolicy, losses: Sequence[float], base_lr: float, horizon: int | None = None
) -> dict[str, Any]:
    """Run a schedule on recorded losses.

    The losses do not answer to its LRs, as they would in training, and it sees no gradients and no bound; `notes` in
    the table says what that means for this policy.

    Args:
        policy: The policy.
        losses: One a step, in order; those that are not finite make the LR back off.
        base_lr: The LR you would have used, per step; for a `fraction_of_bound` policy, the bound.
        horizon: Number of steps of the run; the length of the trace if None. Past it the LR holds.

    Returns:
        Strict JSON data: `policy`, `fingerprint`, `base_lr`, `horizon`, `skipped` (losses that were not finite),
        `next_lr` (after the last loss), `notes`, `columns` and `rows`, one a step: see `COLUMNS`.

    Raises:
        ValueError: `base_lr` or `horizon` is out of range; the message names it.

    Example:
        >>> from lrpilot import load_policy
        >>> table = replay(load_policy("nmf"), [4.0, 3.0, 2.0], base_lr=0.5)
        >>> [(row["step"], row["loss"], row["decision"]) for row in table["rows"]]
        [(0, 4.0, True), (1, 3.0, True), (2, 2.0, True)]
        >>> all(0 < row["lr"] <= 0.5 for row in table["rows"])
        True
    """
    horizon = len(losses) if horizon is None else horizon
    schedule = policy.schedule(base_lr, horizon)
    rows, decision = [], True
    for step, loss in enumerate(losses):
        rows.append({"step": step, "loss": _plain(loss), "lr": _plain(schedule.lr), "decision": decision})
        decision = schedule.decides_at == step + 1
        schedule(loss)
    return {
        "policy": policy.card["name"],
        "fingerprint": policy.fingerprint,
        "base_lr": base_lr,
        "horizon": horizon,
        "skipped": schedule.skipped,
        "next_lr": _plain(schedule.lr),
        "notes": _notes(policy),
        "columns": COLUMNS,
        "rows": rows,
    }


def table_text(table: dict[str, Any]) -> str:
    """Write a table of `replay` as JSON, one row a line.

    Args:
        table: From `replay`.

    Returns:
        The text: strict JSON, with a line break at the end.

    Example:
        >>> print(table_text({"policy": "nmf", "rows": [{"step": 0}, {"step": 1}]}), end="")
        {
          "policy": "nmf",
          "rows": [
            {"step": 0},
            {"step": 1}
          ]
        }
    """
    head = json.dumps({key: value for key, value in table.items() if key != "rows"}, indent=2, allow_nan=False)
    rows = ",\n".join(f"    {json.dumps(row, allow_nan=False)}" for row in table["rows"])
    return head.removesuffix("\n}") + f',\n  "rows": [\n{rows}\n  ]\n}}\n'


def _notes(policy: SchedulePolicy) -> list[str]:
    notes = ["The losses were recorded under other LRs; in training they would have answered to these."]
    if policy.control.action == "fraction_of_bound":
        notes.append(
            "LRs of this policy are fractions of a stability bound; base_lr stands for it, and does not change."
        )
    if policy.reads_gradients:
        notes.append("This policy reads gradients and weights where it can; here it had the losses alone.")
    return notes


def _plain(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _json(path: str | os.PathLike[str], text: str) -> Iterator[tuple[str, Any]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceError(
            f"{os.fspath(path)}: no JSON ({error}); write a list of numbers, or one loss a line"
        ) from error
    if not isinstance(entries, list):
        raise TraceError(f"{os.fspath(path)}: a JSON {type(entries).__name__}, must be a list of numbers")
    for place, entry in enumerate(entries):
        yield f"entry {place}", math.nan if entry is None else entry


def _csv(path: str | os.PathLike[str], text: str) -> Iterator[tuple[str, Any]]:
    # The one column, or the one that the first line calls `loss`.
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    column, width = None, 1
    try:
        for row in reader:
            names = [cell.strip().lower() for cell in row]
            if not any(names):
                continue
            if column is None and COLUMN in names:
                column, width = names.index(COLUMN), len(names)
            elif len(row) != width:
                raise TraceError(
                    f"{os.fspath(path)}, line {reader.line_num}: {','.join(row)[:60]!r} has {len(row)} columns, must "
                    f"have {width}; name them in the first line, one of them {COLUMN!r}"
                )
            else:
                column = column or 0
                yield f"line {reader.line_num}", row[column]
    except csv.Error as error:
        raise TraceError(
            f"{os.fspath(path)}, line {reader.line_num}: no CSV ({error}); write one loss a line"
        ) from None


def _number(path: str | os.PathLike[str], place: str, entry: Any) -> float:
    if type(entry) in {str, int, float}:
        try:
            return float(entry)
        except (ValueError, OverflowError):
            pass
    raise TraceError(
        f"{os.fspath(path)}, {place}: {str(entry)[:60]!r} is no number; write one loss a line (nan or inf where it was "
        f"not finite), or name the columns in the first line, one of them {COLUMN!r}"
    )
