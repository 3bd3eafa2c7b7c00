"""A stored audit as a portable case: what the engine would read for it now."""

from __future__ import annotations

from typing import Any

import numpy as np

from post_mortem.core.portable import dump_case
from post_mortem.models import InsightAudit
from trading.core.errors import NotFoundError
from trading.core.types import Horizon

from .case_rows import Selection
from .cases import case_batches
from .columns import nanoseconds


def portable_case(audit: InsightAudit) -> dict[str, Any]:
    """`inquest.case/1` of one audit, whose id is the audit's. Raises `NotFoundError` `no_case`
    when its signal is no longer a case under its horizon (a trade that was opened again)."""
    is_trade = audit.horizon == Horizon.TRADE
    selection = Selection(
        signal_ids=(audit.signal_id,),
        trade_ids=(audit.trade_id,) if is_trade and audit.trade_id else None,
        horizons=() if is_trade else (audit.horizon,),
        trades=is_trade,
    )
    wanted = audit.trade_id if is_trade else -1
    signal = audit.signal
    for cases in case_batches(selection):
        of_signal = cases.signal_id == audit.signal_id
        for i in np.flatnonzero(of_signal & (cases.trade_id == wanted)).tolist():
            return dump_case(
                cases.batch,
                i,
                id=str(audit.pk),
                strategy=signal.strategy,
                model_version=signal.model_version or None,
                signal_time=nanoseconds(signal.time) if is_trade else None,
                signal_entry=float(signal.entry_price) if is_trade else None,
            )
    raise NotFoundError("no_case", "This audit's signal cannot be judged any more.")
