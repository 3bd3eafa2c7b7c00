"""The same cases with a feed missing: the one that decides, or one that does not matter."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from .truth import Sample

# The feed without which a cause cannot be told. Drift and volatility show in the candles; a
# widened stop shows in the trade itself.
DECISIVE = {
    "news_shock": "news",
    "liquidity_event": "volume",
    "external_shock": "peers",
    "spread_slippage": "fills",
    "model_error": "model_history",
    "detector_misid": "claimed_setups",
    "false_positive": "setup_history",
    "user_psychology": "trade_log",
}
_SUBTYPE_FEED = {"outage": "outages", "stop_widened": "", "taken_below_threshold": ""}
FEEDS = ("news", "peers", "outages", "model_history", "setup_history", "trade_log", "volume")
# Feeds a cause is told by, or told apart from another: these are never "irrelevant" to it.
_RELEVANT = {
    "news_shock": ("news",),
    "liquidity_event": ("volume", "news"),
    "external_shock": ("peers", "outages", "news", "volume"),
    "spread_slippage": ("volume",),
    "model_error": ("model_history",),
    "false_positive": ("setup_history",),
    "user_psychology": ("trade_log",),
}


def decisive_feed(sample: Sample) -> str:
    """The feed that tells the only planted cause of this case; empty where none does alone."""
    if sample.truth.kind != "plain":
        return ""
    if sample.truth.subtype in _SUBTYPE_FEED:
        return _SUBTYPE_FEED[sample.truth.subtype]
    return DECISIVE.get(sample.truth.cause, "")


def blind(sample: Sample) -> Sample | None:
    """The case without the feed that decides: the true answer is then `unknown`."""
    feed = decisive_feed(sample)
    return without(sample, feed, "blind") if feed else None


def irrelevant(sample: Sample, draw: int) -> Sample:
    """The case without one feed that says nothing about its causes; `draw` picks which."""
    needed = {feed for cause in sample.truth.planted for feed in _RELEVANT.get(cause, ())}
    options = [feed for feed in FEEDS if feed not in needed]
    if sample.case["horizon"] != "TRADE" and not _of_the_trade(sample):
        options.append("trade")
    rng = np.random.default_rng((72, draw))
    return without(sample, str(rng.choice(options)), "irrelevant")


def _of_the_trade(sample: Sample) -> bool:
    """Whether a cause lies in how the trade was made."""
    return bool({"spread_slippage", "user_psychology"} & set(sample.truth.planted))


def without(sample: Sample, feed: str, kind: str) -> Sample:
    case = _without_feed(sample.case, feed)
    case["id"] = f"{case['id']}-{kind[0]}"
    truth = replace(sample.truth, id=case["id"], kind=kind, removed=feed)
    if kind == "blind":
        truth = replace(truth, cause="unknown")
    return Sample(case, truth)


def _without_feed(case: dict[str, Any], feed: str) -> dict[str, Any]:
    result = dict(case)
    if feed == "volume":  # quoted spreads would tell of thin trading too
        result["candles"] = {**case["candles"], "volume": None, "spread": None}
    elif feed == "claimed_setups":
        result["signal"] = {**case["signal"], "claimed_setups": None}
    elif feed == "fills":
        result["candles"] = {**case["candles"], "spread": None}
        unknown = ("requested_entry", "requested_exit", "commission", "swap")
        result["trade"] = {**case["trade"], **dict.fromkeys(unknown)}
    else:
        result[feed] = None
    return copy.copy(result)
