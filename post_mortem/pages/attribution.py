"""What goes with winning and losing: in words beside one trade, and as a page of an account.

The base rate comes first and every figure has its n; under 30 trades there are counts only. Where
later trades are predicted no better than by the base rate, that is the whole answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from post_mortem.core.attribution.report import LEAST_TRADES
from post_mortem.core.display import r_multiple
from post_mortem.models import AttributionReport, InsightAudit
from post_mortem.selectors.attribution import (
    MOST_SHOWN,
    Contribution,
    Lifted,
    Others,
    ReportView,
    Told,
    attribution_of,
    attribution_reports,
)
from post_mortem.selectors.viewer import Viewer
from trading.core.errors import NotFoundError
from trading.core.metrics import MIN_FOR_RATES
from trading.core.types import Horizon
from trading.models import Account

from .shell import page, row_id, show

_NOUNS = {Horizon.TRADE: ("trade", "trades")}
_SIGNALS = ("signal", "signals")
_NO_SIGNAL = (
    "No detectable signal: what was known at the entry does not predict your outcomes better than "
    "the base rate"
)


@dataclass(frozen=True, slots=True)
class Said:
    """The section beside one trade: its first sentence, the verdict, and what speaks for what."""

    sentence: str
    verdict: str
    points: tuple[Contribution, ...]
    account_id: int
    horizon: str


def said_of(audit: InsightAudit) -> Said | None:
    """None for an audit without an outcome: nothing goes with what has not ended."""
    told = attribution_of(audit)
    if told.state == "not_judged":
        return None
    points = told.contributions[:MOST_SHOWN]
    return Said(_sentence(told), _verdict(told), points, audit.account_id, audit.horizon)


def _sentence(told: Told) -> str:
    if told.report is None:
        return ""
    _, many = nouns(told.report.horizon)
    overall = f"{share(told.won, told.n)} won overall{_of(told.n)}."
    if told.cohort is None:
        return f"Of your {many}, {overall}"
    return f"{_like(told.cohort)}; {overall}"


def _like(others: Others) -> str:
    """Counts, because such kinds are small; R only from 30 trades on."""
    each = ""
    if others.n_r >= MIN_FOR_RATES and others.mean_r is not None:
        each = f", {r_multiple(others.mean_r)} each"
    return f"{others.words}: {others.won:,} of {others.n:,} others won{each}"


def _verdict(told: Told) -> str:
    report = told.report
    if report is None:
        return "Not worked out yet: it is once enough outcomes are known."
    if told.state == "newer":
        return "This outcome is newer than the last fit."
    return verdict_of(report)


def verdict_of(report: AttributionReport) -> str:
    _, many = nouns(report.horizon)
    skill = report.body["skill"]
    if report.state == AttributionReport.State.TOO_FEW:
        if report.n < LEAST_TRADES:
            return f"Too few to tell what goes with winning: {report.n} {many} of {LEAST_TRADES}."
        return f"Too few wins or losses, or too few days, to check anything on later {many}."
    checked = f"checked on {skill['n']:,} later {many}"
    if report.state == AttributionReport.State.NO_SIGNAL:
        return f"{_NO_SIGNAL} ({checked})."
    return (
        f"What was known at the entry predicts your outcomes better than the base rate ({checked})."
    )


def nouns(horizon: str) -> tuple[str, str]:
    return _NOUNS.get(Horizon(horizon), _SIGNALS)


def share(won: int, n: int) -> str:
    """ "52 of 100" from 30 on, counts below."""
    return f"{won:,} of {n:,}" if n < MIN_FOR_RATES else f"{round(100 * won / n)} of 100"


def _of(n: int) -> str:
    return "" if n < MIN_FOR_RATES else f" (n {n:,})"


# --- the page -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the page. `range` is the interval of its share, in hundred."""

    lifted: Lifted
    share: str
    range: str

    @property
    def wins_more(self) -> bool:
        return self.lifted.lift > 0


@page()
def show_attribution(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    account = _account(viewer, request.GET.get("account", ""))
    views = attribution_reports(viewer.user, account.pk) if account else ()
    asked = request.GET.get("h", "")
    chosen = next((view for view in views if view.report.horizon == asked), None)
    if asked and chosen is None:
        raise NotFoundError("not_found", "There is no report of this horizon.")
    chosen = chosen or next(iter(views), None)
    context = {
        "account": account,
        "tabs": [(view.report.horizon, view is chosen) for view in views],
        "view": chosen,
        "sentence": "Nothing is worked out yet." if chosen is None else headline(chosen),
        "verdict": "" if chosen is None else verdict_of(chosen.report),
        "kinds": [] if chosen is None else [_kind(lifted) for lifted in chosen.stand_out],
        "many": "" if chosen is None else nouns(chosen.report.horizon)[1],
        "features": [] if chosen is None else chosen.report.body["features"],
    }
    return show(request, viewer, "post_mortem/attribution.html", context)


def _account(viewer: Viewer, asked: str) -> Account | None:
    """The account asked for, else the reader's first that has a report, else their first."""
    if asked:
        found = viewer.account(row_id(asked))
        if found is None:
            raise NotFoundError("not_found", "Not found.")
        return found
    with_report = AttributionReport.objects.filter(account__in=viewer.accounts)
    pks = set(with_report.values_list("account_id", flat=True))
    first = next((a for a in viewer.accounts if a.pk in pks), None)
    return first or next(iter(viewer.accounts), None)


def headline(view: ReportView) -> str:
    """The answer in one sentence."""
    report = view.report
    _, many = nouns(report.horizon)
    overall = f"{share(report.won, report.n)} {many} won{_of(report.n)}"
    if not view.stand_out:
        return f"{overall}. No kind of {many} clearly wins more or less often than that."
    best = view.stand_out[0]
    more = "more" if best.lift > 0 else "less"
    return (
        f"{overall}. {many.capitalize()} {best.words} won {more} often: {best.won:,} of {best.n:,}."
    )


def _kind(lifted: Lifted) -> Kind:
    if lifted.n < MIN_FOR_RATES:
        return Kind(lifted, "", "")
    interval = f"{round(100 * lifted.low)} to {round(100 * lifted.high)}"
    return Kind(lifted, share(lifted.won, lifted.n), interval)
