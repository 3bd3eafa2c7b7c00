"""Labelling rules: what counts as a success here, and what would a change of it do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from post_mortem.core.rules import Rule, scope_words
from post_mortem.models import InsightAudit, LabelingRule, RuleChange
from post_mortem.selectors.cases import rule_of
from post_mortem.selectors.rule_preview import Preview
from post_mortem.selectors.viewer import Viewer
from post_mortem.services import rule_changes
from trading.core.errors import UserError
from trading.core.types import Horizon
from trading.models import Desk

from .shell import page, row_id, show

_HISTORY = 30
_UNPROCESSABLE = 422


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form: what it is called and what it does."""

    name: str
    label: str
    help: str
    value: str = ""
    wrong: str = ""
    choices: tuple[str, ...] = ()


_TEXTS: Mapping[str, tuple[str, str]] = {
    "strategy": ("Strategy", "Only its signals; empty is every strategy."),
    "symbol": ("Symbol", "As stored, like EURUSD; empty is every market."),
    "timeframe": ("Timeframe", "Of the signal, like 15m; empty is every one."),
    "horizon": ("Horizon", "TRADE judges the trade, the others the signal."),
    "success_tp_pips": ("Target, pips", "Used where a signal has no target of its own."),
    "success_rr_ratio": ("Target, times the risk", "Used where no target and no pips are given."),
    "fail_sl_pips": ("Stop, pips", "Used where a signal has no stop of its own."),
    "fail_adverse_pct": ("Stop, % of the entry", "Used where no stop and no pips are given."),
    "neutral_band_pips": ("Neutral band, pips", "Untouched results within it are flat."),
    "neutral_band_r": ("Neutral band, R", "The same in R; pips go first. Empty is 0.1 R."),
    "min_score": (
        "Least score",
        "0 to 100. Untraded signals below it are filtered out.",
    ),
    "priority": ("Priority", "Decides between rules with as many fields of scope."),
    "notes": ("Notes", "Why this rule is there."),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A rule in the list."""

    row: LabelingRule
    scope: str
    content: str
    may_edit: bool


@dataclass(frozen=True, slots=True)
class JudgedBy:
    sentence: str


def judged_by(audit: InsightAudit) -> JudgedBy:
    """Which rule judged an audit, as it was then, and why it was that one."""
    data = audit.rule_snapshot.data
    known = {name: data[name] for name in Rule.__dataclass_fields__ if name in data}
    rule = Rule(**{"id": 0, **known})
    given = scope_words(rule)
    why = (
        "because no rule names more of this signal"
        if given == "every signal"
        else f"because it names {given}, more than any other rule that matches"
    )
    named = f"Rule {rule.id}" if rule.id else "The built-in rule"
    return JudgedBy(f"{named} ({given}), {why}. {_content(rule)}")


@page("GET", "HEAD", "POST")
def show_rules(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The rules and a form; a POST tries a rule out, or saves it when it says so."""
    led = rule_changes.led_desks(viewer.user)
    desk = _desk(request, viewer, led)
    edited = _edited(request, desk) if desk in led else None
    context: dict[str, Any] = {"desk": desk, "led": led, "edited": edited}
    status = 200
    if request.method == "POST":
        if desk is None:
            raise UserError("not_permitted", "Only a lead of the desk changes its rules.")
        try:
            values = _values(request)
            rule_id = None if edited is None else edited.pk
            given = {"desk_id": desk.pk, "rule_id": rule_id, "values": values, "user": viewer.user}
            if request.POST.get("do") == "save":
                rule_changes.put_rule(**given)
                return _saved(request, desk)
            context["preview"] = _told(rule_changes.preview_rule(**given))
        except UserError as error:
            if error.code in ("not_permitted", "not_found"):
                raise
            context["error"], status = error, _UNPROCESSABLE
    context |= {
        "fields": _fields(request, edited, context.get("error")),
        "active": _ticked(request, edited),
        "lines": _lines(desk, led),
        "history": _history(desk),
    }
    return show(request, viewer, "post_mortem/rules.html", context, status)


@page("POST")
def remove(request: HttpRequest, viewer: Viewer, rule_id: int) -> HttpResponse:
    desk = _desk(request, viewer, rule_changes.led_desks(viewer.user))
    desk_id = 0 if desk is None else desk.pk
    rule_changes.remove_rule(desk_id=desk_id, rule_id=rule_id, user=viewer.user)
    messages.success(request, "The rule is gone. Undo brings it back.")
    return _back(desk_id)


@page("POST")
def undo(request: HttpRequest, viewer: Viewer, change_id: int) -> HttpResponse:
    change = rule_changes.undo_change(change_id=change_id, user=viewer.user)
    messages.success(request, "Taken back. What it had changed is stale until the next run.")
    return _back(change.desk_id)


def _saved(request: HttpRequest, desk: Desk) -> HttpResponse:
    stale = InsightAudit.objects.filter(account__desk=desk, is_stale=True).count()
    text = "Saved."
    if stale:
        text += f" {stale:,} audits are stale: the dashboard runs them again."
    messages.success(request, text)
    return _back(desk.pk)


def _back(desk_id: int) -> HttpResponse:
    return redirect(reverse("pages:rules", query={"desk": desk_id}))


def _desk(request: HttpRequest, viewer: Viewer, led: list[Desk]) -> Desk | None:
    """The desk asked for if the viewer belongs to it, else the first."""
    asked = request.POST.get("desk") or request.GET.get("desk", "")
    mine = [account.desk for account in viewer.accounts]
    desks = {desk.pk: desk for desk in [*mine, *led]}
    if asked:
        found = desks.get(row_id(asked))
        if found is None:
            raise UserError("desk", "No such desk.", field="desk")
        return found
    own = [a.desk for a in viewer.accounts if a.owner_id == viewer.user.pk]
    return next(iter([*own, *led, *mine]), None)


def _edited(request: HttpRequest, desk: Desk | None) -> LabelingRule | None:
    asked = request.POST.get("rule") or request.GET.get("rule", "")
    if not asked:
        return None
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 18):
        raise UserError("rule", "No such rule.", field="rule")
    found: LabelingRule | None = LabelingRule.objects.filter(desk=desk, pk=int(asked)).first()
    if found is None:
        raise UserError("rule", "No such rule.", field="rule")
    return found


def _values(request: HttpRequest) -> dict[str, Any]:
    values: dict[str, Any] = {"is_active": request.POST.get("is_active") == "yes"}
    for name in rule_changes.SCOPE:
        values[name] = request.POST.get(name, "").strip()
        longest = LabelingRule._meta.get_field(name).max_length or 0
        if len(values[name]) > longest:
            raise UserError("bad_rule", f"At most {longest} characters.", field=name)
    for name in rule_changes.NUMBERS:
        values[name] = _number(request.POST.get(name, ""), name)
    priority = _number(request.POST.get("priority", ""), "priority") or 0.0
    if priority % 1 or abs(priority) > 1000:
        raise UserError("bad_rule", "A whole number up to 1000.", field="priority")
    values["priority"] = int(priority)
    values["notes"] = request.POST.get("notes", "").strip()[:2000]
    return values


def _number(text: str, name: str) -> float | None:
    text = text.strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError("bad_rule", "A number like 0.25, or nothing.", field=name) from None


def _fields(
    request: HttpRequest, edited: LabelingRule | None, error: UserError | None
) -> list[Field]:
    fields = []
    for name, (label, help_text) in _TEXTS.items():
        if request.method == "POST":
            value = request.POST.get(name, "")
        else:
            stored = getattr(edited, name) if edited else ""
            value = "" if stored is None else f"{stored:g}" if isinstance(stored, float) else stored
        wrong = error.detail if error is not None and error.field == name else ""
        choices = tuple(Horizon) if name == "horizon" else ()
        fields.append(Field(name, label, help_text, str(value), wrong, choices))
    return fields


def _ticked(request: HttpRequest, edited: LabelingRule | None) -> bool:
    if request.method == "POST":
        return request.POST.get("is_active") == "yes"
    return edited is None or edited.is_active


def _told(found: Preview) -> str:
    if not found.total:
        return "No audit is in the scope of this rule yet."
    about = "" if found.exact else "about "
    word = "audit" if found.total == 1 else "audits"
    basis = "" if found.exact else f" Estimated from {found.compared:,} of them, judged both ways."
    return (
        f"This would change the label of {about}{found.changed:,} of {found.total:,} {word}."
        f"{basis} Nothing is saved yet."
    )


def _lines(desk: Desk | None, led: list[Desk]) -> list[Line]:
    """The desk's own rules and the shipped ones, the most specific first."""
    rows = LabelingRule.objects.filter(desk=None)
    if desk is not None:
        rows = LabelingRule.objects.for_desk(desk)

    def order(row: LabelingRule) -> tuple[int, int, int]:
        return -sum(bool(getattr(row, n)) for n in rule_changes.SCOPE), -row.priority, row.pk

    return [
        Line(
            row,
            scope_words(rule_of(row)),
            _content(rule_of(row)),
            row.desk_id is not None and desk in led,
        )
        for row in sorted(rows, key=order)
    ]


def _content(rule: Rule) -> str:
    parts = []
    if rule.fail_sl_pips is not None:
        parts.append(f"stop {rule.fail_sl_pips:g} pips where there is none")
    elif rule.fail_adverse_pct is not None:
        parts.append(f"stop {rule.fail_adverse_pct:g} % where there is none")
    if rule.success_tp_pips is not None:
        parts.append(f"target {rule.success_tp_pips:g} pips where there is none")
    elif rule.success_rr_ratio is not None:
        parts.append(f"target {rule.success_rr_ratio:g} times the risk where there is none")
    if rule.neutral_band_pips is not None:
        parts.append(f"flat within {rule.neutral_band_pips:g} pips")
    else:
        band = 0.1 if rule.neutral_band_r is None else rule.neutral_band_r
        parts.append(f"flat within {band:g} R")
    if rule.min_score is not None:
        parts.append(f"score from {rule.min_score:g}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _history(desk: Desk | None) -> list[dict[str, Any]]:
    if desk is None:
        return []
    rows = RuleChange.objects.filter(desk=desk).select_related("user").order_by("-pk")[:_HISTORY]
    newest: set[int] = set()
    out = []
    for row in rows:
        # Only the last change of a rule can be taken back, so that none is lost unseen.
        last = row.rule_id not in newest
        newest.add(row.rule_id)
        out.append({"row": row, "what": _what(row), "may_undo": last})
    return out


def _what(row: RuleChange) -> str:
    if row.before is None:
        return "made"
    if row.after is None:
        return "removed"
    changed = [n for n in rule_changes.FIELDS if row.before.get(n) != row.after.get(n)]
    return ", ".join(
        f"{name.replace('_', ' ')} {_word(row.before.get(name))} to {_word(row.after.get(name))}"
        for name in changed
    )


def _word(value: Any) -> str:
    words = {"": "nothing", "None": "nothing", "True": "yes", "False": "no"}
    return words.get(str(value), str(value))
