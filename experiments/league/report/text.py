"""Sentences made from numbers: the verdict, and what each section has to say."""

import math

from lrpilot.experiments.league.leaderboard import Row
from lrpilot.experiments.league.profiles import REFERENCE
from lrpilot.experiments.league.report.digits import compact, fixed, interval, listing, percent, signed
from lrpilot.experiments.league.report.facts import LEVEL, Facts
from lrpilot.experiments.league.statistics import TIE


def verdict(facts: Facts) -> tuple[str, ...]:
    """Return the verdict, its first sentence the outcome; losses are said like wins.

    Args:
        facts: The numbers.

    Returns:
        Two to four paragraphs; one where no learned policy takes part.
    """
    if not facts.learned:
        return (f"No learned policy takes part; the best tuned schedule is {facts.champion}.",)
    best, *more = facts.learned
    parts = [_outcome(best, facts.champion), _others(more, facts), _by_task(best, facts), _price(best, facts)]
    return tuple(filter(None, parts))


def outcome(row: Row) -> str:
    """Return "wins", "loses" or "level": how a rival does against the champion, by its interval and Holm's p."""
    if row.p >= LEVEL or math.isnan(row.p) or row.gain.low <= 0 <= row.gain.high:
        return "level"
    return "wins" if row.gain.value > 0 else "loses"


def named(name: str) -> str:
    """Return a name as it stands in a sentence, in quotes if it has a comma.

    Example:
        >>> named("cosine"), named("universal, untuned")
        ('cosine', '“universal, untuned”')
    """
    return f"“{name}”" if "," in name else name


def losses(facts: Facts) -> tuple[str, ...]:
    """Return one sentence for each learned policy on where it loses."""
    if not facts.learned:
        return ("No learned policy takes part.",)
    sentences = []
    for row in facts.learned:
        lost, pairs = facts.lost(row.name), facts.pairs(row.name)
        where = f"in {len(lost)} of {pairs} pairs of task and rival" if lost else f"nowhere, in {pairs} pairs"
        sentences.append(f"{named(row.name)} clearly loses {where}.")
    return tuple(sentences)


def costs(facts: Facts) -> tuple[str, ...]:
    """Return one sentence for each learned policy on what its training cost and when that pays."""
    return tuple(_price(row, facts) for row in facts.learned)


def fairness(facts: Facts) -> tuple[str, ...]:
    """Return what the check of the tuning found."""
    check = facts.check
    edge = listing([f"{rival} on {task}" for task, rival in check.on_edge])
    return (
        f"On the edge of its grid, though that grew as far as it may, lies the base LR of {edge}. A better one may lie "
        "beyond."
        if edge
        else "No tuned base LR lies on the edge of its grid.",
        f"A neighbour of the tuned base LR would clearly have been better in {len(check.found)} of {check.compared} "
        f"cases; by chance alone it would be about {0.025 * check.compared:.0f}.",
    )


def how_to_read(facts: Facts) -> tuple[str, ...]:
    """Return how to read the league table."""
    return (
        f"Score: interquartile mean over tasks and problems of the fall of the log loss, as a multiple of that of "
        f"tuned {REFERENCE}; higher is better. Gain: how much lower the final loss is than that of {facts.champion}, "
        "the best tuned schedule, mean over tasks; + is better. Intervals are 95 %, from resampled problems; p is of "
        "no difference, corrected for all rivals (Holm).",
        f"Win, tie, loss: share of runs more than {fixed(TIE, 2)} nats better than the champion, within that, and "
        "worse. Failed: ended tenfold worse than begun. LR width: range of base LRs within 0.05 nats of the best. "
        f"To target: when the held-out loss is where {REFERENCE} ends. Cost: gradient evaluations of tuning and one "
        "run on every task. The champion is chosen on the scored problems, which favours it.",
        "A rule watches losses or gradients; a search draws schedules at equal cost; a control tells what a policy "
        "owes to what; hindsight can't be had.",
    )


def _outcome(best: Row, champion: str) -> str:
    size = f"{fixed(abs(best.gain.value))} nats"
    interval_ = f"95 % interval of the gain {interval(best.gain.low, best.gain.high, plus=True)} nats"
    pair = f"{named(best.name)}, the best learned policy,"
    than = f"{champion}, the best tuned schedule"
    match outcome(best):
        case "wins":
            share = percent(1 - math.exp(-best.gain.value))
            return f"Learned schedules win: {pair} ends {size} ({share}) below {than}; {interval_}."
        case "loses":
            share = percent(math.exp(-best.gain.value) - 1)
            return f"Learned schedules lose: {pair} ends {size} ({share}) above {than}; {interval_}."
    return (
        f"No clear winner: {pair} gains {signed(best.gain.value)} nats on {than}; {interval_}, "
        f"p = {fixed(best.p, 2)} after Holm's correction."
    )


def _others(rows: list[Row], facts: Facts) -> str:
    """How the other learned policies do, and who else is better than the champion."""
    better = [row for row in facts.rows if row.kind in {"feedback", "optimizer", "search"} and outcome(row) == "wins"]
    words = {"wins": "wins", "loses": "loses", "level": "is level"}
    parts = [f"{named(row.name)} {words[outcome(row)]} ({signed(row.gain.value)} nats)" for row in (*rows, *better)]
    return f"Of the others, against {facts.champion}: {listing(parts)}." if parts else ""


def _by_task(best: Row, facts: Facts) -> str:
    gains = facts.against[best.name, facts.champion]
    better = [task for task, gain in gains.items() if gain.low > 0]
    worse = [task for task, gain in gains.items() if gain.high < 0]
    counts = [
        f"clearly {word} on {f'{len(tasks)} ({listing(tasks)})' if tasks else 'none'}"
        for word, tasks in (("better", better), ("worse", worse))
    ]
    lost, pairs = facts.lost(best.name), facts.pairs(best.name)
    words = f"Against {facts.champion}, {named(best.name)} is {listing(counts)} of {len(gains)} tasks; "
    if not lost:
        return f"{words}it clearly loses to no rival or control on any task."
    largest_loss = lost[0]
    return (
        f"{words}of all {pairs} pairs of task and rival it clearly loses {len(lost)}, the worst to "
        f"{named(largest_loss.rival)} on {largest_loss.task} by {fixed(largest_loss.excess.value)} nats."
    )


def _price(row: Row, facts: Facts) -> str:
    training = {rival.name: rival.training_passes for rival in facts.league.rivals}[row.name]
    uses = facts.uses[row.name]
    pays = (
        f"pays after {compact(uses)} runs, if {facts.champion} would be tuned anew for each"
        if math.isfinite(uses)
        else f"never pays, since a run costs no less than with {facts.champion}, tuning included"
    )
    diverged = round(row.failures * facts.runs)
    return (
        f"The meta-training of {named(row.name)} cost {compact(training)} gradient evaluations and {pays}; "
        f"{diverged or 'none'} of its {facts.runs} runs failed."
    )
