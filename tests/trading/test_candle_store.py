"""Stored candles: merge, revisions, undo, checksums, and which series judges a window."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from tests.trading.candle_texts import HEADER, NOW_NS, lines, text
from trading.core.candles import half_points_to_price
from trading.core.errors import ConflictError, FileError, OperatorError
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from trading.importers.contract import ReadOptions
from trading.importers.sources import InputFile
from trading.models import (
    CandleChunk,
    CandleRevision,
    CandleSeries,
    Desk,
    ImportBatch,
    Instrument,
    InstrumentAlias,
)
from trading.selectors.candles import (
    choose_series,
    forget_decoded,
    judging_series,
    load_candles,
    series_for,
)
from trading.services.candle_imports import ImportRequest, import_candles
from trading.services.candle_undo import undo_candles

pytestmark = pytest.mark.django_db

MONDAY_NS = 1_704_672_000 * 10**9
POINT = Decimal("0.00001")


@pytest.fixture(autouse=True)
def _no_decoded_chunks() -> None:
    forget_decoded()


def store(*data: bytes, name: str = "EURUSD.csv", **changes: Any) -> dict[str, Any]:
    """Import files under one name; fields of the request or of the options may be given."""
    request = {k: changes.pop(k) for k in ("dry_run", "revise", "source", "desk") if k in changes}
    files = [InputFile(name, lambda d=d: BytesIO(d)) for d in data]
    options = ReadOptions(now_ns=NOW_NS, **changes)
    result = import_candles(files=files, request=ImportRequest(options=options, **request))
    return result.as_dict()


def counts(summary: dict[str, Any]) -> tuple[int, int, int]:
    return summary["inserted"], summary["updated"], summary["unchanged"]


def bars_of(series: CandleSeries) -> dict[int, Decimal]:
    candles = load_candles(series)
    prices = [half_points_to_price(int(v), series.point) for v in candles.close]
    return dict(zip(candles.time.tolist(), prices, strict=True))


def state() -> Any:
    """Everything an import may touch."""
    chunks = CandleChunk.objects.order_by("series_id", "week").values_list("week", "sha256", "n")
    series = CandleSeries.objects.order_by("pk").values_list("scope_key", "n_bars", "last_time")
    return list(chunks), list(series), CandleRevision.objects.count()


def revised(at: int = 3, close: str = "1.10025") -> list[str]:
    rows = lines()
    rows[at] = rows[at].replace("1.10020", close)
    return rows


def test_a_file_is_stored_with_its_facts() -> None:
    summary = store(text())
    series = CandleSeries.objects.get()
    assert counts(summary) == (10, 0, 0)
    assert series.scope_key == "|EURUSD|1m|csv|trade"
    assert (series.point, series.n_bars) == (POINT, 10)
    assert (series.instrument.kind, series.instrument.pip) == ("fx", Decimal("0.0001"))
    assert list(bars_of(series).values()) == [Decimal("1.1002")] * 10
    batch = ImportBatch.objects.get()
    assert batch.counts["inserted"] == 10
    assert len(batch.file_sha256) == 64
    assert summary["files"][0]["symbol_from"] == "file name"
    assert summary["files"][0]["timeframe_from"] == "content"


def test_the_preview_shows_exact_prices() -> None:
    first = store(text(), dry_run=True)["files"][0]["preview"][0]
    assert Decimal(first["close"]) == Decimal("1.1002")
    assert first["time"] == "2024-01-08T00:00:00+00:00"


def test_importing_again_changes_nothing() -> None:
    store(text())
    before = state()
    assert counts(store(text())) == (0, 0, 10)
    assert state() == before
    assert ImportBatch.objects.count() == 1


def test_a_longer_file_adds_only_what_is_new() -> None:
    store(text(lines(10)))
    assert counts(store(text(lines(25)))) == (15, 0, 10)
    assert CandleSeries.objects.get().n_bars == 25


def test_bars_of_many_weeks_lie_in_as_many_chunks() -> None:
    store(text(lines(5 * 168, minutes=60)), symbol="ETH/BTC")
    assert CandleChunk.objects.count() == 5
    assert sum(CandleChunk.objects.values_list("n", flat=True)) == 840
    assert len(load_candles(CandleSeries.objects.get())) == 840


def test_long_bars_share_a_chunk() -> None:
    store(text(lines(100, minutes=1440)), symbol="ETH/BTC")
    assert CandleChunk.objects.count() == 1


def test_a_revised_bar_is_replaced_and_the_old_one_kept() -> None:
    store(text())
    summary = store(text(revised()))
    series = CandleSeries.objects.get()
    assert counts(summary) == (0, 1, 9)
    assert bars_of(series)[MONDAY_NS + 3 * NS_PER_MINUTE] == Decimal("1.10025")
    revision = CandleRevision.objects.get()
    assert revision.time.isoformat() == "2024-01-08T00:03:00+00:00"
    assert revision.batch_id == summary["files"][0]["import_id"]


def test_undo_puts_everything_back() -> None:
    store(text(lines(10)))
    before = state()
    summary = store(text(revised() + lines(15)[10:]))
    assert counts(summary) == (5, 1, 9)
    undo_candles(batch=ImportBatch.objects.get(pk=summary["files"][0]["import_id"]))
    assert state() == before
    with pytest.raises(ConflictError, match="before"):
        undo_candles(batch=ImportBatch.objects.get(pk=summary["files"][0]["import_id"]))


def test_undo_of_the_only_import_leaves_no_series() -> None:
    summary = store(text())
    undo_candles(batch=ImportBatch.objects.get())
    assert state() == ([], [], 0)
    assert counts(store(text())) == (10, 0, 0)
    assert summary["files"][0]["import_id"] != ImportBatch.objects.latest("pk").pk


def test_an_import_that_was_revised_later_is_undone_after_the_later_one() -> None:
    first = store(text())["files"][0]["import_id"]
    second = store(text(revised()))["files"][0]["import_id"]
    with pytest.raises(ConflictError) as caught:
        undo_candles(batch=ImportBatch.objects.get(pk=first))
    assert caught.value.code == "later_import"
    undo_candles(batch=ImportBatch.objects.get(pk=second))
    undo_candles(batch=ImportBatch.objects.get(pk=first))
    assert state() == ([], [], 0)


def test_a_dry_run_counts_and_keeps_nothing() -> None:
    store(text())
    before = state()
    summary = store(text(lines(12)), dry_run=True)
    assert counts(summary) == (2, 0, 10)
    assert summary["files"][0]["import_id"] is None
    assert state() == before
    assert Instrument.objects.count() == 1


def test_one_bad_file_of_several_stores_none() -> None:
    with pytest.raises(FileError):
        store(text(), text(revised(close="-1")))
    assert state() == ([], [], 0)
    assert not Instrument.objects.exists()
    assert not ImportBatch.objects.exists()


def test_several_files_are_one_import_each_of_one_series() -> None:
    summary = store(text(lines(10)), text(lines(20)[10:]))
    assert counts(summary) == (20, 0, 0)
    assert CandleSeries.objects.get().n_bars == 20
    assert ImportBatch.objects.count() == 2


def test_sources_never_mix() -> None:
    store(text(), source="one")
    store(text(revised()), source="two")
    assert CandleSeries.objects.count() == 2
    assert not CandleRevision.objects.exists()


def test_a_file_that_disagrees_everywhere_is_another_source() -> None:
    rows = lines(300)
    store(text(rows))
    before = state()
    other = [row.replace("1.10020", "1.10021") for row in rows]
    with pytest.raises(ConflictError) as caught:
        store(text(other))
    assert caught.value.code == "source_conflict"
    assert state() == before
    assert counts(store(text(other), revise=True)) == (0, 300, 0)


def test_the_symbol_is_asked_for() -> None:
    with pytest.raises(FileError) as caught:
        store(text(), name="export.csv")
    assert caught.value.code == "symbol_required"


def test_the_symbol_in_the_content_is_not_overruled() -> None:
    data = text([f"{line},EURUSD" for line in lines()], HEADER + ",symbol")
    with pytest.raises(FileError) as caught:
        store(data, symbol="GBPUSD")
    assert caught.value.code == "symbol_mismatch"
    assert counts(store(data, symbol="eur/usd")) == (10, 0, 0)


def test_an_alias_names_the_instrument() -> None:
    store(text())
    InstrumentAlias.objects.create(alias="EURUSD.PRO", instrument=Instrument.objects.get())
    assert counts(store(text(), symbol="EURUSD.pro")) == (0, 0, 10)
    assert Instrument.objects.count() == 1


def test_prices_finer_than_the_point_are_refused() -> None:
    rows = lines()
    rows[2] = rows[2].replace("1.10020", "1.100205")
    with pytest.raises(FileError) as caught:
        store(text(rows))
    assert caught.value.code == "precision"
    assert state() == ([], [], 0)


def test_crypto_takes_its_point_from_the_prices_once() -> None:
    coarse, fine = text(), text([line.replace("1.10020", "1.10020001") for line in lines()])
    store(fine, symbol="ETH/BTC")
    assert Instrument.objects.get().point == Decimal("1E-8")
    store(coarse, symbol="LTC/BTC")
    with pytest.raises(FileError) as caught:
        store(fine, symbol="LTC/BTC")
    assert caught.value.code == "precision"


def test_another_unit_than_the_stored_days_is_suspect() -> None:
    store(text(), symbol="ETH/BTC")
    scaled = text([line.replace(",1.", ",110.") for line in lines()])
    with pytest.raises(FileError) as caught:
        store(scaled, symbol="ETH/BTC", source="other")
    assert caught.value.code == "scale_suspect"


def test_a_damaged_chunk_is_never_read() -> None:
    store(text())
    chunk = CandleChunk.objects.get()
    blob = bytearray(bytes(chunk.blob))
    blob[-1] ^= 1
    CandleChunk.objects.update(blob=bytes(blob))
    for read in (
        lambda: load_candles(CandleSeries.objects.get()),
        lambda: store(text(lines(12))),
    ):
        with pytest.raises(OperatorError) as caught:
            read()
        assert caught.value.code == "corrupt_chunk"


def test_loaded_bars_are_kept_in_memory_and_read_only(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    store(text(lines(1000)))
    series = CandleSeries.objects.get()
    with django_assert_num_queries(2):
        first = load_candles(series)
    with django_assert_num_queries(1):
        again = load_candles(series, MONDAY_NS, MONDAY_NS + 5 * NS_PER_MINUTE)
    assert len(again) == 5
    with pytest.raises(ValueError, match="read-only"):
        first.close[0] = 0


def test_a_revision_is_seen_by_the_next_load() -> None:
    store(text())
    series = CandleSeries.objects.get()
    assert set(bars_of(series).values()) == {Decimal("1.1002")}
    store(text(revised()))
    assert Decimal("1.10025") in bars_of(series).values()


def test_a_failure_after_writing_leaves_nothing() -> None:
    class Boom(Exception):
        pass

    def import_and_fail() -> None:
        with transaction.atomic():
            store(text())
            raise Boom

    with pytest.raises(Boom):
        import_and_fail()
    assert state() == ([], [], 0)


# --- which series judges ---------------------------------------------------------------------


def day_of_minutes(share: float = 1.0) -> bytes:
    rows = lines(1440)
    return text(rows[: int(1440 * share)])


def judged(desk: Desk | None = None, hours: int = 24) -> tuple[str, float]:
    instrument = Instrument.objects.get()
    found, share = judging_series(instrument, desk, MONDAY_NS, MONDAY_NS + hours * NS_PER_HOUR)
    return ("" if found is None else f"{found.timeframe} {found.source}"), round(share, 3)


def test_the_finest_series_that_covers_the_window_judges() -> None:
    store(text(lines(24, minutes=60)), source="hours")
    assert judged() == ("1h hours", 1.0)
    store(day_of_minutes(0.94), source="minutes")
    assert judged() == ("1h hours", 1.0)
    assert judged(hours=12) == ("1m minutes", 1.0)
    store(day_of_minutes(0.96), source="more")
    assert judged() == ("1m more", 0.96)


def test_where_none_covers_the_window_the_best_is_named_with_its_share() -> None:
    store(text(lines(12, minutes=60)), source="hours")
    store(day_of_minutes(0.25), source="minutes")
    assert judged() == ("1h hours", 0.5)


def test_no_bars_no_series() -> None:
    store(day_of_minutes())
    instrument = Instrument.objects.get()
    later = MONDAY_NS + 3 * NS_PER_DAY
    assert judging_series(instrument, None, later, later + NS_PER_DAY) == (None, 0.0)


def test_the_desk_orders_sources_and_sees_only_its_own_and_shared_series() -> None:
    store(day_of_minutes(), source="a")
    store(day_of_minutes(), source="b")
    mine = Desk.objects.create(name="mine", source_order=["b", "a"])
    other = Desk.objects.create(name="other")
    store(day_of_minutes(), source="c", desk=other)
    assert judged()[0] == "1m a"
    assert judged(mine)[0] == "1m b"
    instrument = Instrument.objects.get()
    assert [s.source for s in series_for(instrument, mine)] == ["b", "a"]
    assert [s.source for s in series_for(instrument, other)] == ["c", "a", "b"]
    user = get_user_model().objects.create_user("nobody")
    assert CandleSeries.objects.visible_to(user).count() == 2


def test_windows_are_judged_one_by_one() -> None:
    store(day_of_minutes(0.5), source="minutes")
    store(text(lines(24, minutes=60)), source="hours")
    start = MONDAY_NS + np.array([0, 11, 20, 100]) * NS_PER_HOUR
    choice = choose_series(Instrument.objects.get(), None, start, start + 4 * NS_PER_HOUR)
    names = ["" if i < 0 else choice.series[i].source for i in choice.index]
    assert names == ["minutes", "hours", "hours", ""]
    assert choice.full.tolist() == [True, True, True, False]


def test_unknown_hours_make_an_unknown_share_not_a_guess() -> None:
    store(day_of_minutes(), symbol="NAS100")
    name, share = judged()
    assert name == "1m csv"
    assert np.isnan(share)
