"""A trade bar by bar, without what came later: its page, and the bars that its page asks for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from post_mortem.selectors.replay import replay_of
from post_mortem.selectors.viewer import Viewer
from trading.core.errors import UserError

from .shell import page, show


@page()
def show_replay(request: HttpRequest, viewer: Viewer, trade_id: int) -> HttpResponse:
    found = replay_of(viewer.user, trade_id, timeframe=request.GET.get("tf", ""))
    found.data["zone"] = viewer.zone.key
    context = {"found": found, "trade": found.trade, "timeframe": found.data["timeframe"]}
    return show(request, viewer, "post_mortem/replay.html", context)


@page()
def bars(request: HttpRequest, viewer: Viewer, trade_id: int) -> HttpResponse:
    """The bars after bar `have` (without it, all) up to bar `step`, and what was known by then."""
    found = replay_of(
        viewer.user,
        trade_id,
        timeframe=request.GET.get("tf", ""),
        step=_whole(request, "step") or 0,
        have=_whole(request, "have"),
    )
    named = ("bars", "missing", "news", "span", "step", "more")
    return JsonResponse({name: found.data[name] for name in named})


def _whole(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise UserError("replay", f"{name} is a whole number", field=name)
    return int(text)
