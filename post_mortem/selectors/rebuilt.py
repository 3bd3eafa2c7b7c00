"""The case of one stored audit again, from its rows and the series that judged it.

Where that no longer gives what the audit says (candles, rule or trade changed since), there is
none, and nothing is said that would need one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from post_mortem.core.inputs import bars_read
from post_mortem.core.labeler import label
from post_mortem.core.resolution import first_touches
from post_mortem.core.types import NO_TIME, CaseBatch, Labels, Paths
from post_mortem.models import InsightAudit
from trading.core.types import Horizon, timeframe_ns
from trading.models import CandleSeries, Desk

from .case_layout import arrays_of, bare_batch, lay_out, load, with_rules
from .case_rows import Group, Selection, signal_chunks, trade_rows
from .cases import active_rules
from .finer import with_finer
from .markets import Surroundings, market

# A result is stored in steps of a millionth.
_SAME = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A batch of one, with its path and label."""

    batch: CaseBatch
    paths: Paths
    labels: Labels


def rebuild(audit: InsightAudit, desk: Desk, *, until: int = NO_TIME) -> Rebuilt | None:
    """The case as the audit read it, without its surroundings, which no path depends on. Bars up
    to `until` (ns) come along; None where the audit would not come out the same."""
    if audit.is_stale or not audit.bars_digest or audit.series is None:
        return None
    batch = _case(audit, audit.series, desk, until)
    if batch is None:
        return None
    paths = first_touches(batch)
    labels = label(batch, paths)
    digest = bars_read(batch, paths).digest.astype(">u8").tobytes().hex()
    same = digest == audit.bars_digest and labels.outcome[0] == audit.outcome
    r = float(labels.r[0])
    known = audit.r_multiple is not None
    if not same or known != bool(np.isfinite(r)):
        return None
    if audit.r_multiple is not None and abs(r - audit.r_multiple) > _SAME * max(1.0, abs(r)):
        return None
    return Rebuilt(batch, paths, labels)


def _case(audit: InsightAudit, series: CandleSeries, desk: Desk, until: int) -> CaseBatch | None:
    instrument = audit.signal.instrument
    as_trade = audit.horizon == Horizon.TRADE
    selection = Selection(
        account_ids=(audit.account_id,),
        signal_ids=(audit.signal_id,),
        trade_ids=(audit.trade_id or 0,) if as_trade else None,
        horizons=() if as_trade else (audit.horizon,),
        trades=as_trade,
    )
    group = Group(audit.account_id, instrument.pk, 1)
    signals = next(signal_chunks(selection, group), None)
    if signals is None:
        return None
    chunk = lay_out(selection, group, desk, instrument, signals, trade_rows(group, signals))
    if len(chunk) != 1:
        return None
    row, bar_ns = np.zeros(1, np.int64), timeframe_ns(series.timeframe)
    rules, rule = with_rules(chunk, row, active_rules(desk))
    arrays = arrays_of(chunk, row, rules, rule, bar_ns, series.point)
    later = np.maximum(arrays["end_time"], until)
    candles = load(series, bar_ns, arrays | {"end_time": later})
    nothing = Surroundings(None, None, None)
    where = market(instrument, series.point, bar_ns, candles, nothing)
    return with_finer(bare_batch(chunk, row, series, where, arrays), series, desk)
