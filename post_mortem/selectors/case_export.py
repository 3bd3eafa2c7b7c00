"""One stored audit as a portable case: whoever has it can diagnose it without this database."""

from __future__ import annotations

from typing import Any

import numpy as np

from post_mortem.core.batches import take
from post_mortem.core.inputs import bars_read
from post_mortem.core.portable import dump_case
from post_mortem.core.resolution import asked_opens, first_touches
from post_mortem.models import InsightAudit
from trading.core.errors import NotFoundError
from trading.core.types import SIGNAL_HORIZONS

from .case_rows import Selection
from .cases import case_batches
from .columns import utc_ns


def portable_case(audit: InsightAudit) -> dict[str, Any]:
    """The case as the engine reads it now, with the bars it reads and no more.

    Diagnosing it gives the audit's evidence hash as long as the audit verifies.
    """
    selection = Selection(
        signal_ids=(audit.signal_id,),
        trade_ids=None if audit.trade_id is None else (audit.trade_id,),
        horizons=(audit.horizon,) if audit.horizon in SIGNAL_HORIZONS else (),
        trades=audit.trade_id is not None,
    )
    for cases in case_batches(selection):
        batch = cases.batch
        for i, horizon in enumerate(batch.horizon):
            if horizon != audit.horizon:
                continue
            paths = first_touches(batch)
            read = bars_read(batch, paths)
            time = batch.market.candles.time
            start = int(time[read.start[i]]) if read.start[i] < len(time) else None
            signal = audit.signal
            return dump_case(
                batch,
                i,
                id=str(audit.pk),
                start=start,
                strategy=signal.strategy,
                model_version=signal.model_version or None,
                signal_time=utc_ns(signal.time),
                signal_entry=float(signal.entry_price),
                finer=asked_opens(batch, take(paths, np.array([i]))),
            )
    raise NotFoundError("not_found", f"audit {audit.pk} has no case any more", field="audit_id")
