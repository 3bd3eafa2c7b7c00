"""The imports of a user, whatever they brought: taking one back."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from trading.core.errors import ConflictError, NotFoundError
from trading.models import ImportBatch, Membership, Role, editable_accounts

from .candle_undo import undo_candles
from .news import undo_news
from .signals import undo_signals
from .trades import undo_trades


@transaction.atomic
def undo_import(*, batch_id: int, user: Any) -> dict[str, int]:
    """Take back what an import added, once; counts say what went.

    Trades and signals may be taken back by who may change their account, candles and news by who
    runs their desk, shared ones by an administrator. Any other import does not exist for the user.
    Without a user the operator asks, who may take back all.
    """
    allowed = Q() if user is None else _may_undo(user)
    batch = ImportBatch.objects.select_for_update(of=("self",)).filter(allowed, pk=batch_id).first()
    if batch is None:
        raise NotFoundError("not_found", "There is no such import.")
    if batch.status == ImportBatch.Status.UNDONE:
        raise ConflictError("already_undone", "This import was taken back before.")
    if batch.kind == ImportBatch.Kind.CANDLES:
        undo_candles(batch=batch)
        return {}
    if batch.kind == ImportBatch.Kind.NEWS:
        undo_news(batch=batch)
        return {}
    undo = undo_signals if batch.kind == ImportBatch.Kind.SIGNALS else undo_trades
    counts = undo(batch=batch)
    batch.status, batch.undone_at, batch.undo_data = (
        ImportBatch.Status.UNDONE,
        timezone.now(),
        None,
    )
    batch.save(update_fields=["status", "undone_at", "undo_data"])
    return counts


def _may_undo(user: Any) -> Q:
    led = Membership.objects.filter(user=user, role__gte=Role.LEAD).values("desk")
    mine = Q(account__in=editable_accounts(user).values("pk"))
    of_desk = Q(account=None, desk__in=led)
    return mine | of_desk | Q(account=None, desk=None) if user.is_superuser else mine | of_desk
