"""Importing files and taking imports back: was my file read correctly?"""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from post_mortem.selectors.viewer import Viewer
from post_mortem.services.demo import remove_demo
from trading.core.errors import FileError, UserError
from trading.importers.option_words import error_without_options, without_options
from trading.models import Account, ImportBatch, editable_accounts
from trading.services.imports import undo_import

from .import_forms import KINDS, read_upload, run
from .import_report import report_of
from .shell import page, show

_HISTORY = 50
_UNPROCESSABLE = 422
# Importers name the options of their commands; on this page they are fields.
_FIELDS = {
    "map": "Columns of a table",
    "symbol": "Symbol",
    "timeframe": "Timeframe",
    "tz": "Time zone of the file",
    "year": "Year of dates without one",
    "date-order": "Dates like 01/02/2024 are",
    "dialect": "1,2345 means 1.2345",
    "skip-bad-rows": "Skip bad rows",
}
_VALUES = {"dmy": " day first", "mdy": " month first", "dmy or mdy": " day first or month first"}


@page("GET", "HEAD", "POST")
def show_import(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form and the history; a POST previews the file, or imports it when it says so.

    The browser keeps the file between the two, so nothing uploaded waits on the server.
    """
    accounts = list(editable_accounts(viewer.user).select_related("desk").order_by("pk"))
    context = {
        "kinds": KINDS,
        "kind": _kind(request),
        "accounts": accounts,
        "account": request.POST.get("account", ""),
        "given": request.POST,
    }
    if request.method == "POST":
        return _uploaded(request, viewer, accounts, context)
    return show(request, viewer, "post_mortem/import.html", context | {"history": _history(viewer)})


def _kind(request: HttpRequest) -> str:
    asked = request.POST.get("kind") or request.GET.get("kind", "")
    return asked if asked in KINDS else "trades"


def _uploaded(
    request: HttpRequest, viewer: Viewer, accounts: list[Account], context: dict[str, object]
) -> HttpResponse:
    dry_run = request.POST.get("do") != "import"
    found: dict[str, object] = {}
    status = 200
    try:
        upload = read_upload(request, accounts)
        summary = run(upload, user=viewer.user, dry_run=dry_run)
        found["report"] = report_of(upload.kind, summary, in_fields)
    except UserError as error:
        said = error_without_options(error, _field)
        found["error"], status = said.detail, _UNPROCESSABLE
        found["problems"] = said.problems if isinstance(said, FileError) else ()
    if request.headers.get("X-Requested-With") == "fetch":
        context |= found
        return show(request, viewer, "post_mortem/_import_result.html", context, status)
    context |= found | {"history": _history(viewer)}
    return show(request, viewer, "post_mortem/import.html", context, status)


def in_fields(text: str) -> str:
    """A message with the page's fields in place of a command's options."""
    return without_options(text, _field)


def _field(option: str, value: str) -> str:
    if option not in _FIELDS:
        return f"--{option} on the command line"
    quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{_FIELDS[option]}\N{RIGHT DOUBLE QUOTATION MARK}"
    return quoted + _VALUES.get(value, "")


def _history(viewer: Viewer) -> list[ImportBatch]:
    accounts = [account.pk for account in viewer.accounts]
    desks = {account.desk_id for account in viewer.accounts}
    seen = Q(account__in=accounts) | Q(account=None, desk__in=desks)
    if viewer.user.is_superuser:
        # What a command brought in for everybody.
        seen |= Q(account=None, desk=None)
    mine = ImportBatch.objects.filter(seen)
    return list(mine.select_related("account", "created_by").defer("undo_data")[:_HISTORY])


@page("POST")
def undo(request: HttpRequest, viewer: Viewer, batch_id: int) -> HttpResponse:
    undo_import(batch_id=batch_id, user=viewer.user)
    messages.success(request, "Taken back. Everything that this import added is gone.")
    return redirect("pages:import")


@page("POST")
def remove_demo_desk(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    if remove_demo(user=viewer.user)["desks"]:
        messages.success(request, "The simulated desk is gone.")
    else:
        messages.error(request, "Only who runs the simulated desk may remove it.")
    return redirect("pages:dashboard")
