"""Which trades advice covers, which broke it, and what cannot be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from post_mortem.core import advice, scope
from post_mortem.core.scope import NO, UNTOLD, YES, Releases, TradeColumns
from post_mortem.core.types import NO_TIME
from trading.core.errors import UserError
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

MONDAY = 19_786 * NS_PER_DAY  # 2024-03-04
SYMBOLS = ("EURUSD", "EURGBP", "XAUUSD", "NONAME")
STRATEGIES = ("", "Fade", "London open")
SETUPS: tuple[tuple[str, ...] | None, ...] = (None, (), ("breakout",), ("bos", "fvg"))
NO_RELEASES = Releases({}, {})


def columns(n: int, **given: Any) -> TradeColumns:
    """Trades an hour apart that each lasted half an hour."""
    opened = MONDAY + NS_PER_HOUR * np.arange(n, dtype=np.int64)
    plain: dict[str, Any] = {
        "opened": opened,
        "closed": opened + 30 * NS_PER_MINUTE,
        "side": np.ones(n, np.int8),
        "result": np.ones(n),
        "symbol": np.zeros(n, np.int64),
        "symbols": SYMBOLS,
        "strategy": np.zeros(n, np.int64),
        "strategies": STRATEGIES,
        "setups": np.zeros(n, np.int64),
        "setup_lists": SETUPS,
        "entry": np.full(n, 1.1),
        "stop_initial": np.full(n, 1.09),
        "stop_final": np.full(n, np.nan),
        "releases": NO_RELEASES,
    }
    return TradeColumns(**(plain | given))


def covered(kind: str, scoped: dict[str, str], trades: TradeColumns) -> list[int]:
    return scope.covers(kind, scoped, trades).tolist()


def broken(kind: str, scoped: dict[str, str], trades: TradeColumns) -> list[int]:
    found = scope.breaks(kind, scoped, trades)
    assert found is not None
    return found.tolist()


EVERY_KIND = {
    "news_blackout": {"currency": "USD", "impact": "high"},
    "regime_filter": {"strategy": "Fade"},
    "volatility_stop": {"symbol": "EURUSD"},
    "thin_market": {"symbol": "EURUSD"},
    "shock_plan": {},
    "execution_cost": {"symbol": "EURUSD"},
    "score_calibration": {"strategy": "Fade"},
    "confirm_setup": {"strategy": "Fade"},
    "pause_setup": {"setup": "breakout", "symbol": "EURUSD"},
    "loss_cooldown": {},
    "protect_gains": {"strategy": "Fade"},
    "never_widen_stop": {},
}


def kinds_of_advice() -> set[str]:
    """Every kind that `core.advice` can suggest, read from its rules."""
    made = {cell.cell_contents for rule in advice._BY_CAUSE.values() if rule.__closure__
            for cell in rule.__closure__ if isinstance(cell.cell_contents, str)}  # fmt: skip
    return {kind for kind in EVERY_KIND if kind in made} | {
        "news_blackout", "protect_gains", "never_widen_stop"
    }  # fmt: skip


def test_every_kind_of_advice_has_a_scope_and_a_sentence() -> None:
    assert kinds_of_advice() == set(EVERY_KIND)
    trades = columns(4)
    for kind, scoped in EVERY_KIND.items():
        assert set(covered(kind, scoped, trades)) <= {YES, NO, UNTOLD}
        assert scope.sentence(kind, scoped).endswith(".")
        assert scope.check(scoped) == scoped


@pytest.mark.parametrize(
    ("scoped", "expected"),
    [
        ({"symbol": "EURUSD"}, [1, 0, 0, 0]),
        ({"symbol": "any"}, [1, 1, 1, 1]),
        ({"strategy": "Fade"}, [0, 1, 0, 0]),
        ({"currency": "USD"}, [1, 0, 1, 0]),
        ({"side": "short"}, [0, 0, 0, 1]),
        ({"setup": "fvg+bos"}, [-1, 0, 0, 1]),
        ({"symbol": "EURUSD", "strategy": "Fade"}, [0, 0, 0, 0]),
        ({"hour": "2"}, [0, 0, 1, 0]),
        ({"weekday": "1"}, [1, 1, 1, 1]),
        ({"weekday": "2"}, [0, 0, 0, 0]),
        ({"session": "tokyo"}, [1, 1, 1, 1]),
        ({"session": "london"}, [0, 0, 0, 0]),
        ({"session": "none"}, [0, 0, 0, 0]),
        ({"moon": "full"}, [-1, -1, -1, -1]),
        # What one part rules out stays out whatever another part cannot tell.
        ({"setup": "breakout", "side": "short"}, [0, 0, 0, 0]),
    ],
)
def test_filters_cover_exactly_their_trades(scoped: dict[str, str], expected: list[int]) -> None:
    trades = columns(
        4,
        symbol=np.array([0, 1, 2, 3]),
        strategy=np.array([0, 1, 2, 2]),
        setups=np.array([0, 1, 2, 3]),
        side=np.array([1, 1, 1, -1], np.int8),
    )
    assert covered("shock_plan", scoped, trades) == expected


def test_a_rule_against_releases_shows_in_every_market_they_move() -> None:
    trades = columns(4, symbol=np.array([0, 1, 2, 3]))
    assert covered("news_blackout", EVERY_KIND["news_blackout"], trades) == [1, 0, 1, 0]


@pytest.mark.parametrize(("minutes", "expected"), [(-16, 0), (-15, 1), (0, 1), (15, 1), (16, 0)])
def test_near_a_release(minutes: int, expected: int) -> None:
    trades = columns(1)
    at = trades.opened[0] - minutes * NS_PER_MINUTE
    whole = (np.array([MONDAY - NS_PER_DAY]), np.array([MONDAY + NS_PER_DAY]))
    usd = Releases({"USD": np.array([at])}, {"USD": whole, "EUR": whole})
    scoped = EVERY_KIND["news_blackout"]
    assert broken("news_blackout", scoped, columns(1, releases=usd)) == [expected]
    eur = Releases({"EUR": np.array([at])}, {"USD": whole, "EUR": whole})
    assert broken("news_blackout", scoped, columns(1, releases=eur)) == [0]
    wider = {"currency": "any", "impact": "high"}
    assert broken("news_blackout", wider, columns(1, releases=eur)) == [expected]


def test_without_a_calendar_nothing_is_said_about_releases() -> None:
    scoped = EVERY_KIND["news_blackout"]
    assert broken("news_blackout", scoped, columns(1)) == [UNTOLD]
    past = (np.array([MONDAY - 2 * NS_PER_DAY]), np.array([MONDAY - NS_PER_DAY]))
    old = Releases({"USD": np.zeros(0, np.int64)}, {"USD": past})
    assert broken("news_blackout", scoped, columns(1, releases=old)) == [UNTOLD]
    # One calendar of two: a release in it counts, silence in it does not.
    now = (np.array([MONDAY - NS_PER_DAY]), np.array([MONDAY + NS_PER_DAY]))
    half = Releases({"USD": np.array([MONDAY])}, {"USD": now})
    anything = {"currency": "any", "impact": "high"}
    assert broken("news_blackout", anything, columns(2, releases=half)) == [1, UNTOLD]


def test_a_cooldown_covers_what_follows_a_loss_and_is_broken_within_half_an_hour() -> None:
    trades = columns(
        5,
        opened=MONDAY + NS_PER_MINUTE * np.array([0, 90, 140, 200, 300]),
        closed=np.array([MONDAY + NS_PER_MINUTE * m for m in (60, 110, 160, 210, 320)]),
        result=np.array([-1.0, -1.0, 2.0, np.nan, 1.0]),
    )
    assert covered("loss_cooldown", {}, trades) == [0, 1, 1, 0, UNTOLD]
    # Ninety minutes after a trade of unknown result nothing was broken either way.
    assert broken("loss_cooldown", {}, trades) == [0, 1, 1, 0, 0]
    later = columns(2, opened=MONDAY + NS_PER_MINUTE * np.array([0, 91]), closed=trades.closed[:2],
                    result=np.array([-1.0, 1.0]))  # fmt: skip
    assert covered("loss_cooldown", {}, later) == [0, 1]
    assert broken("loss_cooldown", {}, later) == [0, 0]


def test_an_open_trade_has_lost_nothing_yet() -> None:
    trades = columns(2, closed=np.array([NO_TIME, NO_TIME]), result=np.array([-1.0, -1.0]))
    assert covered("loss_cooldown", {}, trades) == [0, 0]


def test_a_widened_stop_is_told_where_both_stops_are_known() -> None:
    trades = columns(
        4,
        side=np.array([1, 1, -1, 1], np.int8),
        stop_initial=np.array([1.09, 1.09, 1.11, np.nan]),
        stop_final=np.array([1.08, 1.10, 1.12, 1.08]),
    )
    assert broken("never_widen_stop", {}, trades) == [1, 0, 1, UNTOLD]


def test_pausing_a_setup_shows_in_its_market_and_is_broken_by_the_setup() -> None:
    trades = columns(3, setups=np.array([0, 1, 2]))
    scoped = EVERY_KIND["pause_setup"]
    assert covered("pause_setup", scoped, trades) == [1, 1, 1]
    assert broken("pause_setup", scoped, trades) == [UNTOLD, 0, 1]
    assert broken("pause_setup", {"setup": "any", "symbol": "EURUSD"}, trades) == [1, 1, 1]


def test_most_rules_cannot_be_seen_broken() -> None:
    for kind in ("regime_filter", "volatility_stop", "protect_gains", "shock_plan"):
        assert scope.breaks(kind, {}, columns(2)) is None
        assert scope.broken_sentence(kind, {}) == ""


def test_no_trades_is_no_answer() -> None:
    trades = columns(0)
    for kind, scoped in EVERY_KIND.items():
        assert covered(kind, scoped, trades) == []
        found = scope.breaks(kind, scoped, trades)
        assert found is None or found.size == 0


@pytest.mark.parametrize(
    ("kind", "scoped", "said"),
    [
        ("news_blackout", {"currency": "USD", "impact": "high"},
         "Trades in markets that USD news moves."),
        ("shock_plan", {}, "All trades of the account."),
        ("regime_filter", {"strategy": "any"}, "All trades of the account."),
        ("pause_setup", {"setup": "bos+order_block", "symbol": "EURUSD"}, "Trades in EURUSD."),
        ("loss_cooldown", {}, "Trades taken while the last closed trade was a loss."),
        ("pattern", {"setup": "bos+order_block", "side": "long", "session": "new_york"},
         "Trades long that claim bos and order block opened in the new york session."),
        ("pattern", {"moon": "full"}, "Cannot be told from the records: moon."),
    ],
)  # fmt: skip
def test_the_sentence_of_a_scope(kind: str, scoped: dict[str, str], said: str) -> None:
    assert scope.sentence(kind, scoped) == said


@pytest.mark.parametrize(
    ("scoped", "named"),
    [
        ({"moon": "full"}, "moon"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": 3}, "symbol"),
        ({"symbol": "x" * 121}, "symbol"),
        ({"side": "up"}, "side"),
        ({"setup": "bos+luck"}, "setup"),
        ({"hour": "24"}, "hour"),
    ],
)
def test_a_bad_scope_is_refused_by_name(scoped: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        scope.check(scoped)
    assert (caught.value.code, caught.value.field) == ("bad_scope", "scope")


def test_standing_aside_shows_in_its_market_and_is_broken_by_its_own_trades() -> None:
    friday = MONDAY + 4 * NS_PER_DAY
    opened = np.array([friday + 9 * NS_PER_HOUR, friday + 14 * NS_PER_HOUR, friday], np.int64)
    trades = columns(3, opened=opened, symbol=np.array([0, 0, 1]))
    scoped = {"symbol": "EURUSD", "weekday": "5", "hour": "8-11"}
    assert covered(scope.STAND_ASIDE, scoped, trades) == [YES, YES, NO]
    assert broken(scope.STAND_ASIDE, scoped, trades) == [YES, NO, NO]
    assert scope.sentence(scope.STAND_ASIDE, scoped) == "Trades in EURUSD."
    assert "from 08:00 to 11:59" in scope.broken_sentence(scope.STAND_ASIDE, scoped)
    # What only candles could tell is not told, and does not hide what can be.
    more = {**scoped, "spread": "entered at a wide spread"}
    assert broken(scope.STAND_ASIDE, more, trades) == [UNTOLD, NO, NO]
    assert covered(scope.STAND_ASIDE, more, trades) == [YES, YES, NO]
    assert scope.broken_sentence(scope.STAND_ASIDE, more) == ""


def test_the_parts_of_a_day_are_those_of_the_features() -> None:
    opened = MONDAY + NS_PER_HOUR * np.arange(24, dtype=np.int64)
    trades = columns(24, opened=opened)
    parts = {v: covered("k", {"open": v}, trades) for v in scope.CHOICES["open"]}
    assert np.array(list(parts.values())).sum(axis=0).tolist() == [1] * 24
    assert [hour for hour, is_in in enumerate(parts["overlap"]) if is_in] == [13, 14, 15, 16]


def test_a_trade_that_closed_as_it_opened_does_not_follow_its_own_loss() -> None:
    opened = MONDAY + NS_PER_HOUR * np.array([1, 10, 20])
    closed = MONDAY + NS_PER_HOUR * np.array([2, 10, 20])
    trades = columns(3, opened=opened, closed=closed, result=np.array([1.0, -1.0, 2.0]))
    assert covered("loss_cooldown", {}, trades) == [NO, NO, YES]
