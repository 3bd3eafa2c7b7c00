"""Rows become cases: the one way into the engine.

`case_batches` reads signals, trades, candles, news, related markets, outages, earlier results and
rules, and yields one `CaseBatch` for every series that judges some of the cases, at most some
100,000 cases at a time. What a case reads is decided by its own rows and times alone, never by the
other cases of the run, so any selection gives it the same input.

Every signal is a case under each horizon asked for, every trade a case under TRADE. A case is
judged on the finest series that holds 95 % of its window; where no series has a bar of it, on the
preferred series (it is pending until data arrive) or on no bars at all. Bars that leave a case
open come with the finer bars inside them, where such are stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from post_mortem.core.inputs import AROUND_WINDOW_NS
from post_mortem.core.rules import Rule
from post_mortem.core.types import CaseBatch
from post_mortem.models import LabelingRule
from trading.core.candles import I64
from trading.core.types import NS_PER_HOUR, timeframe_ns
from trading.models import Account, CandleSeries, Desk, Instrument

from .calibrations import CalibrationUsed, calibration_in_force
from .case_earlier import Earlier, EarlierResults, seen_by
from .case_layout import Chunk, arrays_of, at, bare_batch, judged_by, lay_out, load, with_rules
from .case_rows import Group, Selection, groups, signal_chunks, trade_rows
from .fills import outside_candles
from .finer import with_finer
from .markets import Surroundings, market, surroundings

DEFAULT_BAR_NS = NS_PER_HOUR  # of a market without any candles
_RULE_FIELDS = tuple(name for name in Rule.__dataclass_fields__ if name != "id")
_NONE = np.int64(-1)


@dataclass(frozen=True, slots=True)
class RuleUsed:
    """A rule as it was used: its content, and the sha256 by which its snapshot is found."""

    rule: Rule
    sha256: str

    @property
    def data(self) -> dict[str, object]:
        return asdict(self.rule)


@dataclass(frozen=True, slots=True, eq=False)
class CasesOf:
    """A batch and whose cases they are. `trade_id` is -1 under signal horizons; `rule` indexes
    `rules`."""

    batch: CaseBatch
    account_id: int
    series_id: int | None
    signal_id: I64
    trade_id: I64
    rule: I64
    rules: tuple[RuleUsed, ...]
    calibration: CalibrationUsed

    def rule_hashes(self) -> list[str]:
        hashes = [used.sha256 for used in self.rules]
        return [hashes[i] for i in self.rule.tolist()]


def case_batches(selection: Selection, rules: Sequence[Rule] | None = None) -> Iterator[CasesOf]:
    """Every case of the selection, in batches of one account, market and series. `rules` stand in
    for those of the desk."""
    for group in groups(selection):
        yield from group_batches(selection, group, rules)


def group_batches(
    selection: Selection, group: Group, given: Sequence[Rule] | None = None
) -> Iterator[CasesOf]:
    account = Account.objects.select_related("desk").get(pk=group.account_id)
    instrument = Instrument.objects.get(pk=group.instrument_id)
    rules = active_rules(account.desk) if given is None else given
    calibration = calibration_in_force(account.desk)
    earlier_results = EarlierResults(rules)
    for signals in signal_chunks(selection, group):
        trades = trade_rows(group, signals)
        chunk = lay_out(selection, group, account.desk, instrument, signals, trades)
        if not len(chunk):
            continue
        earlier = earlier_results.of(chunk)
        for series, rows in judged_by(chunk):
            yield _cases(chunk, series, rows, rules, earlier, calibration)


def active_rules(desk: Desk) -> list[Rule]:
    rows = LabelingRule.objects.for_desk(desk).filter(is_active=True).order_by("pk")
    return [rule_of(row) for row in rows]


def rule_of(row: LabelingRule) -> Rule:
    """The rule as the engine uses it."""
    return Rule(id=row.pk or 0, **{name: getattr(row, name) for name in _RULE_FIELDS})


def used(rule: Rule) -> RuleUsed:
    return RuleUsed(rule, rule_hash(asdict(rule)))


def rule_hash(data: Mapping[str, object]) -> str:
    """sha256 (hex) of a rule's fields, by which its snapshot is found."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# --- one batch ----------------------------------------------------------------------------------


def _cases(
    chunk: Chunk,
    series: CandleSeries | None,
    picked: I64,
    rules: Sequence[Rule],
    earlier: Earlier,
    calibration: CalibrationUsed,
) -> CasesOf:
    rule_list, rule_index = with_rules(chunk, picked, rules)
    bar_ns = timeframe_ns(series.timeframe) if series else DEFAULT_BAR_NS
    point = series.point if series else chunk.instrument.point
    arrays = arrays_of(chunk, picked, rule_list, rule_index, bar_ns, point)
    candles = load(series, bar_ns, arrays)
    around = Surroundings(None, None, None)
    if series is not None:
        margin = AROUND_WINDOW_NS + 2 * bar_ns
        earliest = int(arrays["entry_time"].min()) - margin
        latest = int(np.maximum(arrays["entry_time"], arrays["end_time"]).max()) + margin
        around = surroundings(chunk.instrument, chunk.desk, series, candles, earliest, latest)
    where = market(chunk.instrument, point, bar_ns, candles, around)
    batch = bare_batch(chunk, picked, series, where, arrays)
    signal, trade = chunk.signal[picked], chunk.trade[picked]
    batch = replace(
        batch,
        extra_flags=outside_candles(batch, chunk.signals, signal, chunk.trades, trade),
        **seen_by(chunk, picked, earlier),  # type: ignore[arg-type]
    )
    batch = with_finer(batch, series, chunk.desk)
    return CasesOf(
        batch=batch,
        account_id=chunk.group.account_id,
        series_id=series.pk if series else None,
        signal_id=chunk.signals.id[chunk.signal[picked]],
        trade_id=np.where(
            chunk.is_trade[picked], at(chunk.trades.id, chunk.trade[picked], -1), _NONE
        ),
        rule=rule_index,
        rules=tuple(used(rule) for rule in rule_list),
        calibration=calibration,
    )
