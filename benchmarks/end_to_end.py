"""100,000 signals under four horizons: load, label, verify setups, diagnose, store on SQLite.

    python -m benchmarks.end_to_end [--quick] [--signals N]

Beside it, in the same process and on the same data, the way one would write it first: a row a
candle with decimal fields, a query for every signal and horizon, a Python loop over its candles.
`cpu_seconds` are those of all threads of the run, which other work on the machine disturbs less.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

FULL = {"bars": 371_000, "signals": 100_000, "sample": 60, "trades": 2_000}
QUICK = {"bars": 60_000, "signals": 4_000, "sample": 8, "trades": 200}
HORIZONS = {"1H": 1, "4H": 4, "24H": 24, "7D": 168}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--signals", type=int, help="so many signals instead of the usual number")
    given = parser.parse_args(arguments)
    size = dict(QUICK if given.quick else FULL)
    size["signals"] = given.signals or size["signals"]
    with tempfile.TemporaryDirectory(prefix="inquest-bench-") as folder:
        os.environ["INQUEST_DATA_DIR"] = folder
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        django.setup()
        result = run(size)
    print(json.dumps(result))
    return result


def run(size: dict[str, int]) -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connection

    from benchmarks._market import make_market, make_signals

    say("preparing data")
    call_command("migrate", verbosity=0)
    market = make_market(size["bars"])
    signals = make_signals(market.candles, size["signals"])
    store(market, signals, size["trades"])
    with connection.cursor() as cursor:
        cursor.execute("pragma synchronous")
        synchronous = cursor.fetchone()[0]
    before = peak_mb()
    say("running the autopsy")
    measured = autopsy(size["signals"])
    peak = peak_mb()
    say("running the naive baseline")
    naive = naive_labels(market.candles, signals, size["sample"])
    labels_per_s = measured["labels"] / measured["seconds"]
    return {
        "benchmark": "end_to_end",
        "signals": size["signals"],
        "horizons": len(HORIZONS),
        "bars": len(market.candles),
        "audits": measured["audits"],
        "seconds": round(measured["seconds"], 3),
        "cpu_seconds": round(measured["cpu"], 3),
        "labels_per_s": round(labels_per_s),
        "naive_labels_per_s": round(naive["labels_per_s"], 2),
        "ratio": round(labels_per_s / naive["labels_per_s"]),
        "peak_mb": round(peak),
        "peak_mb_before": round(before),
        "losers_share": round(measured["losers_share"], 4),
        "causes": measured["causes"],
        "stages": {name: round(value, 3) for name, value in measured["stages"].items()},
        "second_run_seconds": round(measured["again"], 3),
        "sqlite_synchronous": synchronous,
        "naive": {"sample": naive["sample"], "seconds": round(naive["seconds"], 3)},
    }


def say(text: str) -> None:
    print(text, file=sys.stderr)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- the rows -----------------------------------------------------------------------------------


def store(market: Any, signals: Any, trades: int) -> None:
    """Everything in the database as imports would leave it."""
    from django.contrib.auth import get_user_model
    from django.db import transaction

    from trading.core.types import SeriesKind
    from trading.models import ImportBatch
    from trading.services.accounts import ensure_personal_desk
    from trading.services.candles import SeriesKey, store_candles
    from trading.services.instruments import ensure_instrument

    user = get_user_model().objects.create_user("bench")
    account = ensure_personal_desk(user=user)
    pairs = {}
    for symbol, candles in (("EURUSD", market.candles), ("GBPUSD", market.peer)):
        instrument = pairs[symbol] = ensure_instrument(symbol=symbol)
        batch = ImportBatch.objects.create(
            kind="candles", desk=account.desk, file_name="made", file_sha256="", format="made"
        )
        key = SeriesKey(
            instrument=instrument,
            timeframe="1m",
            source="made",
            kind=SeriesKind.TRADE,
            desk=account.desk,
        )
        store_candles(key=key, candles=candles, batch=batch)
    with transaction.atomic():
        _store_news(market, account)
        _store_signals(account, pairs["EURUSD"], signals)
        _store_trades(account, pairs["EURUSD"], market.candles, signals, trades)


def _store_news(market: Any, account: Any) -> None:
    from post_mortem.selectors.columns import from_ns
    from trading.models import NewsEvent, NewsFeed

    time_ns = market.candles.time
    feed = NewsFeed.objects.create(
        desk=account.desk,
        name="made",
        covers_from=from_ns(int(time_ns[0])),
        covers_to=from_ns(int(time_ns[-1])),
    )
    NewsEvent.objects.bulk_create(
        NewsEvent(
            feed=feed,
            desk=account.desk,
            time=from_ns(t),
            currency="USD" if i % 2 else "EUR",
            title=f"Release {i}",
            impact=impact,
            dedupe_key=f"made {i}",
        )
        for i, (t, impact) in enumerate(
            zip(market.news_time.tolist(), market.news_impact.tolist(), strict=True)
        )
    )


def _store_signals(account: Any, instrument: Any, signals: Any) -> None:
    from benchmarks._market import price_texts
    from post_mortem.services import bulk
    from trading.models import Signal

    n = signals.time.size
    moments = bulk.time_column(signals.time)
    bulk.upsert(
        Signal,
        {
            "account_id": [account.pk] * n,
            "instrument_id": [instrument.pk] * n,
            "external_id": [""] * n,
            "dedupe_key": [f"made {i}" for i in range(n)],
            "source": ["feed"] * n,
            "time": moments,
            "timeframe": ["1m"] * n,
            "side": signals.side.tolist(),
            "entry_price": price_texts(signals.entry),
            "entry_kind": ["market"] * n,
            "stop_loss": price_texts(signals.stop),
            "take_profit": price_texts(signals.target),
            "score": signals.score.tolist(),
            "score_semantics": ["probability"] * n,
            "strategy": ["made"] * n,
            "strategy_kind": ["trend"] * n,
            "claimed_setups": signals.claims,
            "model_version": [f"v{version}" for version in signals.version.tolist()],
            "indicators": ["{}"] * n,
            "heads": ["{}"] * n,
            "regime": [""] * n,
            "created_at": moments,
        },
        key=None,
    )


def _store_trades(account: Any, instrument: Any, candles: Any, signals: Any, count: int) -> None:
    """Every so many signals executed, half an hour to a day long, a tenth of a pip late."""
    import numpy as np

    from benchmarks._market import price_texts
    from post_mortem.selectors.columns import from_ns
    from trading.models import Signal, Trade

    picked = np.linspace(0, signals.time.size - 1, count).astype(np.int64)
    rng = np.random.default_rng(3)
    first = np.searchsorted(candles.time, signals.time[picked])
    last = np.minimum(first + rng.integers(30, 1440, count), len(candles) - 1)
    ids = list(Signal.objects.order_by("time", "pk").values_list("pk", flat=True))
    entry = price_texts(signals.entry[picked] + signals.side[picked])
    texts = {
        "requested_entry": price_texts(signals.entry[picked]),
        "exit_price": price_texts(candles.close[last] // 2),
        "stop_loss_initial": price_texts(signals.stop[picked]),
        "take_profit": price_texts(signals.target[picked]),
    }
    Trade.objects.bulk_create(
        Trade(
            account=account,
            signal_id=ids[signal],
            instrument=instrument,
            dedupe_key=f"made {i}",
            side=int(signals.side[signal]),
            quantity=Decimal("0.10"),
            entry_price=Decimal(entry[i]),
            opened_at=from_ns(int(candles.time[first[i]])),
            closed_at=from_ns(int(candles.time[last[i]])),
            exit_reason="manual",
            stop_loss_final=Decimal(texts["stop_loss_initial"][i]),
            strategy="made",
            **{name: Decimal(column[i]) for name, column in texts.items()},
        )
        for i, signal in enumerate(picked.tolist())
    )


# --- ours ---------------------------------------------------------------------------------------


def autopsy(signals: int) -> dict[str, Any]:
    from post_mortem.models import InsightAudit
    from post_mortem.services.audits import run_autopsy

    stages: dict[str, float] = {}
    with timed_calls(stages):
        started, busy = time.perf_counter(), time.process_time()
        summary = run_autopsy()
        seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    started = time.perf_counter()
    again = run_autopsy()
    second = time.perf_counter() - started
    assert (again.new, again.updated) == (0, 0), again.as_dict()
    stored = InsightAudit.objects.exclude(horizon="TRADE")
    labels = stored.count()
    assert labels == signals * len(HORIZONS), labels
    failed = stored.filter(outcome=InsightAudit.Outcome.FAILED).count()
    return {
        "labels": labels,
        "audits": summary.cases,
        "seconds": seconds,
        "cpu": cpu,
        "again": second,
        "stages": stages,
        "losers_share": failed / labels,
        "causes": dict(summary.top_causes.most_common()),
    }


@contextmanager
def timed_calls(stages: dict[str, float]) -> Iterator[None]:
    """Where the time goes: wall time inside each stage. One batch is written while the next is
    computed, so together they are more than the run took."""
    from post_mortem.core import surroundings
    from post_mortem.services import audits

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                stages[name] = stages.get(name, 0.0) + time.perf_counter() - started

        return wrapped

    def timed_load(*args: Any) -> Iterator[Any]:
        batches = audits_load(*args)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            stages["load"] = stages.get("load", 0.0) + time.perf_counter() - started
            if batch is None:
                return
            yield batch

    places: list[tuple[Any, str, str]] = [
        (audits, "first_touches", "label"),
        (audits, "label", "label"),
        (audits, "bars_read", "inputs"),
        (audits, "input_hashes", "inputs"),
        (audits, "stored_rows", "compare"),
        (audits, "judge", "causes"),
        (audits, "write", "persist"),
        (surroundings, "verify", "setups_within_causes"),
    ]
    places = [place for place in places if hasattr(place[0], place[1])]
    originals = [(module, name, getattr(module, name)) for module, name, _ in places]
    audits_load = audits.group_batches
    for module, name, stage in places:
        setattr(module, name, timed(stage, getattr(module, name)))
    audits.group_batches = timed_load
    try:
        yield
    finally:
        audits.group_batches = audits_load
        for module, name, original in originals:
            setattr(module, name, original)


# --- the naive way ------------------------------------------------------------------------------


def naive_labels(candles: Any, signals: Any, sample: int) -> dict[str, Any]:
    """Label a sample of signals as the specification sketches it, on a table of its own."""
    import numpy as np
    from django.db import connection, models

    from benchmarks._market import PIP_POINTS, price_texts
    from post_mortem.selectors.columns import from_ns
    from post_mortem.services import bulk

    class NaiveCandle(models.Model):
        symbol = models.CharField(max_length=20)
        timeframe = models.CharField(max_length=6)
        timestamp = models.DateTimeField()
        open = models.DecimalField(max_digits=20, decimal_places=5)
        high = models.DecimalField(max_digits=20, decimal_places=5)
        low = models.DecimalField(max_digits=20, decimal_places=5)
        close = models.DecimalField(max_digits=20, decimal_places=5)

        class Meta:
            app_label = "benchmarks"
            indexes = [models.Index(fields=["symbol", "timeframe", "timestamp"], name="naive")]

        def __str__(self) -> str:
            return f"{self.symbol} {self.timestamp}"

    with connection.schema_editor() as editor:
        editor.create_model(NaiveCandle)
    from django.db import transaction

    n = len(candles)
    with transaction.atomic():
        bulk.upsert(
            NaiveCandle,
            {
                "symbol": ["EURUSD"] * n,
                "timeframe": ["1m"] * n,
                "timestamp": bulk.time_column(candles.time),
                **{
                    name: price_texts(getattr(candles, name) // 2)
                    for name in ("open", "high", "low", "close")
                },
            },
            key=None,
        )
    picked = np.linspace(0, signals.time.size - 1, sample).astype(np.int64).tolist()
    prices = {name: price_texts(getattr(signals, name)) for name in ("entry", "stop", "target")}
    band = Decimal(PIP_POINTS * 5) / 100_000
    outcomes: dict[str, int] = {}
    started = time.perf_counter()
    for i in picked:
        entry, stop, target = (Decimal(prices[name][i]) for name in ("entry", "stop", "target"))
        opened = from_ns(int(signals.time[i]))
        for hours in HORIZONS.values():
            rows = NaiveCandle.objects.filter(
                symbol="EURUSD",
                timeframe="1m",
                timestamp__gte=opened,
                timestamp__lt=opened + timedelta(hours=hours),
            ).order_by("timestamp")
            outcome = naive_outcome(rows, int(signals.side[i]), entry, stop, target, band)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    seconds = time.perf_counter() - started
    labels = len(picked) * len(HORIZONS)
    return {"sample": len(picked), "seconds": seconds, "labels_per_s": labels / seconds}


def naive_outcome(
    rows: Any, side: int, entry: Decimal, stop: Decimal, target: Decimal, band: Decimal
) -> str:
    best = worst = Decimal(0)
    last = entry
    for candle in rows:
        high, low = candle.high, candle.low
        ahead, behind = (high, low) if side > 0 else (low, high)
        best = max(best, side * (ahead - entry))
        worst = min(worst, side * (behind - entry))
        if side * (behind - stop) <= 0:
            return "failed"
        if side * (ahead - target) >= 0:
            return "succeeded"
        last = candle.close
    result = side * (last - entry)
    if abs(result) <= band:
        return "neutral"
    return "succeeded" if result > 0 else "failed"


if __name__ == "__main__":
    main()
