"""Portable cases: what is read, what is refused, and that writing loses nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from post_mortem.core.labeler import label
from post_mortem.core.portable import dump_case, label_json, parse_case, read_case
from post_mortem.core.portable_market import peer_sign
from post_mortem.core.replay import replay
from post_mortem.core.setups import LOOKBACK_BARS, verify
from post_mortem.core.types import (
    NO_STOP,
    NO_TIME,
    SETUPS,
    CaseBatch,
    Flag,
    Labels,
    Market,
    News,
    Outages,
    Peer,
    SetupView,
)
from tests.core.cases import MINUTE, at, batch, market
from tests.core.test_replay import random_candles, random_row
from trading.core.aggregate import aggregate
from trading.core.errors import UserError
from trading.core.types import HORIZON_NS, NS_PER_DAY, NS_PER_SECOND

START = 1_709_510_400  # 2024-03-04 00:00 UTC


def example() -> dict[str, Any]:
    """A long of five 5-minute bars around 1.1 that reaches its target in the third."""
    return {
        "schema": "inquest.case/1",
        "id": "a",
        "symbol": "EURUSD",
        "point": 0.00001,
        "pip": 0.0001,
        "horizon": "1H",
        "timeframe": "5m",
        "strategy": "swing",
        "strategy_kind": "trend",
        "candles": {
            "time": [START + 300 * i for i in range(12)],
            "open": [1.1] * 12,
            "high": [1.1005] * 2 + [1.102] + [1.1005] * 9,
            "low": [1.0995] * 12,
            "close": [1.1] * 12,
            "volume": [10] * 12,
            "spread": [0.00002] * 12,
        },
        "signal": {
            "time": "2024-03-04T00:00:00Z",
            "side": "long",
            "entry": 1.1,
            "stop_loss": 1.099,
            "take_profit": 1.102,
            "score": 71,
            "score_semantics": "probability",
            "min_score": 55,
            "model_version": "m1",
            "claimed_setups": ["bos", "fvg"],
        },
        "trade": None,
        "news": None,
        "peers": None,
        "outages": None,
        "model_history": None,
        "setup_history": None,
        "trade_log": None,
    }


def a_trade() -> dict[str, Any]:
    return {
        "requested_entry": 1.1,
        "entry": 1.10002,
        "entry_time": "2024-03-04T00:00:12+00:00",
        "requested_exit": None,
        "exit": 1.1004,
        "exit_time": "2024-03-04T00:31:00+00:00",
        "exit_reason": "manual",
        "quantity": 10000,
        "stop_loss_initial": 1.099,
        "stop_loss_final": 1.0985,
        "commission": 0.7,
        "swap": None,
        "on_plan": True,
    }


def labelled(one: CaseBatch) -> Labels:
    return label(one, replay(one))


def changed(**top: Any) -> dict[str, Any]:
    return example() | top


def test_an_example() -> None:
    one = parse_case(example())
    assert label_json(labelled(one), 0) == {
        "outcome": "succeeded",
        "exit_time": "2024-03-04T00:10:00Z",
        "exit_price": 1.102,
        "r_multiple": 2.0,
        "mfe_r": 2.0,
        "mae_r": 0.5,
        "ambiguous": False,
    }
    assert one.market.kind == "fx"
    assert one.market.currencies == ("EUR", "USD")
    assert one.claimed_setups.tolist() == [0b101]
    assert (one.score[0], one.min_score[0], one.score_semantics[0]) == (71, 55, 1)
    assert one.market.candles.spread is not None
    assert one.market.candles.spread.tolist() == [4] * 12
    assert one.market.news is None
    assert one.market.peers is None
    assert one.model_history.start.tolist() == [-1]


def test_a_label_without_numbers_has_nulls() -> None:
    case = example()
    case["candles"] = {name: column[:4] for name, column in case["candles"].items()}
    answer = label_json(labelled(parse_case(case)), 0)
    assert answer["outcome"] == "pending"
    names = ("exit_time", "exit_price", "r_multiple", "mfe_r", "mae_r")
    assert [answer[name] for name in names] == [None] * 5


def test_a_trade() -> None:
    one = parse_case(changed(horizon="TRADE", trade=a_trade()))
    assert one.is_trade.tolist() == [True]
    assert one.entry_price.tolist() == [1.10002]
    assert one.on_plan.tolist() == [1]
    labels = labelled(one)
    # (1.1004 - 1.10002 - 0.7 / 10000) / 0.001
    assert labels.r[0] == pytest.approx(0.31)
    assert Flag(int(labels.flags[0])) == Flag.STOP_MOVED


def test_an_open_trade() -> None:
    trade = a_trade() | {"exit": None, "exit_time": None, "exit_reason": None}
    one = parse_case(changed(horizon="TRADE", trade=trade))
    assert one.fill_exit_time.tolist() == [NO_TIME]
    assert label_json(labelled(one), 0)["outcome"] == "pending"


def test_an_executed_signal_is_judged_by_the_signal() -> None:
    one = parse_case(changed(trade=a_trade()))
    assert one.executed.tolist() == [True]
    assert one.fill_entry.tolist() == [1.10002]
    assert one.entry_price.tolist() == [1.1]
    assert label_json(labelled(one), 0)["outcome"] == "succeeded"


def test_missing_and_empty_feeds_differ() -> None:
    empty = parse_case(
        changed(news=[], peers=[], outages=[], model_history=[], setup_history=[], trade_log=[])
    )
    assert empty.market.news is not None
    assert empty.market.news.time.size == 0
    assert empty.market.news.covered_from.tolist() == [(START * NS_PER_SECOND) - NS_PER_DAY]
    assert empty.market.peers == ()
    assert empty.market.outages is not None
    pools = (empty.model_history, empty.setup_history, empty.trade_log)
    assert [(pool.start[0], pool.stop[0]) for pool in pools] == [(0, 0)] * 3
    without = example()
    for name in ("news", "peers", "outages", "model_history", "setup_history", "trade_log"):
        del without[name]
    assert parse_case(without).market.news is None


def test_words_that_decide_nothing_may_be_left_out() -> None:
    stamp = "2024-03-04T00:00:00Z"
    release = {"time": stamp, "currency": "USD", "impact": "high"}
    one = parse_case(
        changed(
            news=[release, release | {"title": None}],
            outages=[{"start": stamp, "end": stamp}],
            peers=[{"symbol": " ^VIX", "close": [1.0] * 12}],
            trade=a_trade() | {"exit_reason": "null"},
        )
    )
    assert one.market.news is not None
    assert one.market.news.title == ("", "")
    assert one.market.outages is not None
    assert one.market.outages.what == ("",)
    assert one.market.peers is not None
    assert [(peer.symbol, peer.sign) for peer in one.market.peers] == [("^VIX", 1)]
    assert one.file_exit_reason.tolist() == [0]


def test_unknown_claims_and_none() -> None:
    case = example()
    case["signal"]["claimed_setups"] = None
    assert parse_case(case).claimed_setups.tolist() == [-1]
    case["signal"]["claimed_setups"] = []
    assert parse_case(case).claimed_setups.tolist() == [0]


def test_feeds() -> None:
    case = changed(
        news=[
            {"time": "2024-03-04T13:30:00Z", "currency": "USD", "impact": "high", "title": "B"},
            {"time": "2024-03-04T10:00:00+01:00", "currency": "EUR", "impact": "low", "title": "A"},
        ],
        peers=[{"symbol": "usd_jpy", "close": [150.0, None] * 6}],
        outages=[{"start": "2024-03-04T01:00:00Z", "end": "2024-03-04T02:00:00Z", "what": "feed"}],
        model_history=[{"score": 70, "won": True}, {"score": 40.5, "won": False}],
        setup_history=[{"setup": "fvg", "won": True, "reward_risk": None}],
        trade_log=[
            {"exit_time": "2024-03-04T09:00:00Z", "r": 1.0, "quantity": 1},
            {"exit_time": "2024-03-03T09:00:00Z", "r": -1.0, "quantity": 2},
        ],
    )
    one = parse_case(case)
    news = one.market.news
    assert news is not None
    assert news.title == ("A", "B")
    assert news.time.tolist() == [(START + 9 * 3600) * 10**9, (START + 48_600) * 10**9]
    assert news.impact.tolist() == [0, 2]
    assert np.isnan(news.surprise_z).all()
    assert one.market.peers is not None
    (peer,) = one.market.peers
    assert (peer.symbol, peer.sign) == ("USDJPY", -1)
    assert np.isnan(peer.close[1])
    assert one.model_history.score.tolist() == [70, 40.5]
    assert one.setup_history.setup.tolist() == [SETUPS.index("fvg")]
    # A trade that closed after the entry is not of the past.
    assert one.trade_log.r.tolist() == [-1.0]


@pytest.mark.parametrize(
    ("symbol", "peer", "sign"),
    [
        ("EURUSD", "GBPUSD", 1),
        ("EURUSD", "USDJPY", -1),
        ("EURUSD", "EURJPY", 1),
        ("XAUUSD", "EURUSD", 1),
        ("BTC/USDT", "ETH/USDT", 1),
        ("US500", "NAS100", 1),
        ("EURUSD", "US500", 1),
    ],
)
def test_peer_signs(symbol: str, peer: str, sign: int) -> None:
    assert peer_sign(symbol, peer) == sign


def test_a_rule_fills_in_what_the_signal_lacks() -> None:
    case = example()
    case["signal"] |= {"stop_loss": None, "take_profit": None, "min_score": None}
    case["rule"] = {"fail_sl_pips": 10, "success_rr_ratio": 2, "min_score": 80}
    one = parse_case(case)
    assert one.stop_price[0] == pytest.approx(1.099)
    assert one.target_price[0] == pytest.approx(1.102)
    assert one.stop.tolist() == [219_800]
    assert label_json(labelled(one), 0)["outcome"] == "filtered_out"


def test_a_coarser_signal_timeframe_is_aggregated() -> None:
    one = parse_case(changed(signal_timeframe="15m"))
    (view,) = one.setup_views
    assert view.bar_ns == one.setup_bar_ns[0] == 15 * MINUTE
    assert view.candles.high.tolist() == [220_400, 220_100, 220_100, 220_100]


def test_both_sides_of_the_book() -> None:
    case = example()
    for name in ("open", "high", "low", "close"):
        middle = case["candles"][name]
        case["candles"]["bid_" + name] = [round(price - 0.00001, 5) for price in middle]
        case["candles"]["ask_" + name] = [round(price + 0.00001, 5) for price in middle]
    one = parse_case(case)
    assert one.market.candles.quotes is not None
    assert one.market.candles.close.tolist() == [220_000] * 12
    # The bid stops a point short of the target.
    assert label_json(labelled(one), 0)["outcome"] == "neutral"


def test_a_fill_outside_its_candle() -> None:
    case = changed(horizon="TRADE", trade=a_trade() | {"entry": 1.1006, "exit": 1.0994})
    one = parse_case(case)
    assert Flag(int(one.extra_flags[0])) == Flag.ENTRY_OUTSIDE_CANDLE | Flag.EXIT_OUTSIDE_CANDLE
    wrong = parse_case(changed(horizon="TRADE", trade=a_trade() | {"exit": 1.2}))
    assert Flag(int(wrong.extra_flags[0])) == Flag.EXIT_OUTSIDE_CANDLE | Flag.FAR_OUTSIDE_CANDLE
    inside = parse_case(changed(horizon="TRADE", trade=a_trade() | {"exit": 1.0995}))
    assert inside.extra_flags.tolist() == [0]


# --- refusals ------------------------------------------------------------------------------------


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(case: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            case = case[name]
        if value is ...:
            del case[last]
        else:
            case[last] = value

    return change


TWELVE = [1.1] * 12
REFUSED: list[tuple[Callable[[dict[str, Any]], None], str, str]] = [
    (put("schema", "inquest.case/2"), "schema", "schema"),
    (put("schema", ...), "missing_field", "schema"),
    (put("candles", ...), "missing_field", "candles"),
    (put("candles", []), "bad_type", "candles"),
    (put("candles.high", ...), "missing_field", "candles.high"),
    (put("candles.high", TWELVE[1:]), "length", "candles.high"),
    (put("candles.high", "1.1"), "bad_type", "candles.high"),
    (put("candles.high", [*TWELVE[1:], None]), "bad_number", "candles.high[11]"),
    (put("candles.low", [*TWELVE[1:], float("nan")]), "not_finite", "candles.low[11]"),
    (put("candles.low", [*TWELVE[1:], 10**400]), "not_finite", "candles.low[11]"),
    (put("candles.low", [True, *TWELVE[1:]]), "bad_number", "candles.low[0]"),
    (put("candles.low", ["1.1", *TWELVE[1:]]), "bad_number", "candles.low[0]"),
    (put("candles.low", [1.2, *TWELVE[1:]]), "ohlc_inconsistent", "candles.high[0]"),
    (put("candles.close", [1.100003, *TWELVE[1:]]), "precision", "candles.close[0]"),
    (
        put("peers", [{"symbol": "GBPUSD", "close": [1, None, float("nan"), *TWELVE[3:]]}]),
        "not_finite",
        "peers[0].close[2]",
    ),
    (
        put("peers", [{"symbol": "GBPUSD", "close": [10**400, None, *TWELVE[2:]]}]),
        "not_finite",
        "peers[0].close[0]",
    ),
    (put("candles.time", [0] * 12), "time_order", "candles.time[1]"),
    (put("candles.time", [0.5, *range(1, 12)]), "timestamp_unit", "candles.time[0]"),
    (put("candles.time", [1e300, *range(1, 12)]), "timestamp_unit", "candles.time[0]"),
    (put("candles.volume", [-1] * 12), "bad_volume", "candles.volume"),
    (put("point", 0), "not_positive", "point"),
    (put("pip", "0.1"), "bad_number", "pip"),
    (put("symbol", "=cmd|'/c calc'!A1"), "bad_symbol", "symbol"),
    (put("horizon", "1h"), "horizon", "horizon"),
    (put("horizon", "TRADE"), "missing_field", "trade"),
    (put("timeframe", "5"), "timeframe", "timeframe"),
    (put("signal_timeframe", "7m"), "timeframe", "signal_timeframe"),
    (put("strategy_kind", "scalp"), "choice", "strategy_kind"),
    (put("kind", "stock"), "choice", "kind"),
    (put("signal", None), "missing_field", "signal"),
    (put("signal.side", "LONGG"), "choice", "signal.side"),
    (put("signal.side", None), "missing_field", "signal.side"),
    (put("signal.time", "yesterday"), "bad_time", "signal.time"),
    (put("signal.time", 1_709_510_400), "bad_time", "signal.time"),
    (put("signal.time", "1600-01-01T00:00:00Z"), "out_of_range", "signal.time"),
    (put("coverage", 1.5), "out_of_range", "coverage"),
    (put("signal.entry", float("inf")), "not_finite", "signal.entry"),
    (put("signal.claimed_setups", ["bos", "moon"]), "choice", "signal.claimed_setups[1]"),
    (put("signal.claimed_setups", "bos"), "bad_type", "signal.claimed_setups"),
    (put("trade", a_trade() | {"quantity": 0}), "quantity", "trade.quantity"),
    (put("trade", a_trade() | {"exit": None}), "missing_field", "trade.exit"),
    (put("trade", a_trade() | {"exit_reason": "luck"}), "choice", "trade.exit_reason"),
    (put("trade", a_trade() | {"on_plan": "yes"}), "bad_type", "trade.on_plan"),
    (
        put("trade", a_trade() | {"exit_time": "2024-03-03T00:00:00Z"}),
        "time_order",
        "trade.exit_time",
    ),
    (put("news", [{"time": "2024-03-04T00:00:00Z"}]), "missing_field", "news[0].impact"),
    (put("news", {}), "bad_type", "news"),
    (put("peers", [{"symbol": "GBPUSD", "close": [1.0]}]), "length", "peers[0].close"),
    (put("peers", [{"symbol": "GBPUSD", "close": TWELVE, "sign": 2}]), "choice", "peers[0].sign"),
    (
        put("outages", [{"start": "2024-03-04T02:00:00Z", "end": "2024-03-04T01:00:00Z"}]),
        "time_order",
        "outages[0].end",
    ),
    (put("model_history", [{"score": 1, "won": 1}]), "bad_type", "model_history[0].won"),
    (put("setup_history", [{"setup": "moon", "won": True}]), "choice", "setup_history[0].setup"),
    (put("trade_log", [7]), "bad_type", "trade_log[0]"),
    (put("rule", {"stop": 3}), "choice", "rule.stop"),
    (put("flags", ["odd"]), "choice", "flags[0]"),
]


@pytest.mark.parametrize(
    ("change", "code", "field"), [pytest.param(*row, id=f"{row[2]}-{row[1]}") for row in REFUSED]
)
def test_refusals_name_the_field(
    change: Callable[[dict[str, Any]], None], code: str, field: str
) -> None:
    case = copy.deepcopy(example())
    change(case)
    with pytest.raises(UserError) as error:
        parse_case(case)
    assert (error.value.code, error.value.field) == (code, field)


@pytest.mark.parametrize("case", [[], None, "x", 3])
def test_a_case_is_an_object(case: Any) -> None:
    with pytest.raises(UserError):
        parse_case(case)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        ("[]", "bad_type"),
        ("[" * 100_000, "malformed_json"),
        ('{"schema": NaN}', "not_finite"),
        ('{"id": 1, "id": 2}', "duplicate_key"),
        (b"\xff\xfe{}", "malformed_json"),
    ],
)
def test_text_that_is_no_case(text: str, code: str) -> None:
    with pytest.raises(UserError) as error:
        read_case(text)
    assert error.value.code == code


def test_decimal_text_is_kept() -> None:
    text = json.dumps(example()).replace('"point": 1e-05', '"point": 0.00001')
    one = read_case(text)
    assert one.market.point == Decimal("0.00001")
    same(labelled(one), labelled(parse_case(example())), 0, 0)


# --- round trips ---------------------------------------------------------------------------------


def same(a: Labels, b: Labels, i: int, j: int) -> None:
    for name in Labels.__slots__:
        np.testing.assert_array_equal(getattr(a, name)[i], getattr(b, name)[j], name)


def through_text(case: dict[str, Any]) -> CaseBatch:
    return read_case(json.dumps(case, allow_nan=False))


def a_row(rng: np.random.Generator, where: Market, n: int, **fields: Any) -> dict[str, Any]:
    """A random row whose end is that of a named horizon, as the format can only say those."""
    row = random_row(rng, where, n)
    if fields or not row["is_trade"]:
        horizon = str(rng.choice(["1H", "4H"]))
        row |= {"is_trade": False, "executed": False, "horizon": horizon} | fields
        row["end_time"] = row["entry_time"] + HORIZON_NS[horizon]
    return row


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_writing_and_reading_gives_the_same_label(seed: int, quotes: bool) -> None:
    rng = np.random.default_rng(seed)
    where = market(random_candles(rng, 400, step=3, quotes=quotes))
    many = batch(where, *(a_row(rng, where, 400) for _ in range(6)))
    labels = labelled(many)
    for i in range(len(many)):
        entry = int(many.entry_time[i])
        for start in (None, entry - 60 * MINUTE):
            again = through_text(dump_case(many, i, id=str(i), start=start))
            same(labels, labelled(again), i, 0)


def test_writing_and_reading_keeps_every_field() -> None:
    rng = np.random.default_rng(4)
    bars = random_candles(rng, 3000, step=3, quotes=False)
    bars = replace(bars, volume=rng.random(len(bars)), spread=rng.integers(1, 9, len(bars)))
    where = market(
        bars,
        symbol="EURUSD",
        currencies=("EUR", "USD"),
        news=News(
            np.array([at(30), at(40)]),
            np.array([2, 0], np.int8),
            np.array([1.5, np.nan]),
            ("USD", "EUR"),
            ("Payrolls", "Speech"),
            np.array([71, 72]),
            np.array([at(0)]),
            np.array([at(2000)]),
        ),
        peers=(Peer("USDJPY", rng.random(len(bars)), -1),),
        outages=Outages(np.array([at(5)]), np.array([at(9)]), ("broker",)),
    )
    row = a_row(
        rng,
        where,
        3000,
        entry_time=at(2700),
        score=61.5,
        min_score=50.0,
        score_semantics=2,
        strategy_kind=2,
        claimed_setups=0b10010,
        setup_bar_ns=5 * MINUTE,
        extra_flags=int(Flag.ENTRY_OUTSIDE_CANDLE),
        executed=True,
        fill_entry=1000.5,
        fill_entry_time=at(2700.5),
        fill_exit=1001.0,
        fill_exit_time=at(2760),
        file_exit_reason=4,
        quantity=3.0,
        requested_entry=1000.0,
        stop_initial=990.0,
        stop_final=991.0,
        commission=0.25,
        swap=-0.5,
        on_plan=0,
    )
    view = SetupView(5 * MINUTE, aggregate(bars, 5 * MINUTE, MINUTE))
    one = batch(where, row, views=(view,))
    again = through_text(dump_case(one, 0, id="x"))
    for name in CaseBatch.__slots__:
        value = getattr(one, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(again, name), name)
    there = again.market
    assert there.news is not None
    assert there.peers is not None
    assert there.outages is not None
    assert where.news is not None
    for name in ("time", "impact", "surprise_z", "key", "covered_from", "covered_to"):
        np.testing.assert_array_equal(getattr(where.news, name), getattr(there.news, name), name)
    assert there.news.title == where.news.title
    assert there.peers[0].sign == -1
    assert where.peers is not None
    length = len(there.candles)
    np.testing.assert_array_equal(there.peers[0].close, where.peers[0].close[:length])
    assert there.outages.what == ("broker",)
    for name in ("time", "open", "high", "low", "close", "volume", "spread"):
        np.testing.assert_array_equal(getattr(bars, name)[:length], getattr(there.candles, name))


def test_a_cut_case_keeps_its_setups() -> None:
    """With LOOKBACK_BARS of the signal's timeframe before the entry, claims fare the same."""
    rng = np.random.default_rng(8)
    bars = random_candles(rng, 9000, step=3, quotes=False)
    where = market(bars)
    view = SetupView(5 * MINUTE, aggregate(bars, 5 * MINUTE, MINUTE))
    rows = [
        a_row(rng, where, 9000, entry_time=at(m), setup_bar_ns=5 * MINUTE, claimed_setups=63)
        for m in rng.integers(6000, 8700, 25)
    ]
    many = batch(where, *rows, views=(view,))
    whole = verify(view, many.side, many.entry_time, many.claimed_setups, many.end_time)
    assert whole.found.any()
    for i in range(len(many)):
        start = int(many.entry_time[i]) - (LOOKBACK_BARS + 60) * 5 * MINUTE
        again = through_text(dump_case(many, i, id="x", start=start))
        part = verify(
            again.setup_views[0],
            again.side,
            again.entry_time,
            again.claimed_setups,
            again.end_time,
        )
        for name in ("found", "found_lag", "wrong_side", "miss", "marginal", "repaint"):
            np.testing.assert_array_equal(getattr(whole, name)[i], getattr(part, name)[0], name)


def test_histories_go_along() -> None:
    one = parse_case(
        changed(
            model_history=[{"score": 70, "won": True}],
            setup_history=[{"setup": "fvg", "won": False, "reward_risk": 2.5}],
            trade_log=[{"exit_time": "2024-03-03T09:00:00Z", "r": None, "quantity": 2}],
        )
    )
    written = dump_case(one, 0, id="x")
    assert written["model_history"] == [{"score": 70.0, "won": True}]
    assert written["setup_history"] == [{"setup": "fvg", "won": False, "reward_risk": 2.5}]
    assert written["trade_log"] == [
        {"exit_time": "2024-03-03T09:00:00Z", "r": None, "quantity": 2.0}
    ]
    assert dump_case(parse_case(example()), 0, id="x")["model_history"] is None


def test_no_stop_stays_no_stop() -> None:
    case = example()
    case["signal"]["stop_loss"] = None
    again = through_text(dump_case(parse_case(case), 0, id="x"))
    assert again.stop.tolist() == [NO_STOP]
