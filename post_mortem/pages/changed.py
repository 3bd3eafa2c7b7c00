"""What would have changed a result, as far as the stored evidence proves it.

Two things can be said without replaying anything: the result on paper, which the cost cause keeps,
and which nearer target or stop the path would have reached, which MFE and MAE are.
"""

from __future__ import annotations

from dataclasses import dataclass

from post_mortem.core import display
from post_mortem.core.evidence import Fact
from post_mortem.core.types import ExitReason, Outcome
from post_mortem.selectors.trade_page import Judged

# An excursion this small says nothing about a plan.
_WORTH_SAYING_R = 0.25


@dataclass(frozen=True, slots=True)
class Change:
    text: str
    note: str
    facts: tuple[Fact, ...] = ()


def changes_of(judged: Judged, target_r: float | None) -> tuple[Change, ...]:
    audit = judged.audit
    if audit.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL):
        return ()
    found = (_costs(judged), _nearer_target(judged, target_r), _nearer_stop(judged))
    return tuple(change for change in found if change is not None)


def _costs(judged: Judged) -> Change | None:
    for fact in judged.evidence.facts:
        paper = fact.slots.get("paper_r")
        if fact.cause == "spread_slippage" and paper:
            still = ", still a loss" if paper.startswith(display.MINUS) else ""
            return Change(
                f"At mid prices and without costs: {paper}{still}.",
                "The same stop and target, replayed on the mid.",
                (fact,),
            )
    return None


def _nearer_target(judged: Judged, target_r: float | None) -> Change | None:
    audit = judged.audit
    best = audit.mfe_r
    if best is None or best < _WORTH_SAYING_R or audit.exit_reason == ExitReason.TP:
        return None
    if audit.r_multiple is not None and best - audit.r_multiple < _WORTH_SAYING_R:
        return None
    asked = "" if target_r is None else f", the plan asked for {display.r_multiple(target_r)}"
    return Change(
        f"A target nearer than {display.r_multiple(best)} lay within its path{asked}.",
        "Its best point up to the bar of the exit; inside that bar the order is not known.",
        _first(judged, "mfe"),
    )


def _nearer_stop(judged: Judged) -> Change | None:
    worst = judged.audit.mae_r
    if worst is None or worst < _WORTH_SAYING_R or judged.audit.outcome != Outcome.SUCCEEDED:
        return None
    return Change(
        f"A stop nearer than {display.r_multiple(worst, signed=False)} would have ended it.",
        "Its worst point up to the bar of the exit.",
        _first(judged, "mae"),
    )


def _first(judged: Judged, kind: str) -> tuple[Fact, ...]:
    fact = judged.evidence.first(kind)
    return () if fact is None else (fact,)
