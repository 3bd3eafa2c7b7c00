"""The model that words narratives: what does it cost, and can its words be trusted?"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from llm.errors import described
from post_mortem.selectors.model_usage import DAYS, ModelUse, Usage, model_usage
from post_mortem.selectors.viewer import Viewer
from trading.core.metrics import MIN_FOR_RATES

from .shell import page, show

NOBODY = "No model is asked. Every narrative is the built-in narrator's."


@dataclass(frozen=True, slots=True)
class Line:
    """A model in the table: counts, and shares in a hundred where there are enough."""

    use: ModelUse
    sound: str
    repaired: str
    pruned: str
    replaced: str
    seconds: str
    reasons: tuple[tuple[str, int], ...]


@page()
def show_model(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    usage = model_usage(viewer.user, timezone.now())
    context = {
        "usage": usage,
        "sentence": sentence(usage),
        "state": state(usage),
        "lines": [_line(use) for use in usage.models],
        "left": [(described(reason), n) for reason, n in usage.narratives.reasons],
        "days": DAYS,
        "is_everybody": viewer.user.is_staff,
    }
    return show(request, viewer, "post_mortem/model.html", context)


def sentence(usage: Usage) -> str:
    """The answer in one sentence."""
    if not usage.state["configured"] and not usage.models:
        return NOBODY
    told = usage.narratives
    whose = f"A model worded {told.by_model:,} of {told.total:,} narratives"
    month = next(iter(usage.months), None)
    if month is None:
        return f"{whose}; nothing was spent yet."
    spent = "at unknown cost" if month.cost is None else f"for {month.cost:,.2f} USD"
    return f"{whose}. Calls of {month.start:%B}: {month.calls:,}, {spent}."


def state(usage: Usage) -> str:
    """Whether anybody is asked now, and by what switch."""
    if usage.state["paused"]:
        return "Paused: LLM_PAUSED is 1. Nobody is asked; what was written stays."
    if not usage.state["configured"]:
        return NOBODY
    notes = "are sent along" if usage.state["sends_notes"] else "are not sent"
    return f"{usage.state['model']} is asked. Notes on trades {notes}. LLM_PAUSED=1 stops it."


def _line(use: ModelUse) -> Line:
    return Line(
        use,
        *(
            share(n, use.calls - use.failed)
            for n in (use.sound, use.repaired, use.pruned, use.replaced)
        ),
        "" if use.ms_p50 is None else f"{_seconds(use.ms_p50)} · {_seconds(use.ms_p95)}",
        tuple((described(reason), n) for reason, n in use.reasons),
    )


def _seconds(ms: int | None) -> str:
    return f"{(ms or 0) / 1000:.1f}"


def share(part: int, whole: int) -> str:
    """ "12" under 30, "214 (93 in 100)" from there on."""
    if whole < MIN_FOR_RATES:
        return f"{part:,}"
    return f"{part:,} ({round(100 * part / whole)} in 100)"
