"""Saying which signal of the feed a trade acted on."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Signal, Trade

# What a trade takes from its signal where its source did not tell.
_TAKEN_OVER = (
    ("requested_entry", "entry_price"),
    ("stop_loss_initial", "stop_loss"),
    ("take_profit", "take_profit"),
)


@transaction.atomic
def link_trades(*, account: Account, links: Mapping[int, int]) -> int:
    """Link trades to the signals they acted on, trade id to signal id; how many links are new.

    A trade without a requested entry, an initial stop or a target takes them from its signal. The
    signal that was made for the trade goes, and its audits with it. Raises NotFoundError for an id
    that is not in the account, UserError `signal_mismatch` for another instrument or side.
    """
    Account.objects.select_for_update().get(pk=account.pk)
    trades = {t.pk: t for t in _of(account, links)}
    signals = Signal.objects.filter(account=account).in_bulk(sorted(set(links.values())))
    left: list[int] = []
    changed: list[Trade] = []
    for trade_id, signal_id in links.items():
        trade, signal = trades.get(trade_id), signals.get(signal_id)
        if trade is None or signal is None:
            what, pk = ("trade", trade_id) if trade is None else ("signal", signal_id)
            raise NotFoundError("not_found", f"there is no {what} {pk} in {account}", field=what)
        if trade.signal_id == signal.pk:
            continue
        _check(trade, signal)
        left.append(trade.signal_id)
        trade.signal = signal
        for mine, theirs in _TAKEN_OVER:
            if getattr(trade, mine) is None:
                setattr(trade, mine, getattr(signal, theirs))
        changed.append(trade)
    Trade.objects.bulk_update(
        changed, ["signal", *(mine for mine, _ in _TAKEN_OVER)], batch_size=200
    )
    Signal.objects.filter(pk__in=left, source=Signal.Source.TRADE, trades=None).delete()
    return len(changed)


def _of(account: Account, links: Mapping[int, int]) -> list[Trade]:
    return list(Trade.objects.filter(account=account, pk__in=list(links)).select_for_update())


def _check(trade: Trade, signal: Signal) -> None:
    if trade.instrument_id != signal.instrument_id or trade.side != signal.side:
        raise UserError(
            "signal_mismatch",
            f"trade {trade.pk} is {trade}, signal {signal.pk} is {signal}",
            field="signal",
        )
