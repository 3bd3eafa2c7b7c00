"""Whether verdicts are right, on histories whose truth is known; see the package."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from post_mortem.core.impact import Impact, judge, judge_many
from post_mortem.core.measurement import History, MeasurementPlan

from . import naive
from .second import SD_R as SECOND_SD_R
from .second import second_history
from .worlds import SD_R, WORLDS, Batch, history_of, make_batch

Item = tuple[History, MeasurementPlan]
SIZES = {
    "full": {"each": 1000, "many": 100, "peeked": 500},
    "quick": {"each": 40, "many": 4, "peeked": 20},
}
STREAKS = ("iid", "drift", "break", "hard")
PER_ARM = 300
MANY, TRUE = 20, 4


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="Verdicts on histories whose truth is known.")
    parser.add_argument("--quick", action="store_true", help="a small run")
    quick = parser.parse_args(arguments).quick
    size = SIZES["quick" if quick else "full"]
    experiments = {name: _experiment(name, size) for name in ("iid", "drift", "break", "second")}
    observed = {name: _observed(name, size["each"]) for name in (*STREAKS, "second")}
    thin = {f"{name} {b}/{c}": _thin(name, b, c, size["each"]) for name, b, c in THIN}
    alone = _alone(size["each"])
    discoveries = _discoveries(size["many"])
    judged = [observed[name] for name in ("iid", "drift", "break", "second")] + list(thin.values())
    result = {
        "benchmark": "impact",
        "quick": quick,
        "histories": size["each"],
        "ab_false_helped": max(e["false_helped"] for e in experiments.values()),
        "ab_power_025": min(e["power_025"] for e in experiments.values()),
        "observational_false": max(o["false"] for o in judged),
        "coverage": [min(o["coverage"] for o in judged), max(o["coverage"] for o in judged)],
        "fdr": discoveries["fdr"],
        "monte_carlo_error": math.sqrt(0.05 * 0.95 / size["each"]),
        "naive": _naive(observed, experiments, discoveries),
        "judge_seconds_per_1000": _speed(),
        "experiments": experiments,
        "observed": observed,
        "thin": thin,
        "without_comparison": alone,
        "many": discoveries,
    }
    print(json.dumps(result))
    return result


THIN = (("drift", 120, 3), ("drift", 360, 1), ("break", 360, 1), ("drift", 60, 3))


def _share(values: Iterable[bool]) -> float:
    return float(np.mean(list(values)))


def _rates(found: list[Impact], truth: float) -> dict[str, float]:
    """What was said where the truth is `truth` R a trade."""
    told = [f for f in found if f.ci is not None]
    return {
        "helped": _share(f.verdict in ("helped", "likely_helped") for f in found),
        "hurt": _share(f.verdict in ("hurt", "likely_hurt") for f in found),
        "bare": _share(f.verdict in ("helped", "hurt") for f in found),
        "not_evidence": _share(f.verdict == "not_evidence" for f in found),
        "coverage": _share(f.ci[0] <= truth <= f.ci[1] for f in told if f.ci) if told else 0.0,
        "bias": float(np.mean([(f.estimate_r or 0.0) - truth for f in told])) if told else 0.0,
    }


def _made(name: str, n: int, **shape: int) -> Callable[[int, float], Item]:
    """Histories of a world: (number, effect) -> history. Numbers reach to n."""
    if name == "second":
        return lambda i, effect: second_history(i, effect)
    batch: Batch = make_batch(WORLDS[name], n, seed=101, **shape)
    return lambda i, effect: history_of(batch, i, effect)


def _observed(name: str, n: int) -> dict[str, Any]:
    make = _made(name, n)
    nothing = [make(i, 0.0) for i in range(n)]
    none = _rates([judge(*item) for item in nothing], 0.0)
    small = _rates([judge(*make(i, 0.25)) for i in range(n)], 0.25 * _sd(name))
    large = _rates([judge(*make(i, 0.5)) for i in range(n)], 0.5 * _sd(name))
    cut = [judge(h, plan, _time_of(h, plan, 100)) for h, plan in nothing]
    return {
        "false": none["helped"] + none["hurt"],
        "false_helped": none["helped"],
        "bare_helped": none["bare"] + small["bare"] + large["bare"],
        "not_evidence": none["not_evidence"],
        "coverage": none["coverage"],
        "coverage_at_100": _rates(cut, 0.0)["coverage"],
        "bias_at_100": _rates(cut, 0.0)["bias"],
        "bias": none["bias"],
        "power_025": small["helped"],
        "power_050": large["helped"],
        "naive_once_100": _share(naive.before_after(*item, 100) != 0 for item in nothing),
        "naive_once_300": _share(naive.before_after(*item, 300) != 0 for item in nothing),
        "naive_daily": _share(naive.before_after_daily(*item, 300) != 0 for item in nothing),
    }


def _sd(name: str) -> float:
    return SECOND_SD_R if name == "second" else SD_R


def _time_of(history: History, plan: MeasurementPlan, n: int) -> int:
    """When the n-th covered trade after the change came."""
    mine = history.time[history.covered & (history.time >= plan.implemented_at)]
    return int(mine[min(n, mine.size) - 1])


def _thin(name: str, before: int, cells: int, n: int) -> dict[str, float]:
    make = _made(name, n, before=before, cells=cells)
    none = _rates([judge(*make(i, 0.0)) for i in range(n)], 0.0)
    half = _rates([judge(*make(i, 0.5)) for i in range(n)], 0.5 * SD_R)
    return {
        "false": none["helped"] + none["hurt"],
        "coverage": none["coverage"],
        "bias": none["bias"],
        "power_050": half["helped"],
    }


def _alone(n: int) -> dict[str, float]:
    """Without comparison trades, where the market breaks for everybody."""
    batch = make_batch(WORLDS["break"], n, seed=103)
    items = [history_of(batch, i, 0.0, cells=0) for i in range(n)]
    verdicts = [judge(*item).verdict for item in items]
    return {
        "not_evidence": _share(v == "not_evidence" for v in verdicts),
        "naive_once_300": _share(naive.before_after(*item, 300) != 0 for item in items),
    }


def _experiment(name: str, size: dict[str, int]) -> dict[str, Any]:
    n, sd = size["each"], _sd(name)
    if name == "second":

        def make(i: int, effect: float) -> Item:
            return second_history(i, effect, after_days=390, cells=0, experiment=True)
    else:
        batch = make_batch(WORLDS[name], n, seed=107, before=60, after=2 * PER_ARM, cells=0)

        def make(i: int, effect: float) -> Item:
            return history_of(batch, i, effect, salt=f"{name} {i}")

    nothing = [make(i, 0.0) for i in range(n)]
    none = _rates([judge(*item) for item in nothing], 0.0)
    quarter = [make(i, 0.25) for i in range(n)]
    small = _rates([judge(*item) for item in quarter], 0.25 * sd)
    large = _rates([judge(*make(i, 0.5)) for i in range(n)], 0.5 * sd)
    found = {
        "false_helped": none["helped"],
        "false": none["helped"] + none["hurt"],
        "blocked": none["not_evidence"],
        "coverage": none["coverage"],
        "bias": none["bias"],
        "power_025": small["helped"],
        "power_050": large["helped"],
    }
    peeked = nothing[: size["peeked"]]
    found["naive_daily"] = _share(naive.arms_daily(*item) != 0 for item in peeked)
    found["naive_daily_helped"] = _share(naive.arms_daily(*item) > 0 for item in peeked)
    sequential = naive.sequential()
    for tuning in (5000, 200):
        key = f"gbstats_{tuning}"
        found[key] = (
            None
            if sequential is None
            else {
                "false": _share(sequential(*item, tuning) != 0 for item in peeked),
                "power_025": _share(
                    sequential(*item, tuning) > 0 for item in quarter[: size["peeked"]]
                ),
            }
        )
    return found


def _discoveries(repetitions: int) -> dict[str, Any]:
    """Twenty pieces of advice at once, four of which truly add half a standard deviation."""
    batch = make_batch(WORLDS["drift"], repetitions * MANY, seed=109, after=300)
    ours, each, simple, found, single = [], [], [], [], []
    for repetition in range(repetitions):
        items = [
            history_of(batch, repetition * MANY + i, 0.5 if i < TRUE else 0.0) for i in range(MANY)
        ]
        together = [_sign(f.verdict) for f in judge_many(items)]
        apart = [_sign(judge(*item).verdict) for item in items]
        plain = [naive.before_after(*item, 100) for item in items]
        ours.append(_false_share(together))
        each.append(_false_share(apart))
        simple.append(_false_share(plain))
        found.append(_share(v > 0 for v in together[:TRUE]))
        single.append(_share(v > 0 for v in apart[:TRUE]))
    return {
        "fdr": float(np.mean(ours)),
        "fdr_one_by_one": float(np.mean(each)),
        "fdr_naive": float(np.mean(simple)),
        "power": float(np.mean(found)),
        "power_one_by_one": float(np.mean(single)),
    }


def _sign(verdict: str) -> int:
    return {"likely_helped": 1, "helped": 1, "likely_hurt": -1, "hurt": -1}.get(verdict, 0)


def _false_share(signs: list[int]) -> float:
    """Of all that were called, how many are not so."""
    called = [i for i, sign in enumerate(signs) if sign]
    wrong = [i for i in called if i >= TRUE or signs[i] < 0]
    return len(wrong) / len(called) if called else 0.0


def _naive(
    observed: dict[str, Any], experiments: dict[str, Any], discoveries: dict[str, Any]
) -> dict[str, Any]:
    """The usual ways on the same histories, each at its worst world as ours are."""
    return {
        "observational_false": max(
            observed[n]["naive_once_300"] for n in ("iid", "drift", "break")
        ),
        "observational_false_daily": max(
            observed[n]["naive_daily"] for n in ("iid", "drift", "break")
        ),
        "ab_false_helped": max(e["naive_daily_helped"] for e in experiments.values()),
        "ab_false": max(e["naive_daily"] for e in experiments.values()),
        "fdr": discoveries["fdr_naive"],
        "gbstats": "installed" if naive.sequential() else "absent",
    }


def _speed() -> float:
    """Seconds for 1,000 pieces of advice with 1,000 trades each (100 after), judged together."""
    batch = make_batch(WORLDS["drift"], 100, seed=113, before=150, after=100)
    items = [history_of(batch, i % 100, 0.0) for i in range(1000)]
    start = time.perf_counter()
    judge_many(items)
    return time.perf_counter() - start
