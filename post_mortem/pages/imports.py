"""Importing files and taking imports back: was my file read correctly?"""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from post_mortem.selectors.viewer import Viewer
from trading.models import ImportBatch

from .shell import page, show

_HISTORY = 50


@page()
def show_import(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    return show(request, viewer, "post_mortem/import.html", {"history": _history(viewer)})


def _history(viewer: Viewer) -> list[ImportBatch]:
    accounts = [account.pk for account in viewer.accounts]
    desks = {account.desk_id for account in viewer.accounts}
    mine = ImportBatch.objects.filter(Q(account__in=accounts) | Q(account=None, desk__in=desks))
    return list(mine.select_related("account", "created_by").defer("undo_data")[:_HISTORY])


@page("POST")
def undo(request: HttpRequest, viewer: Viewer, batch_id: int) -> HttpResponse:
    from trading.services.imports import undo_import

    undo_import(batch_id=batch_id, user=viewer.user)
    messages.success(request, "Taken back.")
    return redirect("pages:import")


@page("POST")
def remove_demo_desk(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    from post_mortem.services.demo import remove_demo

    remove_demo(user=viewer.user)
    messages.success(request, "The simulated desk is gone.")
    return redirect("pages:dashboard")
