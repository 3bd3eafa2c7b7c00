"""Writing one case of a batch as a portable case, and a label as JSON.

Prices come out as the floats nearest to their exact decimals, so that reading them back gives the
same half-points; times are exact to the microsecond. `parse_case(dump_case(...))` replays to the
same label, and with enough bars before the entry to the same findings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from trading.core.candles import F64, I64, QUOTE_COLUMNS, Candles
from trading.core.types import NS_PER_DAY, NS_PER_SECOND, timeframe_name
from trading.core.units import to_prices

from .portable_words import (
    ENTRY_KINDS,
    EXIT_REASONS,
    IMPACTS,
    SCHEMA,
    SCORE_SEMANTICS,
    SIDES,
    STRATEGY_KINDS,
    word,
)
from .resolution import inside, places
from .types import NO_TIME, SETUPS, CaseBatch, Flag, Labels, Market, Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_MICROSECOND = 1000


def label_json(labels: Labels, i: int) -> dict[str, object]:
    """The label of one case as the answer of `diagnose` has it."""
    exit_time = int(labels.exit_time[i])
    return {
        "outcome": Outcome(int(labels.outcome[i])).name.lower(),
        "exit_time": None if exit_time == NO_TIME else iso(exit_time),
        "exit_price": _known(labels.exit_price[i]),
        "r_multiple": _known(labels.r[i]),
        "mfe_r": _known(labels.mfe_r[i]),
        "mae_r": _known(labels.mae_r[i]),
        "ambiguous": bool(labels.flags[i] & Flag.AMBIGUOUS),
    }


def dump_case(
    batch: CaseBatch,
    i: int,
    *,
    id: str,
    start: int | None = None,
    strategy: str = "",
    model_version: str | None = None,
    signal_time: int | None = None,
    signal_entry: float | None = None,
    finer: I64 | None = None,
) -> dict[str, Any]:
    """Case i as `inquest.case/1`, with bars from `start` (ns, default all) to past its end.

    `signal_time` and `signal_entry` are the signal's own where the case is a trade; without them
    the trade's requested entry and time stand in, which its label does not read. `finer` are the
    opens (ns) of the bars whose finer bars come along, by default all that the batch has.
    """
    market = batch.market
    cut = _cut(batch, i, start)
    return {
        "schema": SCHEMA,
        "id": id,
        "symbol": market.symbol,
        "point": float(market.point),
        "pip": float(market.pip),
        "horizon": batch.horizon[i],
        "timeframe": timeframe_name(market.bar_ns),
        "signal_timeframe": timeframe_name(int(batch.setup_bar_ns[i])),
        "kind": market.kind,
        "currencies": list(market.currencies),
        "strategy": strategy,
        "strategy_kind": word(STRATEGY_KINDS, int(batch.strategy_kind[i])),
        "rule": _rule(batch, i),
        "flags": flag_names(int(batch.extra_flags[i])),
        "candles": _candles(market.candles.rows(cut), market.point),
        **_finer(batch.market, finer),
        **_coverage(batch, i),
        "signal": _signal(batch, i, signal_time, signal_entry, model_version),
        "trade": _trade(batch, i) if batch.executed[i] else None,
        **_feeds(market, cut),
        **_histories(batch, i),
    }


def flag_names(bits: int) -> list[str]:
    return [str(flag.name).lower() for flag in Flag if bits & flag]


def iso(ns: int) -> str:
    """ISO 8601 with a Z, to the second where it is whole."""
    seconds, rest = divmod(ns, NS_PER_SECOND)
    moment = _EPOCH + timedelta(seconds=seconds, microseconds=rest // _NS_PER_MICROSECOND)
    return moment.isoformat().replace("+00:00", "Z")


def _known(value: float) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _column(values: F64) -> list[float | None]:
    return [_known(value) for value in values]


def _cut(batch: CaseBatch, i: int, start: int | None) -> slice:
    """Bars from `start` to one beyond the end of the case, so that the end stays passed."""
    time = batch.market.candles.time
    end = int(batch.fill_exit_time[i] if batch.is_trade[i] else batch.end_time[i])
    first = 0 if start is None else int(np.searchsorted(time, start))
    last = len(time) if end == NO_TIME else int(np.searchsorted(time, end, side="right")) + 1
    return slice(first, max(first, min(last, len(time))))


def _candles(bars: Candles, point: Decimal) -> dict[str, Any]:
    def prices(column: I64) -> list[float]:
        result: list[float] = to_prices(column, point).tolist()
        return result

    out: dict[str, Any] = {"time": (bars.time // NS_PER_SECOND).tolist()}
    out |= {name: prices(getattr(bars, name)) for name in ("open", "high", "low", "close")}
    unknown = bars.volume is None or bool(np.isnan(bars.volume).all())
    out["volume"] = None if unknown else _column(bars.known_volume())
    out["spread"] = None if bars.spread is None else prices(bars.spread)
    if bars.quotes is not None:
        out |= {name: prices(getattr(bars.quotes, name)) for name in QUOTE_COLUMNS}
    return out


def _finer(market: Market, wanted: I64 | None) -> dict[str, Any]:
    """The key only where there are finer bars: most cases leave nothing open."""
    out = []
    for finer in market.finer:
        starts, stops = inside(finer)
        opens = finer.opens if wanted is None else wanted
        at = np.unique(places(finer, opens))
        at = at[at >= 0]
        if not at.size:
            continue
        bars = np.concatenate([np.arange(starts[k], stops[k]) for k in at.tolist()])
        out.append(
            {
                "timeframe": timeframe_name(finer.bar_ns),
                "point": float(finer.point),
                "bars": (finer.opens[at] // NS_PER_SECOND).tolist(),
                "candles": _candles(finer.candles.rows(bars), finer.point),
            }
        )
    return {"finer": out} if out else {}


def _coverage(batch: CaseBatch, i: int) -> dict[str, float]:
    """The key only where it is known of a market whose hours are not."""
    share = None if batch.seen_coverage is None else _known(batch.seen_coverage[i])
    return {} if share is None else {"coverage": share}


def _rule(batch: CaseBatch, i: int) -> dict[str, float | None]:
    band = _known(batch.neutral_r[i])
    pips = None if band is not None else _known(batch.neutral_price[i] / float(batch.market.pip))
    return {"neutral_band_r": band, "neutral_band_pips": pips}


def _signal(
    batch: CaseBatch, i: int, time: int | None, entry: float | None, version: str | None
) -> dict[str, Any]:
    planned = _known(batch.requested_entry[i]) if batch.is_trade[i] else None
    stand_in = float(batch.entry_price[i]) if planned is None else planned
    bits = int(batch.claimed_setups[i])
    claimed = None if bits < 0 else [name for k, name in enumerate(SETUPS) if bits >> k & 1]
    return {
        "time": iso(int(batch.entry_time[i]) if time is None else time),
        "side": word(SIDES, int(batch.side[i])),
        "entry": stand_in if entry is None else entry,
        "entry_kind": word(ENTRY_KINDS, int(batch.entry_kind[i])),
        "stop_loss": _known(batch.stop_price[i]),
        "take_profit": _known(batch.target_price[i]),
        "score": _known(batch.score[i]),
        "score_semantics": _semantics(int(batch.score_semantics[i])),
        "min_score": _known(batch.min_score[i]),
        "model_version": version,
        "claimed_setups": claimed,
    }


def _semantics(value: int) -> str | None:
    name = word(SCORE_SEMANTICS, value)
    return None if name == "unknown" else name


def _trade(batch: CaseBatch, i: int) -> dict[str, Any]:
    left = int(batch.fill_exit_time[i])
    on_plan = int(batch.on_plan[i])
    reason = word(EXIT_REASONS, int(batch.file_exit_reason[i]))
    return {
        "requested_entry": _known(batch.requested_entry[i]),
        "entry": float(batch.fill_entry[i]),
        "entry_time": iso(int(batch.fill_entry_time[i])),
        "requested_exit": _known(batch.requested_exit[i]),
        "exit": _known(batch.fill_exit[i]),
        "exit_time": None if left == NO_TIME else iso(left),
        "exit_reason": None if reason == "none" else reason,
        "quantity": _known(batch.quantity[i]),
        "stop_loss_initial": _known(batch.stop_initial[i]),
        "stop_loss_final": _known(batch.stop_final[i]),
        "commission": _known(batch.commission[i]),
        "swap": _known(batch.swap[i]),
        "on_plan": None if on_plan < 0 else bool(on_plan),
    }


def _feeds(market: Market, cut: slice) -> dict[str, Any]:
    return {
        **_news(market, cut),
        "peers": None
        if market.peers is None
        else [
            {"symbol": peer.symbol, "sign": peer.sign, "close": _column(peer.close[cut])}
            for peer in market.peers
        ],
        "outages": None
        if market.outages is None
        else [
            {"start": iso(start), "end": iso(end), "what": what}
            for start, end, what in zip(
                market.outages.start.tolist(),
                market.outages.end.tolist(),
                market.outages.what,
                strict=True,
            )
        ],
    }


def _news(market: Market, cut: slice) -> dict[str, Any]:
    """Releases and covered spans within a day of the bars written."""
    news, bars = market.news, market.candles.time[cut]
    if news is None:
        return {"news": None, "news_coverage": None}
    start, end = (bars[0] - NS_PER_DAY, bars[-1] + NS_PER_DAY) if bars.size else (0, 0)
    rows = range(*np.searchsorted(news.time, (start, end)).tolist())
    spans = np.clip(np.column_stack([news.covered_from, news.covered_to]), start, end)
    return {
        "news": [
            {
                "time": iso(int(news.time[k])),
                "currency": news.currency[k],
                "impact": word(IMPACTS, int(news.impact[k])),
                "title": news.title[k],
                "surprise_z": _known(news.surprise_z[k]),
                "key": int(news.key[k]),
            }
            for k in rows
        ],
        "news_coverage": [[iso(a), iso(b)] for a, b in spans.tolist() if a < b],
    }


def _histories(batch: CaseBatch, i: int) -> dict[str, Any]:
    def rows(pool: Any, one: Any) -> list[Mapping[str, Any]] | None:
        start, stop = int(pool.start[i]), int(pool.stop[i])
        return None if start < 0 else [one(pool, k) for k in range(start, stop)]

    return {
        "model_history": rows(
            batch.model_history,
            lambda pool, k: {"score": _known(pool.score[k]), "won": bool(pool.won[k])},
        ),
        "setup_history": rows(
            batch.setup_history,
            lambda pool, k: {
                "setup": SETUPS[int(pool.setup[k])],
                "won": bool(pool.won[k]),
                "reward_risk": _known(pool.reward_risk[k]),
            },
        ),
        "trade_log": rows(
            batch.trade_log,
            lambda pool, k: {
                "exit_time": iso(int(pool.exit_time[k])),
                "r": _known(pool.r[k]),
                "quantity": _known(pool.quantity[k]),
            },
        ),
    }
