"""The card of a policy as text that a person reads before trusting it."""

import textwrap
from collections.abc import Mapping
from typing import Any

from lrpilot.card import Card
from lrpilot.control import CONTROL_RULES, MANY_STEPS, Anchor, Control

WIDTH, LABEL, KEY = 110, 12, 40  # columns: of the text, of a section's name, at most of an entry's name
BRIEF = {"for": 2, "measured": 1, "LR": 1, "trained": 1}  # lines of sections in the short description, if limited
SILENT = "the card does not say"
_SHOWN = {"format", "name", "signals", "summary", "not_for", "results", "selection", "trained", *CONTROL_RULES}
_ANCHORS: dict[Anchor, str] = {"constant": "", "linear": " × (1 − progress)"}


def describe(card: Mapping[str, Any], full: bool = False) -> str:
    """Say what a policy is, what for, what was measured, where not to use it, how it acts and where it is from.

    Args:
        card: Its free entries may be any JSON data and come from a stranger: what a terminal would not print as a
            character is escaped.
        full: All of it; else the first lines of each, but all of what it is not for: 15 lines with the fingerprint.

    Returns:
        Lines of `WIDTH` columns, unless a word or a name is longer; the last with its line break.

    Example:
        >>> from lrpilot.policy import read_card
        >>> print(describe(read_card("nmf")).split(chr(10))[0])
        nmf: a learned learning-rate (LR) schedule
    """
    card = Card(card)
    lines = [f"{_clean(card['name'])}: a learned learning-rate (LR) schedule", ""]
    for name, value in _sections(card, full).items():
        section = _section(name, value)
        most = len(section) if full else BRIEF.get(name, len(section))
        lines += (
            section[:most] if len(section) <= most else [*section[: most - 1], f"{section[most - 1][: WIDTH - 2]} …"]
        )
    return "\n".join([*lines, ""])


def _headline(results: Any) -> Any:
    """What was measured against tuned baselines, and single numbers; the rest is for the full description."""
    if not isinstance(results, dict):
        return results
    first = {key: value for key, value in results.items() if key in {"against_best_tuned_baseline", "gain_over_tuned"}}
    return first | {key: value for key, value in results.items() if not isinstance(value, dict)}


def _sections(card: Card, full: bool) -> dict[str, Any]:
    trained = card.get("trained", SILENT)
    if isinstance(trained, dict):
        trained = {**trained, "recipe": "whole in the card: --json"} if "recipe" in trained else trained
        trained = trained if full else {key: trained[key] for key in _ORIGIN if key in trained}
    gradients = "; gradients and weights where it can" if card.reads_gradients else " alone"
    every = {
        "for": card.get("summary", SILENT),
        "not for": card.get("not_for", SILENT),
        "measured": card.get("results", SILENT) if full else _inline(_headline(card.get("results", SILENT))),
        "LR": lr_formula(card.control),
        "decisions": _timing(card.control),
        "reads": f"losses{gradients}",
        "trained": trained if full else _inline(trained),
    }
    if full:
        other = {key: value for key, value in card.items() if key not in _SHOWN}
        every |= {"signals": card["signals"], "selected": card.get("selection", SILENT)}
        every |= {"other": other} if other else {}
    return every


_ORIGIN = ("env", "seed", "iterations", "commit")  # what the short description says of a training


def lr_formula(control: Control) -> str:
    """Say in one sentence how an action becomes an LR.

    Args:
        control: How the policy acts.

    Returns:
        The LR, per step, as a function of the action a in [-1, 1] and, for a falling base schedule, of progress.

    Example:
        >>> lr_formula(Control(action="multiple_of_base", log_low=-4, log_high=2))
        'base LR × exp(m), m = -4 + 3 · (a + 1), where a in [-1, 1] is the action'
    """
    low, high = control.log_low, control.log_high
    bounded = control.action == "fraction_of_bound"
    reference, limit = ("stability bound", "; clipped to the bound") if bounded else ("base LR", "")
    if control.max_change is not None:
        old = f"the m before ({control.log_start:g} at the start)"
        change = f"{old} + {control.max_change:g} · a, kept within [{low:g}, {high:g}]"
    else:
        change = f"{low:g} + {(high - low) / 2:g} · (a + 1)"
    guard = f"; m falls by {control.spike_guard or 0:g} at once when the loss is far above all before"
    formula = f"{reference}{_ANCHORS[control.anchor]} × exp(m), m = {change}, where a in [-1, 1] is the action{limit}"
    return formula + (guard if control.spike_guard else "")


def _timing(control: Control) -> str:
    count = control.decisions
    if control.first_interval is not None:
        first = f"at first {control.first_interval} steps apart, later further"
        return f"{count} a run, more beyond {MANY_STEPS:,} steps; {first}, however long the run"
    if control.power == 1:
        return f"{count} a run, one every horizon // {count} steps"
    return (
        f"{count} a run, the k-th after the share (k / {count})^{control.power:g} of the horizon, not two in one step"
    )


def _section(name: str, value: Any) -> list[str]:
    head = f"{name:<{LABEL}} "
    if not isinstance(value, dict):
        return _wrapped(head, _inline(value))
    lines = _table(value, " " * len(head))
    return [head + lines[0].lstrip(), *lines[1:]] if lines else [head.rstrip()]


def _table(entries: Mapping[str, Any], indent: str, inner: bool = False) -> list[str]:
    """One entry a line, values below each other; an object in it is a table too, but one in that a single line."""
    tables = {key for key, value in entries.items() if isinstance(value, dict) and not inner}
    width = min(max((len(_label(key)) for key in entries if key not in tables), default=0), KEY)
    lines = []
    for key, value in entries.items():
        if key in tables:
            lines += [indent + _label(key), *_table(value, f"{indent}  ", inner=True)]
        else:
            lines += _wrapped(f"{indent}{_label(key):<{width}}  ", _inline(value))
    return lines


def _label(key: str) -> str:
    return _clean(key.replace("_", " "))


def _wrapped(head: str, text: str) -> list[str]:
    rest = " " * min(len(head), WIDTH // 2)
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    ) or [head.rstrip()]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_label(key)} {_inline(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_inline(inner) for inner in value)
    if type(value) in {int, float}:
        return f"{value:,}" if type(value) is int else f"{value:.6g}"
    return _clean(str(value))


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
