"""Improvement plans: which rules follow from the patterns, in what order, and where they stand."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from post_mortem.selectors import patterns as selectors
from post_mortem.selectors.patterns import ToldPlan
from post_mortem.selectors.viewer import Viewer, can_edit
from post_mortem.services.pattern_words import request_words
from post_mortem.services.plans import request_plan
from trading.core.errors import UserError

from . import formats
from .shell import page, show

_PAGE_SIZE = 25


@page()
def show_plans(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    rows = selectors.plans(viewer.user).select_related("account")
    paginator = Paginator(rows, _PAGE_SIZE)
    at = paginator.get_page(request.GET.get("page"))
    found = selectors.told_plans(list(at.object_list))
    return show(
        request,
        viewer,
        "post_mortem/plans.html",
        {"plans": found, "page": at, "sentence": _counted(paginator.count, found)},
    )


def _counted(total: int, found: list[ToldPlan]) -> str:
    if not total:
        return "No plan yet."
    newest = found[0]
    steps = formats.plural(len(newest.steps), "rule")
    return f"{formats.plural(total, 'plan')}; the newest has {steps}. {done_of(newest)}"


def done_of(plan: ToldPlan) -> str:
    """How many of its rules are in use."""
    done = sum(
        step.recommendation is not None
        and step.recommendation.implementation_status == "IMPLEMENTED"
        for step in plan.steps
    )
    return f"{done} of {len(plan.steps)} implemented." if done else "None is implemented yet."


@page()
def show_plan(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    plan = selectors.plan_page(viewer.user, pk)
    return show(
        request,
        viewer,
        "post_mortem/plan.html",
        {
            "plan": plan,
            "done": done_of(plan),
            "may_edit": can_edit(viewer.user, plan.row.account_id),
        },
    )


@page("POST")
def draft(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Draft a plan from the chosen patterns; the same choice opens the same plan."""
    ids = [_id(text) for text in request.POST.getlist("pattern")]
    given = {pk: _hours(request.POST.get(f"hours-{pk}", "")) for pk in ids}
    hours = {pk: value for pk, value in given.items() if value is not None}
    plan = request_plan(pattern_ids=ids, hours=hours, user=viewer.user)
    request_words(account=plan.account, plan=plan, user=viewer.user)
    return redirect(reverse("pages:plan", args=[plan.pk]))


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise UserError("bad_id", "A pattern is named by its number.", field="pattern")
    return int(text)


def _hours(text: str) -> float | None:
    """Hours as written, None where nothing was."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    parts = text.split(".")
    if len(text) > 8 or len(parts) > 2 or not all(p.isascii() and p.isdecimal() for p in parts):
        raise UserError("hours", "Hours are a number like 2 or 1.5.", field="hours")
    return float(text)
