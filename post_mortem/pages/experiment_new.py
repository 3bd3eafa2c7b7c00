"""The form that starts an experiment: what is drawn, how, and how long it will take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from post_mortem.core.draws import TradingDays
from post_mortem.models import Experiment, RecommendationTracking
from post_mortem.selectors import experiments as selectors
from post_mortem.selectors.access import readable
from post_mortem.selectors.experiment_pace import Pace, pace_of
from post_mortem.selectors.viewer import Viewer, can_edit
from post_mortem.services import experiment_plans as plans
from post_mortem.services import experiments
from trading.core.errors import UserError
from trading.models import Account

from .shell import page, show

_UNPROCESSABLE = 422
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_UNITS: Mapping[str, tuple[str, str]] = {
    "day": ("Trading day", "The rule is on or off for a whole day. Easiest to keep to."),
    "session": ("Session", "Tokyo, London and New York are drawn apart, each before it opens."),
    "signal": ("Signal", "Each signal of a strategy is drawn as it comes; for programs only."),
    "account": ("Account", ""),
    "user": ("User", ""),
}


@page("GET", "HEAD", "POST")
def new_experiment(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form; a POST starts the experiment, or only says how long it would take."""
    now = timezone.now()
    given = request.POST if request.method == "POST" else request.GET
    recommendation = _recommendation(viewer, given.get("recommendation", ""))
    account = _account(viewer, given.get("account", ""), recommendation)
    values = _values(request, account, recommendation, now)
    error, status = None, 200
    if request.method == "POST" and request.POST.get("do") != "estimate":
        try:
            row = _started(viewer, account, recommendation, values, now)
        except UserError as refused:
            if refused.code in ("not_permitted", "not_found"):
                raise
            error, status = refused, _UNPROCESSABLE
        else:
            messages.success(request, "Started. The first days are drawn and sealed.")
            return redirect("pages:experiment", row.pk)
    context = _context(viewer, account, recommendation, values, now)
    context["error"] = error
    return show(request, viewer, "post_mortem/experiment_new.html", context, status)


def _recommendation(viewer: Viewer, text: str) -> RecommendationTracking | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise UserError("recommendation", "No such recommendation.", field="recommendation")
    rows = RecommendationTracking.objects.all()
    found: RecommendationTracking = readable(rows, user=viewer.user, pk=int(text))
    return found


def _account(viewer: Viewer, asked: str, recommendation: RecommendationTracking | None) -> Account:
    """The account asked for, that of the recommendation, or the first that may be changed."""
    mine = [account for account in viewer.accounts if can_edit(viewer.user, account.pk)]
    if recommendation is not None:
        mine = [account for account in mine if account.pk == recommendation.account_id]
    if asked:
        mine = [account for account in mine if str(account.pk) == asked]
    own = [account for account in mine if account.owner_id == viewer.user.pk]
    found = next(iter([*own, *mine]), None)
    if found is None:
        raise UserError("not_permitted", "There is no account here that you may experiment on.")
    return found


def _values(
    request: HttpRequest,
    account: Account,
    recommendation: RecommendationTracking | None,
    now: datetime,
) -> dict[str, Any]:
    """What the fields hold: as typed, or as they start."""
    names = ("name", "rule", "unit", "symbol", "strategy", "side", "starts_on", "day_begins")
    if request.method == "POST":
        typed: dict[str, Any] = {name: request.POST.get(name, "").strip() for name in names}
        typed["weekdays"] = [int(d) for d in request.POST.getlist("weekdays") if d in "0123456"]
        return typed | {name: request.POST.get(name) == "yes" for name in ("shadow", "strict")}
    days = plans.trading_days(account)
    scope = plans.countable(recommendation.scope) if recommendation else {}
    text = recommendation.recommendation if recommendation else ""
    return {
        "name": text if len(text) <= 80 else f"{text[:77].rstrip()}...",
        "rule": text[: plans.MAX_RULE],
        "unit": "day",
        **{name: scope.get(name, "") for name in plans.SCOPE},
        "starts_on": plans.first_possible(days, now).isoformat(),
        "day_begins": "00:00",
        "weekdays": list(days.weekdays),
        "shadow": False,
        "strict": False,
    }


def _started(
    viewer: Viewer,
    account: Account,
    recommendation: RecommendationTracking | None,
    values: Mapping[str, Any],
    now: datetime,
) -> Experiment:
    return experiments.start_experiment(
        account=account,
        recommendation=recommendation,
        name=values["name"],
        rule=values["rule"],
        unit=values["unit"],
        scope={name: values[name] for name in plans.SCOPE if values[name]},
        starts_on=_day(values["starts_on"]),
        day_begins=_clock(values["day_begins"]),
        weekdays=values["weekdays"],
        shadow=values["shadow"],
        strict=values["strict"],
        user=viewer.user,
        now=now,
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        detail = "A day is written like 2026-03-05."
        raise UserError("bad_day", detail, field="starts_on") from None


def _clock(text: str) -> time:
    try:
        return time.fromisoformat(text or "00:00")
    except ValueError:
        detail = "A clock time is written like 07:00."
        raise UserError("bad_clock", detail, field="day_begins") from None


# --- what the page shows ------------------------------------------------------------------------


def _context(
    viewer: Viewer,
    account: Account,
    recommendation: RecommendationTracking | None,
    values: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    pace = _pace(account, values, now)
    return {
        "account": account,
        "accounts": [a for a in viewer.accounts if can_edit(viewer.user, a.pk)],
        "recommendation": recommendation,
        "left_out": _left_out(recommendation),
        "values": values,
        "units": [
            (key, name, plans.why_not_offered(account, key, now) or what, key == values["unit"])
            for key, (name, what) in _UNITS.items()
        ],
        "offered": [k for k in _UNITS if not plans.why_not_offered(account, k, now)],
        "weekdays": [(n, name, n in values["weekdays"]) for n, name in enumerate(_WEEKDAYS)],
        "choices": selectors.traded(account),
        "earliest": plans.first_possible(plans.trading_days(account), now).isoformat(),
        "pace": pace,
        "pace_sentence": _sentence(pace),
    }


def _pace(account: Account, values: Mapping[str, Any], now: datetime) -> Pace:
    scope = {name: values[name] for name in plans.SCOPE if values[name]}
    weekdays = tuple(values["weekdays"]) or tuple(range(5))
    return pace_of(account, scope, TradingDays(account.time_zone, time(), weekdays), now)


def _sentence(pace: Pace) -> str:
    if pace.days is None or pace.trades_a_day is None or pace.at_most is None:
        return "How long it takes cannot be said: no trade of this kind in the last half year."
    return (
        f"About {pace.days:,} trading days at your pace, {pace.trades_a_day:.1f} trades a day, to "
        f"find an effect of {pace.mde_sd:g} standard deviations four times of five; at most "
        f"{pace.at_most:,}. A larger effect shows sooner."
    )


def _left_out(recommendation: RecommendationTracking | None) -> str:
    """What the advice covers that cannot choose the trades that count."""
    if recommendation is None:
        return ""
    kept = plans.countable(recommendation.scope)
    scope = recommendation.scope.items()
    rest = [f"{key} {value}" for key, value in scope if key not in kept and value != "any"]
    return ", ".join(rest)
