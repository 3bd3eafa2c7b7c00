"""What would have changed a result, as far as the stored evidence proves it.

Wider stops and fills without slippage are replayed on the same candles. Without replaying
anything are known the result on paper, which the cost cause keeps, and which nearer target or stop
the path would have reached, which MFE and MAE are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from post_mortem.core import display
from post_mortem.core.evidence import Fact
from post_mortem.core.types import ExitReason, Outcome
from post_mortem.selectors.alternatives import Wider
from post_mortem.selectors.columns import nanoseconds
from post_mortem.selectors.trade_page import Judged, TradePage
from trading.core.types import Horizon

# Less than this is rounding, not slippage.
_LEAST_PIPS = 0.1
_LEAST_R = 0.005
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
    nearer = (_nearer_target(judged, target_r), _nearer_stop(judged))
    found = (_slippage(judged), _costs(judged), *_wider_stops(judged), *nearer)
    return tuple(change for change in found if change is not None)


def like_it(found: TradePage, judged: Judged) -> dict[str, str]:
    """The filter of trades like this one: of its cause, else of its end on its market."""
    audit = judged.audit
    if audit.top_cause and audit.top_cause != "unknown":
        return {"cause": audit.top_cause}
    return {"outcome": audit.get_outcome_display(), "symbol": found.instrument.symbol}


def _slippage(judged: Judged) -> Change | None:
    pips, r = judged.alternatives.slippage_pips, judged.alternatives.r_without_slippage
    if pips is None or r is None or judged.audit.r_multiple is None:
        return None
    cost = r - judged.audit.r_multiple
    if cost < _LEAST_R or (_has_pips(judged) and round(pips, 1) < _LEAST_PIPS):
        return None
    size = display.pips(pips) if _has_pips(judged) else display.r_multiple(cost, signed=False)
    return Change(
        f"Without {size} slippage: {display.r_multiple(r)}{_still(r)}.",
        "At the prices that were asked for; the same costs.",
        tuple(fact for fact in judged.evidence.facts if fact.kind in ("entry_slip", "exit_slip")),
    )


def _has_pips(judged: Judged) -> bool:
    return judged.audit.signal.instrument.kind in ("fx", "metal")


def _still(r: float) -> str:
    return ", still a loss" if r <= -_LEAST_R else ""


def _wider_stops(judged: Judged) -> Iterator[Change]:
    for wider in judged.alternatives.wider:
        size = display.pips(wider.distance_pips)
        if not _has_pips(judged):
            size = display.percent(wider.factor - 1)
        yield Change(
            f"Stop {size} wider: {display.r_multiple(wider.r)} of the original risk.",
            _how_it_ended(judged, wider),
        )


def _how_it_ended(judged: Judged, wider: Wider) -> str:
    after = display.duration(wider.exit_time - nanoseconds(judged.audit.entry_time))
    as_trade = judged.audit.horizon == Horizon.TRADE
    end = f"the end of the signal’s {wider.followed}"
    if not wider.followed:
        end = "its own exit" if as_trade else f"the end of the {judged.audit.horizon}"
    ended = {
        0: f"It stood there at {end}.",
        1: f"The wider stop was reached too, {after} after the entry.",
        2: f"Its target was reached {after} after the entry.",
    }[wider.hit]
    if wider.r_at_exit is None:
        return ended
    return f"{ended} At its own exit it stood at {display.r_multiple(wider.r_at_exit)}."


def _costs(judged: Judged) -> Change | None:
    for fact in judged.evidence.facts:
        paper = fact.slots.get("paper_r")
        if fact.cause == "spread_slippage" and paper and paper != _asked_r(judged):
            still = ", still a loss" if paper.startswith(display.MINUS) else ""
            return Change(
                f"At mid prices and without costs: {paper}{still}.",
                "The same stop and target, replayed on the mid.",
                (fact,),
            )
    return None


def _asked_r(judged: Judged) -> str:
    """The result without slippage as it is written: the same number is not said twice."""
    change = _slippage(judged)
    r = judged.alternatives.r_without_slippage
    return "" if change is None or r is None else display.r_multiple(r)


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
