"""Which process rule a pattern suggests, which trades the rule covers, and what it may be worth.

A rule from conditions stands aside from a kind of trades, so what it saves is what such trades are
expected to bring. A rule that changes how trades are made, and one that follows from a cause, has
no such figure: it is measured once it is implemented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import ndtr

from .advice import Advice
from .attribution.catalogue import HOURS, REGISTRY, SESSION_WORDS, SETUP_WORDS, WEEKDAYS
from .scope import CHOICES, STAND_ASIDE
from .types import SETUPS

Parts = Sequence[Sequence[str]]

# What `advice.suggest` proposes for a cause that came first.
RULE_OF_CAUSE: Mapping[str, str] = {
    "news_shock": "news_blackout",
    "regime_drift": "regime_filter",
    "volatility_spike": "volatility_stop",
    "liquidity_event": "thin_market",
    "external_shock": "shock_plan",
    "spread_slippage": "execution_cost",
    "model_error": "score_calibration",
    "detector_misid": "confirm_setup",
    "false_positive": "pause_setup",
    "user_psychology": "loss_cooldown",
}
_AREAS: Mapping[str, str] = {
    "time": "timing",
    "plan": "entry",
    "market": "timing",
    "news": "news",
    "record": "model",
    "behaviour": "psychology",
}
_EFFORT: Mapping[str, str] = {
    "usual_size": "low",
    "news_blackout": "low",
    "score_calibration": "high",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """`advice` to track; `text` is its suggestion with `{words}` for the trades it is about.
    `avoids`: the rule is to take no such trade."""

    advice: Advice
    text: str
    avoids: bool


@dataclass(frozen=True, slots=True)
class Worth:
    """R a month that standing aside saves, with a 95 % range; `helps` 0-100: how surely it saves
    anything. `per_hour`: R a month for an hour of work, None where its hours are not known."""

    r_month: float
    low: float
    high: float
    helps: int
    per_hour: float | None


def scope_of(parts: Parts) -> dict[str, str]:
    """Which trades parts are about, in the keys and values of `scope.py` where it has them, else
    the feature's own words for its cell: such trades cannot be told from the records alone."""
    return dict(_key_and_value(name, words) for name, words in parts)


def _key_and_value(name: str, words: str) -> tuple[str, str]:
    if name == "setup":
        place = SETUP_WORDS.index(words)
        # Claiming none, or several, is nothing that a scope's setup can say.
        return ("setup", SETUPS[place - 1]) if 1 <= place <= len(SETUPS) else ("claims", words)
    if name == "side":
        return name, words.rsplit(" ", 1)[-1]
    if name == "weekday":
        return name, str(WEEKDAYS.index(words) + 1)
    if name == "hour":
        first = 4 * HOURS.index(words)
        return name, f"{first}-{first + 3}"
    if name == "session":
        return "open", CHOICES["open"][SESSION_WORDS.index(words)]
    feature = REGISTRY[name] if name in {f.name for f in REGISTRY} else None
    if feature is None or feature.phrase == "{}":
        return name, words
    before, _, after = feature.phrase.partition("{}")
    return name, words.removeprefix(before).removesuffix(after)


_COOLDOWN = Advice(
    "loss_cooldown", "psychology", {},
    "After a loss, wait before the next entry and keep the usual size.", "expectancy_r", "",
)  # fmt: skip
_BLACKOUT = Advice(
    "news_blackout", "news", {"currency": "any", "impact": "high"},
    "Open no new trade shortly before high-impact releases, and decide before the release whether "
    "an open one stays open.",
    "expectancy_r", "",
)  # fmt: skip
_USUAL_SIZE = Advice("usual_size", "sizing", {}, "Keep the usual size.", "expectancy_r", "")
_TRADE_LIMIT = Advice(
    "trade_limit", "psychology", {},
    "Set how many trades a session may have before it begins, and stop there.",
    "expectancy_r", "",
)  # fmt: skip
# Cells that ask for another rule than standing aside from them: feature, places of its cells.
_SPECIAL: tuple[tuple[str, frozenset[int], Advice, bool], ...] = (
    ("since_loss", frozenset((0, 1)), _COOLDOWN, True),
    ("next_release", frozenset((0, 1)), _BLACKOUT, True),
    ("last_release", frozenset((0, 1)), _BLACKOUT, True),
    ("size", frozenset((2, 3)), _USUAL_SIZE, False),
    ("trades_before", frozenset((2, 3)), _TRADE_LIMIT, True),
)


def rule_of(parts: Parts) -> Rule:
    """The rule that a losing kind of trades suggests."""
    if len(parts) == 1:
        (name, words), *_ = parts
        for feature, places, advice, avoids in _SPECIAL:
            if name == feature and REGISTRY[name].words.index(words) in places:
                return Rule(advice, advice.suggestion, avoids)
    text = "Take no new trade {words} until its record is better than break-even."
    names = {feature.name: feature.group for feature in REGISTRY}
    advice = Advice(
        STAND_ASIDE,
        _AREAS.get(names.get(parts[0][0], ""), "entry"),
        scope_of(parts),
        text.format(words=" ".join(words for _, words in parts)),
        "expectancy_r",
        "",
    )
    return Rule(advice, text, avoids=True)


def effort_of(kind: str) -> str:
    """low: a setting; medium: a habit; high: new data or new rules."""
    return _EFFORT.get(kind, "medium")


def worth_of(statistics: Mapping[str, Any], hours: float | None = None) -> Worth | None:
    """What standing aside from the pattern's trades saves a month; None where that is not known,
    or where such trades are not expected to lose."""
    expected, pace = statistics["expected_r"], statistics["per_month"]
    if expected is None or pace is None or expected >= 0:
        return None
    low, high = statistics["expected_low"], statistics["expected_high"]
    spread = (high - low) / (2 * 1.96)
    month = -expected * pace
    return Worth(
        month,
        -high * pace,
        -low * pace,
        int(100 * float(ndtr(-expected / spread))) if spread > 0 else 100,
        month / hours if hours else None,
    )
