"""One stored audit as a portable case: whoever has it can diagnose it without this database."""

from __future__ import annotations

from typing import Any

import numpy as np

from post_mortem.core.batches import take
from post_mortem.core.calibration_table import SHIPPED, table_as_json
from post_mortem.core.inputs import bars_read
from post_mortem.core.portable import dump_case
from post_mortem.core.resolution import asked_opens, first_touches
from post_mortem.models import InsightAudit
from trading.core.errors import NotFoundError
from trading.core.types import SIGNAL_HORIZONS

from .calibrations import stored_table
from .case_rows import Selection
from .cases import CasesOf, case_batches
from .columns import utc_ns


def portable_case(audit: InsightAudit) -> dict[str, Any]:
    """`inquest.case/1` of one audit as the engine reads it now, with the bars it reads and no more.

    Its id is the audit's. Diagnosing it gives the audit's evidence hash as long as the audit
    verifies. Raises NotFoundError `no_case` when its signal is no longer a case under its horizon
    (a trade that was opened again).
    """
    selection = Selection(
        signal_ids=(audit.signal_id,),
        trade_ids=None if audit.trade_id is None else (audit.trade_id,),
        horizons=(audit.horizon,) if audit.horizon in SIGNAL_HORIZONS else (),
        trades=audit.trade_id is not None,
    )
    wanted = -1 if audit.trade_id is None else audit.trade_id
    for cases in case_batches(selection):
        mine = (cases.signal_id == audit.signal_id) & (cases.trade_id == wanted)
        for i in np.flatnonzero(mine).tolist():
            return _dumped(audit, cases, i)
    raise NotFoundError("no_case", "This audit's signal cannot be judged any more.")


def _dumped(audit: InsightAudit, cases: CasesOf, i: int) -> dict[str, Any]:
    batch, signal = cases.batch, audit.signal
    paths = first_touches(batch)
    start, time = int(bars_read(batch, paths).start[i]), batch.market.candles.time
    case = dump_case(
        batch,
        i,
        id=str(audit.pk),
        start=int(time[start]) if start < len(time) else None,
        strategy=signal.strategy,
        model_version=signal.model_version or None,
        signal_time=utc_ns(signal.time),
        signal_entry=float(signal.entry_price),
        finer=asked_opens(batch, take(paths, np.array([i]))),
    )
    return case | _calibration(audit)


def _calibration(audit: InsightAudit) -> dict[str, Any]:
    """The table that judged the audit, where whoever reads the case may not have it."""
    row = audit.calibration
    if row is None or row.sha256 == SHIPPED.sha256:
        return {}
    return {"calibration": table_as_json(stored_table(row))}
