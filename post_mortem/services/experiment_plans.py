"""What a new experiment must say, checked, and the plan that is frozen when it starts.

Only what is known before a trade and does not depend on the arm may narrow the trades that count:
symbol, strategy and side. Advice such as "no entries around news" takes trades away on ON days, so
counting only the trades it covers would compare something with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from post_mortem.core.arms import MISMATCH
from post_mortem.core.draws import LEAD, TradingDays
from post_mortem.core.experiments import BLOCK_DAYS, STRICT_LEVEL
from post_mortem.core.measurement import ALPHA, ARM_LOOKS, MDE_SD
from post_mortem.models import Experiment
from post_mortem.selectors.experiment_pace import pace_of
from post_mortem.selectors.experiments import scope_words
from trading.core.errors import UserError
from trading.models import Account, Signal, Trade
from trading.services.instruments import find_instrument

MAX_NAME: Final = 200
MAX_RULE: Final = 2_000
LATEST_START: Final = timedelta(days=90)
SCOPE: Final = ("symbol", "strategy", "side")
SIDES: Final = ("long", "short")
SCHEMA: Final = "inquest.experiment/1"
METRIC: Final = "R a trade, net of costs, of trades entered in the unit"
ANALYSIS: Final = (
    "intention to treat: every trade counts for the arm that was drawn for its entry, whatever was "
    "done; the mean of ON less the mean of OFF, with a variance from sums of units"
)
# A weekend day counts as traded when at least this share of the latest entries fell on it.
_WEEKEND_SHARE: Final = 0.05
_LATEST_ENTRIES: Final = 500
_RECENT_SIGNALS: Final = timedelta(days=90)
_ONE_PERSON: Final = (
    "An experiment belongs to one account, so there is nothing to draw between {}s. Draw days."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked wish."""

    name: str
    rule: str
    unit: str
    scope: Mapping[str, str]
    starts_on: date
    days: TradingDays
    shadow: bool
    strict: bool


def checked(
    *,
    account: Account,
    name: str,
    rule: str,
    unit: str,
    scope: Mapping[str, str],
    starts_on: date | None,
    days: TradingDays,
    shadow: bool,
    strict: bool,
    now: datetime,
) -> Wanted:
    """Raises `UserError` `bad_name`, `bad_rule`, `bad_unit`, `unit_not_offered`, `bad_scope`,
    `starts_too_early`, `starts_too_late`, `bad_weekdays`, `strict_needs_blocks`."""
    _check_unit(account, unit, now)
    if strict and unit == Experiment.Unit.SIGNAL:
        raise UserError(
            "strict_needs_blocks",
            "The strict test swaps days within a block; single signals have none.",
            field="strict",
        )
    if not days.weekdays or not set(days.weekdays) <= set(range(7)):
        raise UserError("bad_weekdays", "Give one trading day a week or more.", field="weekdays")
    return Wanted(
        name=_text(name, MAX_NAME, "name"),
        rule=_text(rule, MAX_RULE, "rule"),
        unit=unit,
        scope=_scope(account, scope),
        starts_on=_start(days, starts_on, now),
        days=days,
        shadow=shadow,
        strict=strict,
    )


def _text(text: str, longest: int, name: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= longest or "\x00" in text:
        raise UserError(f"bad_{name}", f"A {name} has 1 to {longest:,} characters.", field=name)
    return text


def _check_unit(account: Account, unit: str, now: datetime) -> None:
    if unit not in Experiment.Unit.values:
        allowed = ", ".join(Experiment.Unit.values)
        raise UserError("bad_unit", f"A unit is one of {allowed}.", field="unit")
    if reason := why_not_offered(account, unit, now):
        raise UserError("unit_not_offered", reason, field="unit")


def why_not_offered(account: Account, unit: str, now: datetime) -> str:
    """Why a unit cannot be drawn on this account; empty if it can."""
    if unit in (Experiment.Unit.ACCOUNT, Experiment.Unit.USER):
        return _ONE_PERSON.format(unit)
    if unit != Experiment.Unit.SIGNAL:
        return ""
    feed = Signal.objects.filter(
        account=account, source=Signal.Source.FEED, time__gt=now - _RECENT_SIGNALS
    )
    if feed.exists():
        return ""
    return (
        "Single signals can be drawn where a strategy sends them before it trades; this account "
        "has had none for 90 days. Draw days."
    )


def _scope(account: Account, scope: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(scope) - set(SCOPE))
    if unknown:
        raise UserError(
            "bad_scope",
            f"{unknown[0]!a} cannot choose the trades that count: one of {', '.join(SCOPE)}.",
            field="scope",
        )
    given = {name: str(value).strip() for name, value in scope.items()}
    given = {name: value for name, value in given.items() if value and value != "any"}
    if "symbol" in given:
        given["symbol"] = _symbol(given["symbol"])
    if given.get("side", "long") not in SIDES:
        raise UserError("bad_scope", "A side is long or short.", field="side")
    if "strategy" in given:
        _check_strategy(account, given["strategy"])
    return given


def _symbol(text: str) -> str:
    found = find_instrument(text)
    if found is None:
        raise UserError("bad_scope", f"There is no instrument {text[:30]!a}.", field="symbol")
    return str(found.symbol)


def _check_strategy(account: Account, strategy: str) -> None:
    known = (
        Trade.objects.filter(account=account, strategy=strategy).exists()
        or Signal.objects.filter(account=account, strategy=strategy).exists()
    )
    if not known:
        detail = f"No trade or signal of this account has the strategy {strategy[:80]!a}."
        raise UserError("bad_scope", detail, field="strategy")


def countable(scope: Mapping[str, Any]) -> dict[str, str]:
    """What of a recommendation's scope may choose the trades that count."""
    found = {name: str(scope[name]) for name in SCOPE if scope.get(name)}
    return {name: value for name, value in found.items() if value != "any"}


# --- days ---------------------------------------------------------------------------------------


def trading_days(
    account: Account, *, weekdays: Sequence[int] | None = None, begins: time = time()
) -> TradingDays:
    """The account's days: Monday to Friday, and weekend days that it does trade on."""
    if weekdays is None:
        weekdays = _traded_weekdays(account)
    return TradingDays(account.time_zone, begins, tuple(sorted(set(weekdays))))


def _traded_weekdays(account: Account) -> list[int]:
    newest = Trade.objects.filter(account=account).order_by("-opened_at")
    zone = ZoneInfo(account.time_zone)
    times = newest.values_list("opened_at", flat=True)[:_LATEST_ENTRIES]
    entered = [moment.astimezone(zone).weekday() for moment in times]
    needed = max(1.0, _WEEKEND_SHARE * len(entered))
    return [*range(5), *(day for day in (5, 6) if entered.count(day) >= needed)]


def first_possible(days: TradingDays, now: datetime) -> date:
    """The first traded day that has not begun, and does not within the time a draw takes."""
    today = days.day_of(now)
    following = days.between(today, today + timedelta(days=8))
    return next(day for day in following if days.start(day) > now + LEAD)


def _start(days: TradingDays, starts_on: date | None, now: datetime) -> date:
    first = first_possible(days, now)
    if starts_on is None:
        return first
    if starts_on < first:
        raise UserError(
            "starts_too_early",
            f"{starts_on.isoformat()} has begun, and nothing is drawn after the fact. "
            f"The first day can be {first.isoformat()}.",
            field="starts_on",
        )
    if starts_on > first + LATEST_START:
        raise UserError(
            "starts_too_late", f"Start within {LATEST_START.days} days.", field="starts_on"
        )
    return days.between(starts_on, starts_on + timedelta(days=8))[0]


# --- the plan -----------------------------------------------------------------------------------


def frozen_plan(
    *,
    account: Account,
    recommendation_id: int | None,
    wanted: Wanted,
    salt_sha256: str,
    now: datetime,
) -> dict[str, Any]:
    """Everything that decides who is on, what counts and when a verdict falls, in JSON values."""
    pace = pace_of(account, wanted.scope, wanted.days, now)
    return {
        "schema": SCHEMA,
        "account": account.pk,
        "recommendation": recommendation_id,
        "name": wanted.name,
        "rule": wanted.rule,
        "unit": wanted.unit,
        "scope": dict(wanted.scope),
        "shadow": wanted.shadow,
        "strict": wanted.strict,
        "starts_on": wanted.starts_on.isoformat(),
        "time_zone": wanted.days.zone,
        "day_begins": wanted.days.begins.isoformat(timespec="minutes"),
        "weekdays": list(wanted.days.weekdays),
        "salt_sha256": salt_sha256,
        "block": None if wanted.unit == Experiment.Unit.SIGNAL else BLOCK_DAYS,
        "metric": METRIC,
        "analysis": ANALYSIS,
        "arm_looks": list(ARM_LOOKS),
        "alpha": ALPHA,
        "mde_sd": MDE_SD,
        "strict_level": STRICT_LEVEL,
        "mismatch_level": MISMATCH,
        "guardrails": ["mean_r", "drawdown", "trade_count"],
        "expected_days": pace.days,
        "trades_a_day": pace.trades_a_day,
    }


# --- overlap ------------------------------------------------------------------------------------


def check_free(account: Account, scope: Mapping[str, str]) -> None:
    """Raises `UserError` `overlaps` if a running experiment decides over some of these trades."""
    running = Experiment.objects.filter(account=account, status=Experiment.Status.RUNNING)
    for other in running.order_by("pk"):
        if not disjoint(scope, other.scope):
            raise UserError(
                "overlaps",
                f"“{other.name}”, running since {other.starts_on.isoformat()}, decides over "
                f"{scope_words(other.scope)}. Two tests on the same trades could not be told "
                "apart: stop that one first, or choose another symbol, strategy or side.",
                field="scope",
            )


def disjoint(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether no trade can be in both."""
    return any(one[name] != other[name] for name in one if name in other)
