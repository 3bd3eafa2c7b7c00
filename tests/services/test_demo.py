"""The demo desk: the same on every machine, true to what was planted, and removable exactly."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from post_mortem.core.calibration_table import SHIPPED
from post_mortem.core.setups import verify
from post_mortem.core.types import CAUSES, SETUPS, Outcome, SetupView
from post_mortem.models import InsightAudit, RuleSnapshot, TradeAnalysis
from post_mortem.services.audits import run_autopsy
from post_mortem.services.calibrations import store_table
from post_mortem.services.demo import (
    demo_account,
    demo_password,
    load_demo,
    remove_demo,
    showcase,
)
from post_mortem.services.demo.calendar import releases
from post_mortem.services.demo.events import TURBULENCE, events
from post_mortem.services.demo.feed import SIGNAL_NS, signal_bars
from post_mortem.services.demo.files import calendar_csv, fills_csv, signals_csv, statement_csv
from post_mortem.services.demo.load import _trade_ids
from post_mortem.services.demo.market import PAIRS, STEPS, Market, series_kind, simulate
from post_mortem.services.demo.paths import REACHED, STOPPED, follow
from post_mortem.services.demo.rows import TradeRow
from post_mortem.services.demo.trader import Desk, build_desk
from post_mortem.services.narratives import narrate_audits
from post_mortem.services.text_report import WIDTH, post_mortem_text
from trading.core.candles import pack
from trading.core.errors import OperatorError, UserError
from trading.core.sessions import is_open
from trading.models import Account, CandleSeries, Execution, Instrument, NewsEvent, Signal, Trade
from trading.services.instruments import ensure_instrument

ROOT: Final = Path(__file__).resolve().parent.parent.parent
NOW: Final = datetime(2026, 9, 1, tzinfo=UTC)
# Change these only when the simulated market is meant to change.
CANDLES_DIGEST: Final = "ac0517eb6ef02b877059c8f6fd327447cc90fa78bf270a37e5cfba4ab30ce3bc"
CALENDAR_DIGEST: Final = "de137d603d0b94b0c930f01420df864fdb5bfce9e0ccfe3f43cce55b53764b66"

_DIGESTS: Final = """
import django, hashlib, json, sys
django.setup()
from tests.services.test_demo import candles_digest, desk_digest
json.dump([candles_digest(), desk_digest()], sys.stdout)
"""


def candles_digest() -> str:
    found = hashlib.sha256()
    for pair in PAIRS:
        found.update(pack(simulate().candles(pair.symbol), series_kind(pair.symbol)))
    return found.hexdigest()


def desk_digest() -> str:
    desk = build_desk()
    files = (signals_csv(desk.signals), statement_csv(desk), fills_csv(desk))
    planted = json.dumps({k: [p.cause, p.event] for k, p in desk.planted.items()}).encode()
    return hashlib.sha256(b"\0".join((*files, planted))).hexdigest()


# --- the market ---------------------------------------------------------------------------------


def test_the_market_is_this_one() -> None:
    assert candles_digest() == CANDLES_DIGEST
    assert hashlib.sha256(calendar_csv(releases())).hexdigest() == CALENDAR_DIGEST


def test_two_processes_make_the_same_desk() -> None:
    def digests(seed: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _DIGESTS],
            cwd=ROOT,
            env={
                "PYTHONHASHSEED": seed,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "PATH": os.environ["PATH"],
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return list(json.loads(done.stdout))

    assert digests("1") == digests("2") == [candles_digest(), desk_digest()]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.symbol)
def test_bars_are_possible(pair: Any) -> None:
    candles = simulate().candles(pair.symbol)
    assert (np.diff(candles.time) > 0).all()
    assert is_open(pair.kind, candles.time).all()
    for side in ("bid_", "ask_") if candles.quotes else ("",):
        opened, high, low, close = (
            getattr(candles.quotes or candles, side + name)
            for name in ("open", "high", "low", "close")
        )
        assert (high >= np.maximum(opened, close)).all()
        assert (low <= np.minimum(opened, close)).all()
        assert (low > 0).all()
    if candles.quotes is not None:
        assert (candles.quotes.ask_close > candles.quotes.bid_close).all()
        assert (candles.quotes.ask_low >= candles.quotes.bid_low).all()
    assert candles.volume is not None
    assert (candles.volume > 0).all()


def test_the_market_is_like_one() -> None:
    """Dollar pairs move together, unrest clusters, and tails are fat."""
    euro, pound, yen = (simulate().candles(s).close for s in ("EURUSD", "GBPUSD", "USDJPY"))
    moves = [np.diff(close) / close[:-1] for close in (euro, pound, yen)]
    table = np.corrcoef(moves)
    assert 0.3 < table[0, 1] < 0.7
    assert -0.7 < table[0, 2] < -0.3
    size = np.abs(moves[0])
    assert np.corrcoef(size[:-12], size[12:])[0, 1] > 0.1
    assert ((moves[0] / moves[0].std()) ** 4).mean() > 5


@pytest.mark.parametrize("kind", sorted({event.kind for event in events()}))
def test_leaving_an_event_out_changes_nothing_before_it(kind: str) -> None:
    market = simulate()
    event = next(e for e in market.events if e.kind == kind)
    symbol = next(p.symbol for p in PAIRS if event.factor in (p.base, p.quote, p.symbol))
    first, last = event.first - 200, event.last + 200
    real = market.mid_steps(symbol, first, last)
    other = market.mid_steps(symbol, first, last, event.key)
    assert (real[:200] == other[:200]).all()
    assert (real[200:] != other[200:]).any()
    # Afterwards only the level differs, by rounding at most in shape.
    shift = real[-150:] - other[-150:]
    assert shift.max() - shift.min() <= 1


def test_a_market_without_events_is_the_same_noise() -> None:
    quiet, real = Market(()), simulate()
    first = min(event.first for event in real.events)
    assert (quiet.mid_steps("EURUSD", 0, first) == real.mid_steps("EURUSD", 0, first)).all()
    assert quiet.mid_steps("EURUSD", 0, STEPS)[-1] != real.mid_steps("EURUSD", 0, STEPS)[-1]


def test_the_calendar_says_that_it_is_simulated_and_does_not_always_move_prices() -> None:
    found = releases()
    assert all(release.title.endswith("(simulated)") for release in found)
    high = [release for release in found if release.impact == "high"]
    moved = [release for release in high if release.move_bp]
    assert 10 <= len(moved) < len(high)
    assert {r.impact for r in found if r.move_bp} == {"high"}
    # One large surprise moves nothing, so that a release is not blamed for being there.
    assert any(abs(r.surprise_z) > 1 and not r.move_bp for r in high)


# --- the trader ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk() -> Desk:
    return build_desk()


def test_the_result_is_believable(desk: Desk) -> None:
    results = np.array([t.deal.r for t in sorted(desk.trades, key=lambda t: t.fills[-1].time)])
    assert 160 <= len(results) <= 200
    assert 300 <= len(desk.signals) <= 400
    assert 0.42 <= (results > 0.1).mean() <= 0.52
    equity = np.cumsum(results)
    assert abs(equity[-1]) < 15
    assert (np.maximum.accumulate(equity) - equity).max() > 4


def test_one_position_a_market_at_a_time(desk: Desk) -> None:
    for pair in PAIRS:
        spans = sorted(
            (t.fills[0].time, t.fills[-1].time) for t in desk.trades if t.symbol == pair.symbol
        )
        assert all(a[1] < b[0] for a, b in zip(spans, spans[1:], strict=False))


def test_fills_lie_inside_their_candles(desk: Desk) -> None:
    for trade in desk.trades:
        candles = simulate().candles(trade.symbol)
        low = candles.low if candles.quotes is None else candles.quotes.bid_low
        high = candles.high if candles.quotes is None else candles.quotes.ask_high
        point = next(p.point for p in PAIRS if p.symbol == trade.symbol)
        for fill in trade.fills:
            at = np.searchsorted(candles.time, int(fill.time.timestamp()) * 10**9, "right") - 1
            half_points = fill.price * 2 / point
            assert int(low[at]) <= half_points <= int(high[at]), (trade.external_id, fill)


def test_every_cause_but_unknown_is_planted(desk: Desk) -> None:
    assert {p.cause for p in desk.planted.values()} == set(CAUSES) - {"unknown"}
    losers = [t for t in desk.trades if t.planted is None and t.deal.r < -0.1]
    assert len(losers) >= 20, "there are losers with nothing wrong"


def _with_event(desk: Desk) -> list[TradeRow]:
    return [t for t in desk.trades if t.planted is not None and t.planted.event]


def test_without_its_event_no_planted_trade_loses(desk: Desk) -> None:
    checked = Counter[str]()
    for trade in _with_event(desk):
        assert trade.planted is not None
        plan = trade.deal.candidate.plan
        assert follow(desk.market, plan).reason == STOPPED
        without = follow(desk.market, plan, without=trade.planted.event)
        assert without.reason != STOPPED, trade.external_id
        assert without.r > 0, trade.external_id
        checked[trade.planted.cause] += 1
    assert min(checked[c] for c in ("news_shock", "regime_drift", "volatility_spike")) >= 3
    assert min(checked[c] for c in ("liquidity_event", "external_shock")) >= 2


def test_another_event_does_not_save_them(desk: Desk) -> None:
    """The counterfactual is of the planted event, not of any."""
    others = [event for event in desk.market.events if event.kind == TURBULENCE]
    for trade in _with_event(desk)[:10]:
        assert trade.planted is not None
        plan = trade.deal.candidate.plan
        other = next(e for e in others if e.last < plan.step or e.first > plan.step + 30_000)
        assert follow(desk.market, plan, without=other.key).reason == STOPPED


def test_costs_alone_lost_what_mid_prices_had_won(desk: Desk) -> None:
    trades = [t for t in desk.trades if t.planted and t.planted.cause == "spread_slippage"]
    assert len(trades) >= 4
    for trade in trades:
        plan, deal = trade.deal.candidate.plan, trade.deal
        assert deal.r < 0
        if deal.exit_reason == "manual":
            assert deal.requested_exit is not None
            assert plan.r_at(deal.requested_exit) > 0
        else:
            assert follow(desk.market, plan, mid=True).reason == REACHED


def test_claimed_setups_are_there_unless_planted_otherwise(desk: Desk) -> None:
    views = {p.symbol: SetupView(SIGNAL_NS, signal_bars(desk.market, p.symbol)) for p in PAIRS}
    misread = {
        t.signal_id for t in desk.trades if t.planted and t.planted.cause == "detector_misid"
    }
    assert misread
    for signal in desk.signals:
        checked = verify(
            views[signal.symbol],
            np.array([signal.side], np.int8),
            np.array([int(signal.time.timestamp()) * 10**9], np.int64),
            np.array([sum(1 << SETUPS.index(name) for name in signal.setups)], np.int32),
        )
        found = checked.found[checked.checked]
        assert found.all() != (signal.external_id in misread), signal


def test_decisions_break_their_rules(desk: Desk) -> None:
    scores = {s.external_id: s for s in desk.signals}
    below = [t for t in desk.trades if scores[t.signal_id].score < scores[t.signal_id].min_score]
    assert below
    assert all(t.planted and t.planted.cause == "model_error" for t in below)
    large = [t for t in desk.trades if t.deal.size > 1]
    assert len(large) >= 3
    for trade in large:
        losses = [
            t
            for t in desk.trades
            if t.deal.r < 0
            and 0 <= (trade.fills[0].time - t.fills[-1].time).total_seconds() <= 1800
        ]
        assert losses
        assert trade.planted
        assert trade.planted.cause == "user_psychology"


# --- on the database ----------------------------------------------------------------------------


def our_models() -> list[Any]:
    labels = ("auth", "trading", "post_mortem")
    return [model for label in labels for model in apps.get_app_config(label).get_models()]


def row_counts() -> dict[str, int]:
    """Rows of every table of ours and of the users."""
    return {m._meta.label: m._default_manager.count() for m in our_models()}


def contents() -> dict[str, str]:
    """A digest of every row of every table."""
    found = {}
    for model in our_models():
        rows = repr(list(model._default_manager.order_by("pk").values_list()))
        found[model._meta.label] = hashlib.sha256(rows.encode()).hexdigest()
    return found


@dataclass(frozen=True)
class World:
    account: Account
    before: dict[str, int]
    bystander: Any


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The desk loaded and audited once for all tests, and a user who was there before."""
    with django_db_blocker.unblock(), transaction.atomic():
        bystander = get_user_model().objects.create_user(username="anna", password="x")
        own = Account.objects.get(owner=bystander)
        euro = ensure_instrument(symbol="EURUSD")
        Signal.objects.create(
            account=own, instrument=euro, dedupe_key="own", time=NOW, timeframe="5m", side=1,
            entry_price=Decimal("1.1"),
        )  # fmt: skip
        # What is kept of the shipped table is a fact about the program, not about the demo.
        store_table(SHIPPED)
        before = row_counts()
        account = load_demo(now=NOW).account
        done = run_autopsy(account_ids=[account.pk], now=NOW)
        narrate_audits(audit_ids=done.audit_ids)
        yield World(account, before, bystander)
        transaction.set_rollback(True)


# A test's own transaction lies inside the module's: what it does is taken back.


@pytest.mark.django_db
def test_everything_arrives(world: World, desk: Desk) -> None:
    account = world.account
    assert account.desk.is_demo
    assert (account.name, account.currency) == ("Simulated account", "USD")
    assert account.time_zone == "Europe/London"
    assert account.trades.count() == len(desk.trades)
    assert account.signals.count() == len(desk.signals)
    assert NewsEvent.objects.filter(desk=account.desk).count() == len(releases())
    assert not account.signals.filter(source=Signal.Source.TRADE).exists()
    series = CandleSeries.objects.filter(desk=account.desk)
    assert sorted(s.instrument.symbol for s in series) == sorted(p.symbol for p in PAIRS)
    assert {trade.pnl_currency for trade in account.trades.all()} == {"USD"}


@pytest.mark.django_db
def test_trades_keep_their_fills_levels_and_words(world: World, desk: Desk) -> None:
    ids = _trade_ids(world.account)
    for row in desk.trades:
        trade = Trade.objects.get(pk=ids[row.external_id])
        assert trade.signal.external_id == row.signal_id
        assert trade.stop_loss_initial == row.stop_initial
        assert trade.take_profit == row.take_profit
        assert trade.requested_entry == row.requested_entry
        assert trade.commission == row.commission
        assert abs((trade.gross_pnl or 0) - row.gross_pnl) < Decimal("0.01")
        assert Execution.objects.filter(trade=trade).count() == len(row.fills)
        assert tuple(trade.tags) == row.tags
        assert tuple(trade.mistakes) == row.mistakes
        assert trade.notes == row.notes


@pytest.mark.django_db
def test_labels_are_what_the_simulation_did(world: World, desk: Desk) -> None:
    ids = _trade_ids(world.account)
    by_trade = {a.trade_id: a for a in _trade_audits(world)}
    for row in desk.trades:
        audit = by_trade[ids[row.external_id]]
        expected = (
            Outcome.FAILED
            if row.deal.r < -0.1
            else Outcome.SUCCEEDED
            if row.deal.r > 0.1
            else Outcome.NEUTRAL
        )
        assert audit.outcome == expected, row.external_id
        costs = float(row.commission / row.gross_pnl) * row.deal.r if row.gross_pnl else 0.0
        assert audit.r_multiple == pytest.approx(row.deal.r + costs, abs=0.03), row.external_id


def _trade_audits(world: World) -> list[InsightAudit]:
    found = InsightAudit.objects.filter(account=world.account, horizon="TRADE")
    return list(found.prefetch_related("causes"))


@pytest.mark.django_db
def test_planted_causes_are_found(world: World, desk: Desk, record_property: Any) -> None:
    """When this was written: 51 of 54 first, 53 among the first three."""
    ids = _trade_ids(world.account)
    ranked = {a.trade_id: [c.cause for c in a.causes.all()] for a in _trade_audits(world)}
    first, third = Counter[str](), Counter[str]()
    for name, planted in desk.planted.items():
        causes = ranked[ids[name]]
        first[planted.cause] += causes[:1] == [planted.cause]
        third[planted.cause] += planted.cause in causes[:3]
    of = Counter(p.cause for p in desk.planted.values())
    record_property("planted", dict(of))
    record_property("ranked_first", dict(first))
    shown = f"first {first.total()}, in the first three {third.total()} of {of.total()}: {first}"
    assert first.total() >= 0.85 * of.total(), shown
    assert third.total() >= 0.90 * of.total(), shown
    assert all(first[cause] for cause in of), shown


@pytest.mark.django_db
def test_losers_with_nothing_wrong_are_mostly_left_alone(world: World, desk: Desk) -> None:
    ids = _trade_ids(world.account)
    ranked = {a.trade_id: [c.cause for c in a.causes.all()] for a in _trade_audits(world)}
    plain = [t for t in desk.trades if t.planted is None and t.deal.r < -0.1]
    unknown = sum(ranked[ids[t.external_id]][:1] == ["unknown"] for t in plain)
    assert unknown >= 0.55 * len(plain), f"{unknown} of {len(plain)}"


@pytest.mark.django_db
def test_loading_again_changes_nothing(world: World) -> None:
    before = contents()
    again = load_demo(now=datetime(2026, 9, 2, tzinfo=UTC))
    assert not again.is_new
    assert again.account == world.account
    assert run_autopsy(account_ids=[world.account.pk], now=NOW).unchanged > 1_000
    ids = list(InsightAudit.objects.values_list("pk", flat=True))
    assert narrate_audits(audit_ids=ids).written == 0
    assert contents() == before


@pytest.mark.django_db
def test_removing_takes_everything_and_only_that(world: World) -> None:
    assert RuleSnapshot.objects.exists()
    assert TradeAnalysis.objects.exists()
    gone = remove_demo()
    assert gone["desks"] == 1
    assert row_counts() == world.before
    assert Signal.objects.get().account.owner == world.bystander
    assert [i.symbol for i in Instrument.objects.all()] == ["EURUSD"]
    assert remove_demo()["desks"] == 0


@pytest.mark.django_db
def test_a_user_removes_their_own_desk_and_stays(world: World) -> None:
    assert remove_demo(user=world.bystander)["desks"] == 0
    assert demo_account(world.account.owner) is not None
    assert remove_demo(user=world.account.owner)["desks"] == 1
    assert get_user_model().objects.filter(pk=world.account.owner.pk).exists()
    assert Account.objects.filter(owner=world.account.owner, desk__is_demo=False).count() == 1


@pytest.mark.django_db
def test_the_demo_login_stays_when_it_owns_anything_else(world: World) -> None:
    # Not the one of the world: its new password would stay with that object.
    owner = get_user_model().objects.get(pk=world.account.owner.pk)
    remove_demo(user=owner)
    own = Account.objects.get(owner=owner)
    Signal.objects.create(
        account=own, instrument=Instrument.objects.get(), dedupe_key="mine", time=NOW,
        timeframe="5m", side=1, entry_price=Decimal(1),
    )  # fmt: skip
    out = StringIO()
    call_command("remove_demo", stdout=out)
    assert get_user_model().objects.filter(pk=owner.pk).exists()
    assert "The login demo stays" in out.getvalue()
    assert "changepassword demo" in out.getvalue()
    owner.set_password("of their own")
    owner.save()
    assert remove_demo()["logins_kept"] == 0


@pytest.mark.django_db
def test_the_login_works_and_sees_the_simulated_account_alone(world: World) -> None:
    owner = world.account.owner
    assert owner.get_username() == "demo"
    assert owner.check_password(demo_password())
    assert not owner.is_staff
    assert list(Account.objects.filter(owner=owner)) == [world.account]


@pytest.mark.django_db
def test_no_login_is_made_where_others_can_reach_it(world: World) -> None:
    remove_demo()
    with override_settings(PRODUCTION=True), pytest.raises(OperatorError) as refused:
        load_demo(now=NOW)
    assert refused.value.code == "not_local"
    assert row_counts() == world.before


@pytest.mark.django_db
def test_somebody_who_is_called_demo_is_left_alone(world: World) -> None:
    remove_demo()
    get_user_model().objects.create_user(username="demo", password="their own")
    with pytest.raises(UserError) as refused:
        load_demo(now=NOW)
    assert refused.value.code == "user_exists"
    remove_demo()
    assert get_user_model().objects.filter(username="demo").exists()


@pytest.mark.django_db
def test_a_changed_secret_key_sets_the_password_again(world: World) -> None:
    with override_settings(SECRET_KEY="another"):
        load_demo(now=NOW)
        fresh = get_user_model().objects.get(pk=world.account.owner.pk)
        assert fresh.check_password(demo_password())


@pytest.mark.django_db
def test_the_command_prints_a_complete_post_mortem(world: World) -> None:
    out = StringIO()
    call_command("load_demo", stdout=out)
    text = out.getvalue()
    shown = showcase(account=world.account)
    assert shown is not None
    assert shown.top_cause == "news_shock"
    for part in (
        "all of it invented", "NUMBERS", "POSSIBLE CAUSES", "1 News shock", "RULED OUT",
        "NARRATIVE", "RECOMMENDATIONS", f"Replay hash {shown.input_hash[:12]}",
        f"/trades/{shown.trade_id}/", f"user demo, password {demo_password()}", "remove_demo",
    ):  # fmt: skip
        assert part in text
    again = StringIO()
    call_command("load_demo", stdout=again)
    assert again.getvalue() == text
    quick_start = (ROOT / "README.md").read_text().partition("Some lines of what it prints:")[2]
    pasted = quick_start.split("```")[1].strip().splitlines()
    missing = set(pasted) - {"..."} - set(text.splitlines())
    assert not missing, "README.md shows other lines than the demo prints: paste them again"


@pytest.mark.django_db
def test_the_command_answers_in_json(world: World) -> None:
    out = StringIO()
    call_command("load_demo", "--json", stdout=out)
    summary = json.loads(out.getvalue())
    assert summary["new"] is False
    assert summary["audits_written"] == 0
    assert summary["trades"] == Trade.objects.filter(account=world.account).count()
    out = StringIO()
    call_command("remove_demo", "--json", stdout=out)
    assert json.loads(out.getvalue())["trades"] == summary["trades"]


@pytest.mark.django_db
def test_every_post_mortem_can_be_written_as_text(world: World) -> None:
    causes = set()
    for audit in _trade_audits(world)[::4]:
        text = post_mortem_text(audit_id=audit.pk)
        assert all(len(line) <= WIDTH for line in text.splitlines())
        assert text == post_mortem_text(audit_id=audit.pk)
        assert audit.input_hash[:12] in text
        causes.add(audit.top_cause)
    assert len(causes) > 4


@pytest.mark.django_db
def test_steps_of_a_load_are_told(world: World) -> None:
    from post_mortem.services.demo.load import STEPS as LOAD_STEPS

    told: list[int] = []
    load_demo(user=world.bystander, progress=told.append, now=NOW)
    assert sum(told) == LOAD_STEPS
    assert demo_account(world.bystander) is not None
    # Two desks side by side; one goes, the other stays.
    remove_demo(user=world.bystander)
    assert demo_account(world.account.owner) == world.account
