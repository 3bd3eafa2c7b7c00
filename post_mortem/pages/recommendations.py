"""The recommendations board: what is worth doing next?"""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse

from post_mortem.models import RecommendationTracking
from post_mortem.selectors import board as selectors
from post_mortem.selectors.viewer import Viewer
from trading.models import editable_accounts

from .shell import page, show

Status = RecommendationTracking.Status


@page()
def show_board(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    status = request.GET.get("status", Status.PENDING)
    area = request.GET.get("area", "")
    sort = request.GET.get("sort", "often")
    number = request.GET.get("page", "1")
    at = max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 6 else 1
    start = (at - 1) * selectors.PAGE_SIZE
    board = selectors.board(viewer.user, status=status, area=area, sort=sort, start=start)
    paginator = Paginator(range(board.by_status[status]), selectors.PAGE_SIZE)
    editable = frozenset(editable_accounts(viewer.user).values_list("pk", flat=True))
    return show(
        request,
        viewer,
        "post_mortem/recommendations.html",
        {
            "board": board,
            "status": status,
            "status_name": Status(status).label,
            "area": area,
            "sort": sort,
            "sorts": {key: name for key, (name, _) in selectors.SORTS.items()},
            "tabs": [(s.value, s.label, board.by_status[s.value]) for s in Status],
            "page": paginator.get_page(at),
            "rows": [(row, row.account_id in editable) for row in board.rows],
        },
    )


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
            "changed_by": change.user.get_username() if change and change.user else None,
            "changed_at": change.created_at.isoformat() if change else None,
        }
    )
