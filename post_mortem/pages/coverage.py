"""What an audit could be checked with, and what a missing feed kept from being checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from post_mortem.core import display
from post_mortem.core.evidence import CauseView, Fact
from post_mortem.core.types import Flag
from post_mortem.selectors.trade_page import Judged

_FEEDS: Mapping[str, str] = {
    "spread": "Spread",
    "news": "News",
    "peers": "Related markets",
    "fills": "Fills",
    "volume": "Volume",
    "outages": "Outage log",
    "score": "Score",
    "claimed_setups": "Claimed setups",
    "model_history": "Scored history",
    "setup_history": "Setup history",
    "trade_log": "Trade history",
    "risk": "Initial risk",
    "bars_before": "Bars before entry",
    "bars_in_life": "Bars while open",
}
_WHY: Mapping[str, str] = {
    "news": "No calendar covers this time. That is not the same as no news.",
    "spread": "No spread series is stored.",
    "fills": "No requested and filled prices are known.",
    "volume": "No volume is stored.",
    "peers": "No related market is stored.",
    "outages": "No outage log is kept.",
    "score": "The signal has no score.",
    "model_history": "Too few earlier scored trades are known.",
    "setup_history": "Too few earlier trades of this setup are known.",
    "trade_log": "Too few earlier trades are known.",
    "claimed_setups": "It is not known which setup was claimed.",
    "bars_before": "Too few candles before the entry are stored.",
    "bars_in_life": "The trade was too short.",
    "risk": "No initial stop is known: sizes are in average ranges, not in R.",
}
# A history is looked up by what the signal itself has to say.
_RESTS_ON: Mapping[str, str] = {"model_history": "score", "setup_history": "claimed_setups"}
_IMPORTABLE = frozenset(("news", "spread", "peers", "volume", "bars_before"))


@dataclass(frozen=True, slots=True)
class Feed:
    name: str
    value: str
    why: str = ""
    importable: bool = False


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A cause that could not be checked, with the reason a feed at a time."""

    cause: str
    label: str
    reasons: tuple[str, ...]
    importable: bool
    mind: Fact | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """`feeds` are the candles and what was missing; `there` the names of what was not."""

    feeds: tuple[Feed, ...]
    there: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]


def coverage_of(judged: Judged) -> Coverage:
    views = judged.evidence.unchecked
    missing = {name for view in (*views, *judged.evidence.ranked) for name in view.missing}
    if judged.audit.flags & Flag.RISK_FROM_ATR:
        missing.add("risk")
    # Causes were asked only where something was ranked: otherwise nothing is known of the feeds.
    asked = _FEEDS if judged.evidence.ranked else {}
    absent = [_absent(name, title) for name, title in asked.items() if name in missing]
    return Coverage(
        feeds=(_candles(judged), *absent),
        there=tuple(
            title
            for name, title in asked.items()
            if name not in missing and _RESTS_ON.get(name) not in missing
        ),
        unchecked=tuple(_unchecked(view, judged.facts) for view in views),
    )


def _candles(judged: Judged) -> Feed:
    share = judged.audit.coverage
    if share is None:
        return Feed("Candles", "not known", "No candles judged this audit.", importable=True)
    name = judged.audit.series.timeframe if judged.audit.series else ""
    return Feed("Candles", f"{display.percent(share)} of {name} bars".replace("of  ", "of "))


def _absent(name: str, title: str) -> Feed:
    return Feed(title, "missing", _WHY[name], name in _IMPORTABLE)


def _unchecked(view: CauseView, facts: Mapping[str, Fact]) -> Unchecked:
    return Unchecked(
        view.cause,
        view.label,
        tuple(_WHY.get(name, name.replace("_", " ")) for name in view.missing),
        any(name in _IMPORTABLE for name in view.missing),
        facts.get(view.mind_id or ""),
    )
