"""What every page shares: signing in, the reader's zone and units, errors as pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from post_mortem.selectors.viewer import Viewer, viewer_of
from trading.core.errors import NotFoundError, UserError

UNITS: Mapping[str, str] = {"money": "$", "percent": "%", "r": "R"}

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Viewer, P], HttpResponse]


def page(*methods: str) -> Callable[[View[P]], Callable[Concatenate[HttpRequest, P], HttpResponse]]:
    """A page of a signed-in user: `view(request, viewer, ...)`, in the user's zone.

    A user's error becomes a page that says what happened; what is foreign or absent is 404.
    """

    def decorate(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @require_http_methods(list(methods or ("GET", "HEAD")))
        @login_required
        @wraps(view)
        def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            viewer = viewer_of(request.user)
            with timezone.override(viewer.zone):
                try:
                    _refuse_nul(request)
                    return view(request, viewer, *args, **kwargs)
                except NotFoundError as error:
                    raise Http404(error.detail) from error
                except UserError as error:
                    return problem(request, viewer, error)

        return wrapped

    return decorate


def _refuse_nul(request: HttpRequest) -> None:
    """A text with a NUL is none that PostgreSQL stores or compares."""
    for data in (request.GET, request.POST):
        if any("\x00" in value for _, values in data.lists() for value in values):
            raise UserError("bad_text", "A text contains a NUL character.")


def show(
    request: HttpRequest,
    viewer: Viewer,
    template: str,
    context: Mapping[str, Any],
    status: int = 200,
) -> HttpResponse:
    shared = {"viewer": viewer, "zone": viewer.zone.key, "unit": unit_of(request), "units": UNITS}
    return render(request, template, {**shared, **context}, status=status)


def problem(request: HttpRequest, viewer: Viewer, error: UserError) -> HttpResponse:
    """Bad input on a page: what was wrong, and the way back to the page without it."""
    return show(request, viewer, "post_mortem/problem.html", {"error": error}, status=400)


def unit_of(request: HttpRequest) -> str:
    """The unit in the URL, else the one chosen last, else R."""
    asked = request.GET.get("unit") or request.COOKIES.get("unit", "")
    return asked if asked in UNITS else "r"


def row_id(text: str) -> int:
    """The id a text names; 0, which no row has, where it names none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0


def back_to(request: HttpRequest, fallback: str) -> str:
    """Where a form asks to return to, if that is on this site."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe else fallback
