"""Load the simulated desk through the services a user's own files go through, and remove it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.crypto import salted_hmac

from post_mortem.models import RuleSnapshot
from post_mortem.services.journal import mark_reviewed, write_journal
from trading.core.candles import pack
from trading.core.errors import OperatorError, UserError
from trading.importers.news import NewsOptions
from trading.importers.sources import InputFile
from trading.importers.trades_contract import TradeOptions
from trading.models import (
    Account,
    Desk,
    Execution,
    ImportBatch,
    Membership,
    Outage,
    Role,
    Signal,
    Trade,
)
from trading.services.accounts import ensure_personal_desk
from trading.services.candles import SeriesKey, store_candles
from trading.services.instruments import ensure_instrument, find_instrument
from trading.services.links import link_trades
from trading.services.news import import_news
from trading.services.signals import import_signals
from trading.services.trades import import_trades, remove_instruments

DEMO_USER = "demo"
DESK_NAME, ACCOUNT_NAME = "Simulated desk", "Simulated account"
CURRENCY, TIME_ZONE = "USD", "Europe/London"
STEPS = 9  # how often `progress` is called by a load
_PASSWORD_LETTERS = 12

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """What a load did. `is_new` is False where the desk was there and nothing changed."""

    account: Account
    is_new: bool
    candles: int
    news: int
    signals: int
    trades: int


def demo_password() -> str:
    """The password of the demo login: derived from this installation's secret key, so it is the
    same at every start and nobody else knows it."""
    digest = salted_hmac("inquest.demo.login", DEMO_USER, algorithm="sha256").hexdigest()
    return digest[:_PASSWORD_LETTERS]


def demo_account(user: Any) -> Account | None:
    """The simulated account of a user, if it is loaded."""
    return Account.objects.filter(owner=user, desk__is_demo=True).order_by("pk").first()


@transaction.atomic
def load_demo(*, user: Any = None, progress: Progress | None = None, now: datetime) -> LoadSummary:
    """Load the simulated desk for a user, or for the demo login, which is made if need be.

    One transaction; a desk that is there already is left as it is. Raises OperatorError
    `not_local` where others can reach this installation, UserError `user_exists` where somebody
    else is called demo.
    """
    owner = user if user is not None else _demo_user()
    done = progress or (lambda count: None)
    account = demo_account(owner)
    if account is not None:
        done(STEPS)
        return _summary(account, is_new=False)
    # Simulating takes a second, which a desk that is there need not wait for.
    from .trader import build_desk

    desk = build_desk()
    account = _account(owner)
    _load_candles(account.desk, owner, done)
    _load_rows(account, owner, done)
    for outage in desk.outages:
        Outage.objects.create(
            desk=account.desk, start=outage.start, end=outage.end, what=outage.what
        )
    _link(account)
    _write_journals(account, owner, now)
    done(1)
    return _summary(account, is_new=True)


def _summary(account: Account, *, is_new: bool) -> LoadSummary:
    return LoadSummary(
        account,
        is_new,
        candles=sum(account.desk.series.values_list("n_bars", flat=True)),
        news=sum(feed.events.count() for feed in account.desk.newsfeed_set.all()),
        signals=account.signals.count(),
        trades=account.trades.count(),
    )


# --- whose desk ---------------------------------------------------------------------------------


def _demo_user() -> Any:
    if settings.PRODUCTION:
        raise OperatorError(
            "not_local",
            "the demo login is only made on an installation that nobody else can reach: "
            "BIND is not loopback, or HTTPS is on; name a user with --user",
        )
    users: Any = get_user_model()._default_manager
    found = users.filter(username=DEMO_USER).first()
    if found is None:
        found = users.create_user(username=DEMO_USER, password=demo_password())
        # The simulated desk is all that the demo login is for.
        Desk.objects.filter(memberships__user=found).delete()
        return found
    if found.check_password(demo_password()):
        return found
    if demo_account(found) is None:
        raise UserError(
            "user_exists", f"somebody is called {DEMO_USER} here: name a user with --user"
        )
    # The secret key has changed since.
    found.set_password(demo_password())
    found.save(update_fields=["password"])
    return found


def _account(user: Any) -> Account:
    desk = Desk.objects.create(name=DESK_NAME, is_demo=True)
    Membership.objects.create(user=user, desk=desk, role=Role.ADMIN)
    return Account.objects.create(
        desk=desk, owner=user, name=ACCOUNT_NAME, currency=CURRENCY, time_zone=TIME_ZONE
    )


# --- what is on it ------------------------------------------------------------------------------


def _load_candles(desk: Desk, user: Any, done: Progress) -> None:
    from .market import PAIRS, SOURCE, TIMEFRAME, series_kind, simulate

    for pair in PAIRS:
        candles, kind = simulate().candles(pair.symbol), series_kind(pair.symbol)
        is_new = find_instrument(pair.symbol) is None
        decimals = -int(pair.point.as_tuple().exponent)
        instrument = ensure_instrument(symbol=pair.symbol, decimals=decimals, refine=True)
        batch = ImportBatch.objects.create(
            kind=ImportBatch.Kind.CANDLES,
            desk=desk,
            file_name=f"{pair.symbol} {TIMEFRAME} (simulated)",
            file_sha256=hashlib.sha256(pack(candles, kind)).hexdigest(),
            format=SOURCE,
            time_zone="UTC",
            options={"instruments_new": [instrument.pk] if is_new else []},
            created_by=user,
        )
        key = SeriesKey(
            instrument=instrument, timeframe=TIMEFRAME, source=SOURCE, kind=kind, desk=desk
        )
        _, stored = store_candles(key=key, candles=candles, batch=batch, tz_of_origin="UTC")
        batch.counts = {"read": len(candles), "inserted": stored.inserted}
        batch.save(update_fields=["counts"])
        done(1)


def _load_rows(account: Account, user: Any, done: Progress) -> None:
    from .calendar import releases
    from .files import calendar_csv, fills_csv, signals_csv, statement_csv
    from .trader import build_desk

    desk, given = build_desk(), TradeOptions(tz="UTC")
    calendar = calendar_csv(releases())
    import_news(
        file=InputFile("calendar (simulated).csv", lambda: io.BytesIO(calendar)),
        options=NewsOptions(tz="UTC"),
        desk=account.desk,
        user=user,
    )
    done(1)
    import_signals(
        account=account,
        data=signals_csv(desk.signals),
        file_name="signals (simulated).csv",
        options=given,
        created_by=user,
    )
    done(1)
    for name, data in (("statement", statement_csv(desk)), ("fills", fills_csv(desk))):
        import_trades(
            account=account,
            data=data,
            file_name=f"{name} (simulated).csv",
            options=given,
            created_by=user,
        )
    done(1)


def _trade_ids(account: Account) -> dict[str, int]:
    """Database id of every trade by its id in the simulation."""
    ids = dict(account.trades.exclude(external_id="").values_list("external_id", "pk"))
    fills = Execution.objects.filter(account=account).exclude(external_id="")
    for name, pk in fills.values_list("external_id", "trade"):
        ids.setdefault(name.rsplit("-", 1)[0], pk)
    return ids


def _link(account: Account) -> None:
    from .trader import build_desk

    trades = _trade_ids(account)
    signals = dict(
        account.signals.filter(source=Signal.Source.FEED).values_list("external_id", "pk")
    )
    links = {trades[row.external_id]: signals[row.signal_id] for row in build_desk().trades}
    link_trades(account=account, links=links)


def _write_journals(account: Account, user: Any, now: datetime) -> None:
    """Tags and mistakes a statement cannot carry; the first two months are read."""
    from .files import is_scaled
    from .trader import build_desk

    ids = _trade_ids(account)
    for row in build_desk().trades:
        pk = ids[row.external_id]
        if row.mistakes or row.stars or is_scaled(row):
            write_journal(
                trade_id=pk,
                tags=row.tags,
                mistakes=row.mistakes,
                stars=row.stars,
                notes=row.notes,
                user=user,
            )
        if row.fills[-1].time.month < 8:
            mark_reviewed(trade_id=pk, reviewed=True, user=user, now=now)


# --- and away with it ---------------------------------------------------------------------------


@transaction.atomic
def remove_demo(*, user: Any = None) -> dict[str, int]:
    """Remove the simulated desks of a user, or all of them and the demo login; says what went.

    Everything on such a desk goes: candles, news, signals, trades, audits, analyses, advice, and
    the instruments nothing else uses. A user who removes their own desk stays signed in; the demo
    login itself stays where it owns anything else.
    """
    desks = Desk.objects.filter(is_demo=True)
    if user is not None:
        desks = desks.filter(memberships__user=user, memberships__role=Role.ADMIN)
    accounts = Account.objects.filter(desk__in=desks)
    counts = {
        "desks": desks.count(),
        "signals": Signal.objects.filter(account__in=accounts).count(),
        "trades": Trade.objects.filter(account__in=accounts).count(),
    }
    batches = list(ImportBatch.objects.filter(desk__in=desks))
    snapshots = list(
        RuleSnapshot.objects.filter(insightaudit__account__in=accounts)
        .values_list("pk", flat=True)
        .distinct()
    )
    Desk.objects.filter(pk__in=list(desks.values_list("pk", flat=True))).delete()
    RuleSnapshot.objects.filter(pk__in=snapshots, insightaudit=None).delete()
    for batch in batches:
        remove_instruments(batch=batch)
    if user is None:
        counts["logins_kept"] = int(_remove_demo_user() is not None)
    elif counts["desks"]:
        ensure_personal_desk(user=user)
    return counts


def _remove_demo_user() -> Any:
    """The demo login where it stays because it owns other trades or signals, else None."""
    users: Any = get_user_model()._default_manager
    found = users.filter(username=DEMO_USER).first()
    if found is None or not found.check_password(demo_password()):
        return None
    own = Account.objects.filter(owner=found)
    if any(model.objects.filter(account__in=own).exists() for model in (Signal, Trade)):
        return found
    Desk.objects.filter(memberships__user=found, accounts__owner=found).delete()
    found.delete()
    return None
