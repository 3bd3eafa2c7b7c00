"""The evidence record: what goes in comes out, in any order, within its steps and range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from post_mortem.core.batches import take
from post_mortem.core.causes import FACTS
from post_mortem.core.labeler import label
from post_mortem.core.rca import diagnose
from post_mortem.core.record import (
    COLUMNS,
    LARGEST,
    STEPS_PER_ONE,
    UNKNOWN,
    WHOLE_UNITS,
    WIDTH,
    evidence_hash,
    read_record,
    records,
)
from post_mortem.core.replay import replay
from post_mortem.core.types import CAUSES, NO_TIME, CaseBatch, Diagnosis, Labels
from tests.core import market
from trading.core.errors import OperatorError


@pytest.fixture(scope="module")
def batch() -> CaseBatch:
    rng = np.random.default_rng(11)
    return market.random_batch(rng, market.random_market(rng, 60), 80, first_day=20)


def judged(batch: CaseBatch) -> tuple[Labels, Diagnosis]:
    paths = replay(batch)
    labels = label(batch, paths)
    return labels, diagnose(batch, paths, labels)


def test_the_layout_names_every_column_once() -> None:
    assert len(set(COLUMNS)) == WIDTH
    for cause in CAUSES:
        assert f"{cause}.posterior" in COLUMNS
        assert all(f"{cause}.{spec.key}" in COLUMNS for spec in FACTS[cause])


def test_every_declared_fact_is_reported_and_no_other(batch: CaseBatch) -> None:
    _, diagnosis = judged(batch)
    assert tuple(finding.cause for finding in diagnosis.findings) == CAUSES
    for finding in diagnosis.findings:
        assert set(finding.facts) == {spec.key for spec in FACTS[finding.cause]}
        for spec in FACTS[finding.cause]:
            values = finding.facts[spec.key]
            assert values.shape == (len(batch),)
            if spec.choices:
                known = values[np.isfinite(values)]
                assert set(known.tolist()) <= set(range(len(spec.choices)))


def test_what_is_written_is_read(batch: CaseBatch) -> None:
    labels, diagnosis = judged(batch)
    for i, row in enumerate(records(labels, diagnosis)):
        view = read_record(row.tobytes())
        assert view.label.outcome == labels.outcome[i]
        assert view.label.flags == labels.flags[i]
        known = labels.exit_time[i] != NO_TIME
        assert view.label.exit_time == (labels.exit_time[i] if known else None)
        if np.isfinite(labels.exit_price[i]):
            assert view.label.exit_price == pytest.approx(labels.exit_price[i], abs=1e-8)
        assert view.judged == diagnosis.judged[i]
        for column, read in enumerate(view.findings):
            written = diagnosis.findings[column]
            assert read.rank == diagnosis.rank[i, column]
            assert read.status == written.status[i]
            assert read.posterior == pytest.approx(written.posterior[i], abs=0.51 / STEPS_PER_ONE)
            for spec in FACTS[read.cause]:
                value = written.facts[spec.key][i]
                assert (spec.key in read.facts) == bool(np.isfinite(value))
                if np.isfinite(value):
                    step = 1 if spec.unit in WHOLE_UNITS else 1 / STEPS_PER_ONE
                    assert read.facts[spec.key] == pytest.approx(value, abs=0.51 * step)


def test_every_judged_case_has_one_first_cause(batch: CaseBatch) -> None:
    _, diagnosis = judged(batch)
    assert diagnosis.judged.any()
    assert not diagnosis.judged.all()
    firsts = (diagnosis.rank == 1).sum(axis=1)
    assert (firsts == diagnosis.judged).all()
    for rank in diagnosis.rank[diagnosis.judged]:
        assert sorted(rank[rank > 0]) == list(range(1, int((rank > 0).sum()) + 1))
        unknown = rank[CAUSES.index("unknown")]
        assert unknown in (1, rank.max())


def test_order_and_company_do_not_matter(batch: CaseBatch) -> None:
    together = records(*judged(batch))
    order = np.random.default_rng(12).permutation(len(batch))
    shuffled = records(*judged(take(batch, order)))
    assert (shuffled == together[order]).all()
    for i in range(0, len(batch), 7):
        assert (records(*judged(take(batch, np.array([i]))))[0] == together[i]).all()


def test_a_change_of_one_step_changes_the_hash(batch: CaseBatch) -> None:
    row = records(*judged(batch))[0]
    other = row.copy()
    other[-1] += 1
    assert evidence_hash(row) == evidence_hash(row.copy())
    assert evidence_hash(row) != evidence_hash(other)
    assert len(evidence_hash(row)) == 64


def test_unknown_and_huge_numbers_are_kept_as_such(batch: CaseBatch) -> None:
    labels, diagnosis = judged(batch)
    pips = labels.pips.copy()
    pips[:3] = (np.nan, 1e12, -np.inf)
    row = records(replace(labels, pips=pips), diagnosis)[:, COLUMNS.index("label.pips")]
    assert row[:3].tolist() == [UNKNOWN, LARGEST, -LARGEST]


def test_times_before_1970_and_large_prices_survive(batch: CaseBatch) -> None:
    labels, diagnosis = judged(batch)
    times, prices = labels.exit_time.copy(), labels.exit_price.copy()
    times[:2] = (-(10**18), 4 * 10**18)
    prices[:3] = (0.00000001, 123_456_789.12345678, np.nan)
    rows = records(replace(labels, exit_time=times, exit_price=prices), diagnosis)
    views = [read_record(row.tobytes()) for row in rows[:3]]
    assert [view.label.exit_time for view in views[:2]] == [-(10**18), 4 * 10**18]
    assert [view.label.exit_price for view in views] == [1e-8, 123_456_789.12345678, None]


def test_a_record_of_another_layout_is_refused() -> None:
    with pytest.raises(OperatorError) as refused:
        read_record(b"\x00" * (4 * WIDTH - 4))
    assert refused.value.code == "record_layout"
