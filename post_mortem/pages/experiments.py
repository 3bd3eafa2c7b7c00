"""Experiments: what do I do today, is it working, and what was ever tried?"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from post_mortem.models import Experiment
from post_mortem.selectors import experiments as selectors
from post_mortem.selectors.access import readable
from post_mortem.selectors.experiment_results import results_of, results_of_many
from post_mortem.selectors.viewer import Viewer, can_edit
from post_mortem.services import experiment_draws, experiments
from trading.core.errors import ConflictError, UserError

from . import experiment_chart, formats
from .experiment_words import short_today, today_of, traded_of, verdict_of
from .shell import back_to, page, show

logger = logging.getLogger(__name__)

PAGE_SIZE = 25
_SHOWN_UNITS = 12
_KEPT: Mapping[str, bool | None] = {"yes": True, "no": False, "back": None}


def draw_due(now: datetime) -> None:
    """What the worker would draw within the minute. A page does not fail because the database is
    busy; the worker tries again."""
    try:
        experiment_draws.draw(now=now)
    except OperationalError as error:
        logger.warning("nothing was drawn on a page: %s", error)


@page()
def show_experiments(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    now = timezone.now()
    draw_due(now)
    found = selectors.experiments(viewer.user).select_related("account")
    paginator = Paginator(found, PAGE_SIZE)
    number = request.GET.get("page", "1")
    part = paginator.get_page(number)
    rows = list(part.object_list)
    states = zip(rows, selectors.arms_now(rows, now), results_of_many(rows, now=now), strict=True)
    lines = [
        {
            "row": row,
            "today": short_today(row, state),
            "state": state.state,
            "verdict": verdict_of(row, results),
            "results": results,
        }
        for row, state, results in states
    ]
    context = {
        "lines": lines,
        "page": part,
        "sentence": _sentence(selectors.counts(viewer.user)),
        "may_start": bool(_editable(viewer)),
    }
    return show(request, viewer, "post_mortem/experiments.html", context)


def _sentence(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return "No experiment was ever started."
    words = {"running": "running", "finished": "finished", "stopped": "stopped early"}
    parts = [f"{counts[name]} {word}" for name, word in words.items() if counts.get(name)]
    return f"{formats.plural(total, 'experiment')} ever started: {formats.listing(parts)}."


def _editable(viewer: Viewer) -> list[Any]:
    return [account for account in viewer.accounts if can_edit(viewer.user, account.pk)]


@page()
def show_experiment(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    return _shown(request, viewer, pk)


def _shown(
    request: HttpRequest,
    viewer: Viewer,
    pk: int,
    *,
    error: UserError | None = None,
    typed: str = "",
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    row: Experiment = _row(viewer, pk)
    _draw_if_running(row, now)
    row.refresh_from_db()
    state, results = selectors.arm_now(row, now), results_of(row, now=now)
    context = {
        "row": row,
        "today": today_of(row, state),
        "now": state,
        "results": results,
        "verdict": verdict_of(row, results),
        "traded": traded_of(row, results),
        "chart": experiment_chart.draw(results),
        "strips": experiment_chart.strips(results.on, results.off),
        "units": _units(row, results, now),
        "faults": selectors.faults(row),
        "drawn": row.assignments.count(),
        "scope": selectors.scope_words(row.scope),
        "weekdays": _weekdays(row.plan["weekdays"]),
        "looks": formats.listing([str(n) for n in row.plan["arm_looks"]]),
        "may_edit": can_edit(viewer.user, row.account_id),
        "error": error,
        "typed": typed,
    }
    return show(request, viewer, "post_mortem/experiment.html", context, status)


def _draw_if_running(row: Experiment, now: datetime) -> None:
    if row.status == Experiment.Status.RUNNING:
        draw_due(now)


def _row(viewer: Viewer, pk: int) -> Experiment:
    rows: Any = Experiment.objects.select_related("account", "recommendation", "started_by")
    found: Experiment = readable(rows, user=viewer.user, pk=pk)
    return found


def _weekdays(days: list[int]) -> str:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    if days == [0, 1, 2, 3, 4]:
        return "Monday to Friday"
    return "every day" if len(days) == 7 else formats.listing([names[day] for day in days])


def _units(row: Experiment, results: Any, now: datetime) -> list[dict[str, Any]]:
    """The newest units that have begun, with what was said of each."""
    begun = selectors.begun_rows(row, now)[-_SHOWN_UNITS:]
    if row.status != Experiment.Status.RUNNING:
        begun = [one for one in selectors.begun_rows(row, now) if _was_tested(row, one)]
        begun = begun[-_SHOWN_UNITS:]
    notes = selectors.newest_notes(row, [one.unit_key for one in begun])
    return [
        {"drawn": one, "note": notes.get(one.unit_key), "name": _unit_name(row, one)}
        for one in reversed(begun)
    ]


def _was_tested(row: Experiment, drawn: Any) -> bool:
    return row.ended_at is None or selectors.has_begun(row, drawn, row.ended_at)


def _unit_name(row: Experiment, drawn: Any) -> str:
    day = f"{drawn.day:%a} {drawn.day.day} {drawn.day:%b %Y}"
    if row.unit == Experiment.Unit.SESSION:
        return f"{day}, {drawn.unit_key.partition('/')[2].replace('_', ' ')}"
    return f"{day}, {drawn.unit_key}" if row.unit == Experiment.Unit.SIGNAL else day


@page("POST")
def note(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    """Kept, not kept, or taken back; for whoever may change the account."""
    said = request.POST.get("kept", "")
    if said not in _KEPT:
        raise UserError("kept", f"one of {', '.join(_KEPT)}", field="kept")
    kept = _KEPT[said]
    experiments.note_unit(
        experiment_id=pk,
        unit_key=request.POST.get("unit", "")[:100],
        kept=kept,
        note=request.POST.get("note", "").strip(),
        user=viewer.user,
        now=timezone.now(),
    )
    words = {True: "Noted: kept.", False: "Noted: not kept.", None: "Taken back."}
    messages.success(request, words[kept])
    return redirect(back_to(request, reverse("pages:experiment", args=[pk])))


@page("POST")
def stop(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    """End it, with the reason; a reason that was refused stays in its field."""
    text = request.POST.get("version", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UserError("version", "The version that was read is missing.", field="version")
    reason = request.POST.get("reason", "")
    try:
        row = experiments.stop_experiment(
            experiment_id=pk,
            reason=reason,
            version=int(text),
            user=viewer.user,
            now=timezone.now(),
        )
    except ConflictError as error:
        return _shown(request, viewer, pk, error=error, typed=reason, status=412)
    except UserError as error:
        if error.code != "bad_reason":
            raise
        return _shown(request, viewer, pk, error=error, typed=reason, status=422)
    messages.success(request, f"It has ended: {row.get_status_display().lower()}.")
    return redirect("pages:experiment", pk)


# --- files --------------------------------------------------------------------------------------


class _Echo:
    def write(self, text: str) -> str:
        return text


def _csv(name: str, rows: Iterator[list[Any]]) -> StreamingHttpResponse:
    writer = csv.writer(_Echo())
    lines = (writer.writerow([_plain(cell) for cell in row]) for row in rows)
    answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _plain(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula is written as text."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell.isoformat() if isinstance(cell, datetime) else cell


@page()
def export(request: HttpRequest, viewer: Viewer) -> StreamingHttpResponse:
    """Every experiment ever started, with its verdict."""
    now = timezone.now()
    rows = list(selectors.experiments(viewer.user).select_related("account"))
    found = results_of_many(rows, now=now)
    return _csv("experiments.csv", _table(rows, found))


def _table(rows: list[Experiment], found: list[Any]) -> Iterator[list[Any]]:
    yield [
        *("id", "account", "name", "rule", "unit", "scope", "status", "starts_on", "started_at"),
        *("ended_at", "ended_because", "verdict", "estimate_r", "on_trades", "off_trades"),
        *("on_traded", "off_traded", "on_drawn", "off_drawn", "not_drawn", "plan_sha256"),
    ]
    for row, results in zip(rows, found, strict=True):
        on, off = results.on, results.off
        yield [
            *(row.pk, row.account.name, row.name, row.rule, row.unit),
            *(selectors.scope_words(row.scope), row.status, row.starts_on, row.created_at),
            *(row.ended_at or "", row.ended_because, results.verdict.verdict),
            *(results.verdict.estimate_r, on.trades, off.trades, on.traded, off.traded),
            *(on.drawn, off.drawn, results.not_drawn, row.plan_sha256),
        ]


@page()
def export_units(request: HttpRequest, viewer: Viewer, pk: int) -> StreamingHttpResponse:
    """Every unit that has begun, as it was drawn and sealed, and what was said of it."""
    now = timezone.now()
    row = _row(viewer, pk)
    begun = selectors.begun_rows(row, now)
    notes = selectors.newest_notes(row, [one.unit_key for one in begun])
    return _csv(f"experiment-{row.pk}.csv", _unit_table(begun, notes))


def _unit_table(begun: list[Any], notes: Mapping[str, Any]) -> Iterator[list[Any]]:
    yield ["day", "unit", "arm", "sealed_at", "seal", "kept", "note"]
    for one in begun:
        said = notes.get(one.unit_key)
        kept = "" if said is None or said.kept is None else "yes" if said.kept else "no"
        yield [
            *(one.day, one.unit_key, one.arm, one.sealed_at, one.seal),
            *(kept, said.note if said else ""),
        ]
