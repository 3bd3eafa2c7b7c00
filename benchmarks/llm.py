"""500 narratives worded by a model, from stored audits to stored narratives, against the bare SDK.

    python -m benchmarks.llm [--quick] [--count N]

The model is a server in a process of its own that answers honestly after 200 ms, so the ideal wall
time is known: rounds of `concurrency` calls x latency. Ours is the whole path: evidence rendered,
prompt rendered, budget reserved, called, found in the text, validated, grounded, settled, put in
the ledger and stored on SQLite with every commit synced. The bare SDK sends the same prompts and
throws the answers away. Then with one request in twenty refused or failed, and once more with
everything kept from before. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._llm import measure
from benchmarks._model_server import honest_server, requests_seen

LATENCY = 0.2
FAULTS = 0.05
CONCURRENCY = (8, 32)
FULL = {"count": 500, "rounds": 3, "bars": 60_000}
QUICK = {"count": 40, "rounds": 1, "bars": 40_000}
KNOBS = {
    "LLM_DAILY_TOKENS": "1000000000",
    "LLM_DAILY_COST": "1000",
    "LLM_PRICES": "0.15,0.075,0.60",
    "LLM_PAUSED": "0",
    "LLM_SEND_NOTES": "0",
}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--count", type=int, help="how many narratives")
    options = parser.parse_args(arguments)
    size = dict(QUICK if options.quick else FULL)
    size["count"] = options.count or size["count"]
    with tempfile.TemporaryDirectory(prefix="inquest-bench-") as folder:
        os.environ |= KNOBS
        os.environ["INQUEST_DATA_DIR"] = folder
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        django.setup()
        result = run(**size)
    print(json.dumps(result))
    return result


def run(count: int, rounds: int, bars: int) -> dict[str, Any]:
    say("preparing audits")
    audit_ids = prepare(count, bars)
    found: dict[str, Any] = {}
    with honest_server(LATENCY) as url:
        say("importing, connecting")
        word(audit_ids[:4], url, 4)
        prompts = make_prompts(audit_ids)
        asyncio.run(sdk_round(url, prompts[:4], 4))
        for concurrency in CONCURRENCY:
            say(f"{concurrency} at a time")
            found[f"c{concurrency}"] = compare(url, audit_ids, prompts, concurrency, rounds)
        repeated = repeat(url, audit_ids)
    say("one request in twenty failing")
    with honest_server(LATENCY, FAULTS) as url:
        faulty = with_faults(url, audit_ids)
    worst = found[f"c{CONCURRENCY[-1]}"]
    return {
        "benchmark": "llm",
        "analyses": count,
        "latency_ms": LATENCY * 1000,
        "efficiency": worst["efficiency"],
        "cpu_ms": worst["cpu_ms"],
        "bare_sdk_efficiency": worst["bare_sdk_efficiency"],
        "bare_sdk_cpu_ms": worst["bare_sdk_cpu_ms"],
        "requests_per_row": faulty["requests_per_row"],
        **found,
        "with_faults": faulty,
        "repeated": repeated,
        "load_average": round(os.getloadavg()[0], 1),
    }


def say(text: str) -> None:
    print(text, file=sys.stderr)


# --- the audits ---------------------------------------------------------------------------------


def prepare(count: int, bars: int) -> list[int]:
    """Ids of `count` judged audits of trades, each with the built-in narrator's text."""
    from django.core.management import call_command

    from benchmarks._market import make_market, make_signals
    from benchmarks.end_to_end import store
    from post_mortem.models import TradeAnalysis
    from post_mortem.services.audits import run_autopsy
    from post_mortem.services.narratives import narrate_audits

    call_command("migrate", verbosity=0)
    market = make_market(bars)
    # A few are not judged, where the candles end.
    store(market, make_signals(market.candles, 2 * count), 2 * count)
    done = run_autopsy(horizons=["TRADE"])
    narrate_audits(audit_ids=done.audit_ids)
    judged = TradeAnalysis.objects.filter(audit__outcome__in=(1, 2, 3)).order_by("audit_id")
    ids = list(judged.values_list("audit_id", flat=True)[:count])
    assert len(ids) == count, len(ids)
    return ids


def forget(audit_ids: list[int], *, answers: bool) -> None:
    """The narrator's texts again, and without `answers` nothing kept."""
    from post_mortem.models import LLMAnswer, LLMCall
    from post_mortem.services.narratives import narrate_audits

    narrate_audits(audit_ids=audit_ids, force=True)
    LLMCall.objects.all().delete()
    if not answers:
        LLMAnswer.objects.all().delete()


# --- ours and the bare SDK ----------------------------------------------------------------------


def configured(url: str) -> Any:
    from llm.config import LLMConfig

    return LLMConfig(model="honest", base_url=url)


def word(audit_ids: list[int], url: str, concurrency: int) -> Any:
    from datetime import UTC, datetime

    from post_mortem.services.model_narratives import word_narratives

    return word_narratives(
        audit_ids=audit_ids,
        now=datetime.now(tz=UTC),
        config=configured(url),
        concurrency=concurrency,
    )


def make_prompts(audit_ids: list[int]) -> list[tuple[list[dict[str, str]], dict[str, Any]]]:
    """Messages and format of every request ours sends, for the bare SDK to send."""
    from llm.schema import strict_schema
    from post_mortem.services import model_narratives
    from post_mortem.services.answer_shapes import TradeAnswer

    schema = {"name": "trade_analysis", "schema": strict_schema(TradeAnswer), "strict": True}
    response_format = {"type": "json_schema", "json_schema": schema}
    forget(audit_ids, answers=False)
    return [
        (
            [{"role": m.role, "content": m.text} for m in ask.rendered.messages],
            response_format,
        )
        for ask in model_narratives.questions(audit_ids, configured("http://127.0.0.1:9/v1"))
    ]


async def sdk_round(url: str, prompts: list[Any], concurrency: int) -> Any:
    import openai

    left = iter(prompts)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as sdk:

        async def call() -> None:
            messages, response_format = next(left)
            answer = await sdk.chat.completions.create(
                model="honest",
                messages=messages,
                max_tokens=3_000,
                response_format=response_format,
            )
            assert answer.choices[0].message.content

        return await measure(call, calls=len(prompts), concurrency=concurrency, latency=LATENCY)


def our_round(url: str, audit_ids: list[int], concurrency: int) -> dict[str, float]:
    forget(audit_ids, answers=False)
    cpu, started = time.process_time(), time.perf_counter()
    done = word(audit_ids, url, concurrency)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert done.written == len(audit_ids), done
    ideal = -(-len(audit_ids) // concurrency) * LATENCY
    return {"efficiency": ideal / wall, "cpu_ms": cpu / len(audit_ids) * 1000}


def compare(
    url: str, audit_ids: list[int], prompts: list[Any], concurrency: int, rounds: int
) -> dict[str, float]:
    """Medians of alternating rounds, so that a busy moment falls on both."""
    ours, sdk = [], []
    for _ in range(rounds):
        sdk.append(asyncio.run(sdk_round(url, prompts, concurrency)))
        ours.append(our_round(url, audit_ids, concurrency))
        say(f"  ours {ours[-1]} sdk {sdk[-1]}")
    found = {
        "efficiency": statistics.median(one["efficiency"] for one in ours),
        "bare_sdk_efficiency": statistics.median(one.efficiency for one in sdk),
        "cpu_ms": statistics.median(one["cpu_ms"] for one in ours),
        "bare_sdk_cpu_ms": statistics.median(one.cpu_ms for one in sdk),
    }
    found["of_bare_sdk"] = found["efficiency"] / found["bare_sdk_efficiency"]
    return {name: round(value, 3) for name, value in found.items()}


# --- once more, and with faults -----------------------------------------------------------------


def repeat(url: str, audit_ids: list[int]) -> dict[str, float]:
    """The same evidence again: what is kept is used, and nobody is asked."""
    forget(audit_ids, answers=True)
    before, started = requests_seen(url), time.perf_counter()
    done = word(audit_ids, url, CONCURRENCY[0])
    seconds = time.perf_counter() - started
    assert done.cached == done.written == len(audit_ids), done
    return {
        "calls": requests_seen(url) - before,
        "ms_each": round(seconds / len(audit_ids) * 1000, 2),
    }


def with_faults(url: str, audit_ids: list[int]) -> dict[str, Any]:
    from post_mortem.models import LLMCall, TradeAnalysis

    forget(audit_ids, answers=False)
    done = word(audit_ids, url, CONCURRENCY[0])
    rows = TradeAnalysis.objects.filter(audit__in=audit_ids)
    unexplained = rows.filter(source="template", source_reason="").count()
    return {
        "rows": rows.count(),
        "worded": done.written,
        "without_reason": unexplained,
        "reasons": dict(done.reasons),
        "ledger_rows": LLMCall.objects.count(),
        "requests_per_row": round(requests_seen(url) / len(audit_ids), 3),
    }


if __name__ == "__main__":
    main()
