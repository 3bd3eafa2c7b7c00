"""The recommendations board: what is worth doing next, and did it help?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from post_mortem.core.scope import KEYS, sentence
from post_mortem.models import RecommendationTracking
from post_mortem.selectors import board as selectors
from post_mortem.selectors.board import BoardRow, Wanted
from post_mortem.selectors.impact_detail import behind
from post_mortem.selectors.impact_report import report
from post_mortem.selectors.recommendations import current
from post_mortem.selectors.viewer import Viewer
from post_mortem.selectors.worth import Experience
from post_mortem.services.impact_plans import fault, measurement_of
from trading.models import editable_accounts

from .shell import page, show
from .verdicts import NAMES, Shown, counted, shown

Status = RecommendationTracking.Status
_MOST_OTHERS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One recommendation as the board shows it."""

    item: BoardRow
    shown: Shown | None
    covers: str
    may_edit: bool
    people: tuple[str, ...]
    is_overdue: bool

    @property
    def row(self) -> RecommendationTracking:
        return self.item.row


@page()
def show_board(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    wanted = Wanted(
        status=request.GET.get("status", Status.PENDING),
        area=request.GET.get("area", ""),
        owner=request.GET.get("owner", ""),
        overdue=request.GET.get("overdue", ""),
        sort=request.GET.get("sort", "worth"),
    )
    number = request.GET.get("page", "1")
    at = max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 6 else 1
    start = (at - 1) * selectors.PAGE_SIZE
    board = selectors.board(viewer.user, wanted, start=start, today=timezone.localdate())
    paginator = Paginator(range(board.by_status[wanted.status]), selectors.PAGE_SIZE)
    editable = frozenset(editable_accounts(viewer.user).values_list("pk", flat=True))
    lines = [_line(item, editable, board.people) for item in board.rows]
    return show(
        request,
        viewer,
        "post_mortem/recommendations.html",
        {
            "board": board,
            "wanted": wanted,
            "status": wanted.status,
            "status_name": Status(wanted.status).label,
            "worked": counted(board.verdicts),
            "sorts": selectors.SORT_NAMES,
            "tabs": [(s.value, s.label, board.by_status[s.value]) for s in Status],
            "page": paginator.get_page(at),
            "lines": lines,
            "may_edit_any": any(line.may_edit for line in lines),
            "everybody": sorted({name for names in board.people.values() for name in names}),
        },
    )


@page()
def show_recommendation(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    """One recommendation with its frozen plan, verdicts, trades and history."""
    row = selectors.recommendation(viewer.user, pk)
    item, learned = selectors.board_row(viewer.user, row)
    editable = frozenset(editable_accounts(viewer.user).values_list("pk", flat=True))
    found = report(row)
    broken = fault(found.plan) if found.plan else ""
    trades = None
    if found.plan is not None and not broken:
        trades = behind(found.plan, measurement_of(found.plan), now=timezone.now())
    line = _line(item, editable, selectors.people_by_account([row.account_id]))
    return show(
        request,
        viewer,
        "post_mortem/recommendation.html",
        {
            "line": line,
            "found": found,
            "fault": broken,
            "trades": trades,
            "claim": _claim(row, learned),
            "type_effect": learned.types.get(row.kind),
            "scope": [(key, row.scope.get(key, "")) for key in KEYS],
            "others": _others(viewer, row) if line.may_edit else [],
            "experiments": list(row.experiments.order_by("-pk")),
            "names": NAMES,
        },
    )


def _line(item: BoardRow, editable: frozenset[int], people: Any) -> Line:
    row = item.row
    late = row.due_date is not None and row.due_date < timezone.localdate()
    return Line(
        item,
        shown(item.verdict, item.plan, item.overlaps, fault(item.plan) if item.plan else ""),
        sentence(row.kind, row.scope),
        row.account_id in editable and row.merged_into_id is None,
        people.get(row.account_id, ()),
        late and row.implementation_status == Status.PENDING,
    )


def _claim(row: RecommendationTracking, learned: Experience) -> dict[str, Any] | None:
    """What its writer claimed, and how the writer's claims come out."""
    if row.claimed_effect_r is None:
        return None
    record = learned.claims.get(row.claimed_by)
    return {
        "claimed": row.claimed_effect_r,
        "writer": row.claimed_by or "Somebody",
        "ratio": record.ratio if record else None,
        "n": record.n if record else 0,
        "slope": learned.learned.slope,
    }


def _others(viewer: Viewer, row: RecommendationTracking) -> list[tuple[int, str]]:
    rows = current(RecommendationTracking.objects.visible_to(viewer.user)).exclude(pk=row.pk)
    mine = rows.filter(account=row.account_id).order_by("area", "pk")
    return [(pk, text[:90]) for pk, text in mine.values_list("pk", "recommendation")[:_MOST_OTHERS]]


@page()
def state(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    """What a stale page needs to know: who changed it, when, and to what."""
    row = selectors.recommendation(viewer.user, pk)
    change = selectors.last_change(row)
    return JsonResponse(
        {
            "status": row.implementation_status,
            "version": row.version,
            "notes": row.notes,
            "owner": row.owner.get_username() if row.owner else None,
            "due_date": row.due_date.isoformat() if row.due_date else None,
            "changed_by": change.user.get_username() if change and change.user else None,
            "changed_at": change.created_at.isoformat() if change else None,
        }
    )
