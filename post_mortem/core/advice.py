"""Opportunities: which process rule each finding suggests, and which trades it would cover.

Advice is a rule of process, never a position. Its text carries no figures: what it would be worth
is measured later, on the trades its scope covers. The key of an advice is the hash of kind, area
and scope, so the same advice from many trades is one recommendation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .evidence import CauseNumbers, LabelNumbers, Subject
from .grounding import number_word
from .types import ExitReason, Outcome, Status

# A finding suggests a rule when it is at least as likely as not to be noise-free: the level below
# which the engine itself puts "no specific cause" first.
SUGGEST_FROM = 0.35
# The trade was most of the way to its target before it was lost.
GAVE_BACK_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Advice:
    """One rule. `scope` says which trades it covers, in JSON-ready values."""

    kind: str
    area: str
    scope: Mapping[str, str]
    suggestion: str
    metric: str
    cause: str

    @property
    def key(self) -> str:
        return advice_key(self.kind, self.area, self.scope)


def advice_key(kind: str, area: str, scope: Mapping[str, str]) -> str:
    """sha256 of the canonical JSON of what makes two pieces of advice the same."""
    canonical = json.dumps([kind, area, dict(scope)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _news(subject: Subject, numbers: CauseNumbers) -> Advice:
    currency = "any"
    key = numbers.facts.get("event_key")
    if key is not None and int(key) in subject.news:
        named = subject.news[int(key)][1]
        # A code that reads as a number, MDL or XXX, could not be told without a figure of its own.
        is_word = named.isascii() and named.isalpha() and number_word(named) is None
        currency = named if is_word else "any"
    return Advice(
        "news_blackout",
        "news",
        {"currency": currency, "impact": "high"},
        f"Open no new trade shortly before high-impact {currency} releases, and decide before "
        "the release whether an open one stays open.",
        "expectancy_r",
        numbers.cause,
    )


def _simple(kind: str, area: str, metric: str, text: str, *scope: str) -> Callable[..., Advice]:
    def make(subject: Subject, numbers: CauseNumbers) -> Advice:
        values = {"symbol": subject.symbol, "strategy": subject.strategy or "any"}
        if "setup" in scope:
            values["setup"] = "+".join(subject.claimed_setups or ()) or "any"
        chosen = {name: values[name] for name in scope}
        return Advice(kind, area, chosen, text, metric, numbers.cause)

    return make


_BY_CAUSE: Mapping[str, Callable[[Subject, CauseNumbers], Advice]] = {
    "news_shock": _news,
    "regime_drift": _simple(
        "regime_filter", "timing", "win_rate",
        "Take this strategy's trades only while the trend that it needs still holds at entry, "
        "and leave when it turns.",
        "strategy",
    ),
    "volatility_spike": _simple(
        "volatility_stop", "risk", "expectancy_r",
        "Place the stop outside the current noise and size the position down to keep the same "
        "risk, or stand aside while volatility is rising.",
        "symbol",
    ),
    "liquidity_event": _simple(
        "thin_market", "timing", "slippage",
        "Hold no position of this size through thin hours and scheduled market closes.",
        "symbol",
    ),
    "external_shock": _simple(
        "shock_plan", "risk", "max_drawdown",
        "Limit the open risk that is exposed to one currency at a time, and keep a written plan "
        "for outages.",
    ),
    "spread_slippage": _simple(
        "execution_cost", "execution", "slippage",
        "Enter with limit orders where the cost is a large part of the risk, and skip trades "
        "whose spread is too wide for their stop.",
        "symbol",
    ),
    "model_error": _simple(
        "score_calibration", "model", "win_rate",
        "Recalibrate this strategy's score against its own results before it is used to size or "
        "to filter trades.",
        "strategy",
    ),
    "detector_misid": _simple(
        "confirm_setup", "entry", "win_rate",
        "Require that the claimed setup is confirmed on closed candles before entry.",
        "strategy",
    ),
    "false_positive": _simple(
        "pause_setup", "entry", "expectancy_r",
        "Pause this setup until its results are better than its break-even rate.",
        "setup", "symbol",
    ),
    "user_psychology": _simple(
        "loss_cooldown", "psychology", "expectancy_r",
        "After a loss, wait before the next entry and keep the usual size.",
    ),
}  # fmt: skip


def _gave_back(subject: Subject, label: LabelNumbers) -> Advice | None:
    if label.outcome != Outcome.FAILED or label.mfe_r is None:
        return None
    if subject.target_price is None or subject.stop_price is None:
        return None
    risk = abs(subject.entry_price - subject.stop_price)
    target_r = abs(subject.target_price - subject.entry_price) / risk if risk else 0.0
    if target_r == 0 or label.mfe_r < GAVE_BACK_SHARE * target_r:
        return None
    return Advice(
        "protect_gains",
        "exit",
        {"strategy": subject.strategy or "any"},
        "Decide in advance how a trade that has come most of the way to its target is protected.",
        "expectancy_r",
        "path",
    )


def _stop_pushed(subject: Subject, label: LabelNumbers) -> Advice | None:
    if subject.stop_final is None or subject.stop_price is None:
        return None
    wider = (subject.stop_price - subject.stop_final) * subject.side > 0
    if not wider or label.exit_reason == ExitReason.TP:
        return None
    return Advice(
        "never_widen_stop",
        "risk",
        {},
        "Never move a stop further away once the trade is open.",
        "expectancy_r",
        "path",
    )


def suggest(
    subject: Subject, label: LabelNumbers, causes: Sequence[CauseNumbers], limit: int = 5
) -> list[Advice]:
    """Advice for one audit, most likely cause first, each key once."""
    found: list[Advice] = []
    for numbers in sorted(causes, key=lambda c: c.rank):
        rule = _BY_CAUSE.get(numbers.cause)
        fired = numbers.status == Status.FIRED and numbers.rank > 0
        if rule and fired and numbers.posterior >= SUGGEST_FROM:
            found.append(rule(subject, numbers))
    for path_rule in (_gave_back, _stop_pushed):
        advice = path_rule(subject, label)
        if advice is not None:
            found.append(advice)
    return list({advice.key: advice for advice in found}.values())[:limit]
