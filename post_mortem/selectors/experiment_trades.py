"""The trades of an account as columns, narrowed to the scope of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from django.db.models import FilteredRelation, Q

from post_mortem.core.measurement import Bool
from trading.core.candles import F64, I64
from trading.models import Trade

from .columns import coded, fetch, integers, readable_floats, times


@dataclass(frozen=True, slots=True, eq=False)
class AccountRows:
    """N trades by entry, in ns UTC (`closed` NO_TIME while open). `r` is net of costs, in R; NaN
    without an initial stop, a judgement or an exit. `symbol` and `strategy` are names."""

    opened: I64
    closed: I64
    signal: I64
    side: I64
    symbol: np.ndarray
    strategy: np.ndarray
    r: F64

    def of_scope(self, scope: Mapping[str, str]) -> AccountRows:
        """Those that a scope names: symbol, strategy and side."""
        use: Bool = np.ones(self.opened.size, np.bool_)
        for name in ("symbol", "strategy"):
            if name in scope:
                use &= getattr(self, name) == scope[name]
        if "side" in scope:
            use &= self.side == (1 if scope["side"] == "long" else -1)
        return AccountRows(*(getattr(self, field.name)[use] for field in fields(self)))


def account_rows(account_id: int) -> AccountRows:
    """Every trade of an account: one query."""
    rows = fetch(
        Trade.objects.filter(account=account_id)
        .annotate(verdict=FilteredRelation("audits", condition=Q(audits__horizon="TRADE")))
        .order_by("opened_at", "pk"),
        *("opened_at", "closed_at", "signal_id", "side", "instrument__symbol", "strategy"),
        *("signal__strategy", "verdict__r_multiple"),
    )
    # A trade that names no strategy took its signal's.
    named = zip(rows["strategy"], rows["signal__strategy"], strict=True)
    return AccountRows(
        opened=times(rows["opened_at"]),
        closed=times(rows["closed_at"]),
        signal=integers(rows["signal_id"]),
        side=integers(rows["side"]),
        symbol=_names(rows["instrument__symbol"]),
        strategy=_names([own or taken or "" for own, taken in named]),
        r=readable_floats(rows["verdict__r_multiple"]),
    )


def _names(column: object) -> np.ndarray:
    values, index = coded(column)  # type: ignore[arg-type]
    return np.array(values or [""], np.str_)[index]
