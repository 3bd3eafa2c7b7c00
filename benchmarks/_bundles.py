"""Made-up audits with findings, and the documents of evidence they give.

A bundle is what a writer sees of one audit. Numbers are drawn from a seed over wide ranges; they
need not be likely, they need to be many and different."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final

from post_mortem.core.advice import suggest
from post_mortem.core.causes import FACTS
from post_mortem.core.claims import Ground
from post_mortem.core.evidence import CauseNumbers, Evidence, LabelNumbers, Subject
from post_mortem.core.types import CAUSES, ExitReason, FactSpec, Outcome, Status
from post_mortem.core.wording import build
from trading.core.types import NS_PER_HOUR, NS_PER_MINUTE

_MARKETS: Final = (
    ("EURUSD", "0.00001", "0.0001", True, 1.38626),
    ("USDJPY", "0.001", "0.01", True, 151.203),
    ("US30", "0.1", "0.1", False, 38_912.4),
    ("BTC/USDT", "0.01", "0.01", False, 64_120.55),
)
_ENDS: Final = (
    (Outcome.FAILED, ExitReason.SL),
    (Outcome.FAILED, ExitReason.TIME),
    (Outcome.FAILED, ExitReason.MANUAL),
    (Outcome.SUCCEEDED, ExitReason.TP),
    (Outcome.SUCCEEDED, ExitReason.TIME),
    (Outcome.NEUTRAL, ExitReason.TIME),
)
_TITLES: Final = ("Nonfarm payrolls", "CPI y/y", "Rate decision", "7-year auction results")
_START: Final = 1_399_000_000 * 10**9


@dataclass(frozen=True, slots=True)
class Bundle:
    """One audit: its document, what a text about it may claim, and the narrator's own text."""

    subject: Subject
    label: LabelNumbers
    evidence: Evidence
    ground: Ground
    own: dict[str, Any]


def make_bundle(seed: int) -> Bundle:
    rng = random.Random(seed)
    symbol, point, pip, has_pip, price = rng.choice(_MARKETS)
    side = rng.choice((1, -1))
    outcome, reason = rng.choice(_ENDS)
    risk = price * rng.uniform(0.0005, 0.004)
    ratio = rng.choice((1.0, 1.5, 2.0, 3.0))
    entry = _START + rng.randrange(10_000) * NS_PER_MINUTE
    r = _result(rng, outcome, reason, ratio)
    keys = [rng.randrange(1, 99) for _ in range(2)]
    subject = Subject(
        symbol=symbol,
        side=side,
        horizon=rng.choice(("1H", "4H", "24H", "TRADE")),
        timeframe=rng.choice(("1m", "5m", "1h")),
        strategy="breakout",
        point=Decimal(point),
        pip=Decimal(pip),
        has_pip=has_pip,
        entry_time=entry,
        entry_price=price,
        stop_price=price - side * risk,
        target_price=price + side * risk * ratio,
        net_pnl=round(r * rng.uniform(50, 900), 2),
        currency="USD",
        news={k: (entry + 3 * NS_PER_MINUTE, "USD", rng.choice(_TITLES)) for k in keys},
        bar_ns=NS_PER_MINUTE,
    )
    label = _label(rng, subject, outcome, reason, r, risk)
    judged = outcome == Outcome.FAILED
    findings = _findings(rng, keys, judged)
    evidence = build(subject, label, findings)
    causes = tuple(view.cause for view in evidence.ranked)
    ground = Ground(
        evidence.by_id(), outcome, reason, side, causes, (f"nonce-{rng.getrandbits(64):x}",)
    )
    own = _narrator()(subject, label, evidence, suggest(subject, label, findings))
    return Bundle(subject, label, evidence, ground, own)


@cache
def _narrator() -> Callable[..., dict[str, Any]]:
    """The offline narrator; its package needs settings, not a database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from post_mortem.services.narrator import narrate

    return narrate


def _result(rng: random.Random, outcome: Outcome, reason: ExitReason, ratio: float) -> float:
    if outcome == Outcome.NEUTRAL:
        return rng.uniform(-0.1, 0.1)
    if reason == ExitReason.SL:
        return -1.0 - rng.expovariate(10)
    if reason == ExitReason.TP:
        return ratio
    return rng.uniform(0.15, 0.9) * (1 if outcome == Outcome.SUCCEEDED else -1)


def _label(
    rng: random.Random,
    subject: Subject,
    outcome: Outcome,
    reason: ExitReason,
    r: float,
    risk: float,
) -> LabelNumbers:
    move = r * risk
    pip = float(subject.pip)
    mfe, mae = max(r, 0) + rng.expovariate(3), max(-r, 0) + rng.expovariate(5)
    return LabelNumbers(
        outcome=outcome,
        shadow_outcome=0,
        exit_reason=reason,
        exit_time=subject.entry_time + rng.randrange(1, 90) * NS_PER_HOUR // 7,
        exit_price=subject.entry_price + subject.side * move,
        pips=move / pip,
        pnl_pct=move / subject.entry_price * 100,
        r=r,
        mfe_r=mfe,
        mae_r=mae,
        drawdown_r=mfe + mae * rng.random(),
        mfe_pips=mfe * risk / pip,
        mae_pips=mae * risk / pip,
        coverage=rng.uniform(0.95, 1.0),
        flags=0,
    )


def _findings(rng: random.Random, keys: list[int], judged: bool) -> list[CauseNumbers]:
    """Up to three fired causes of a loser; some could not be checked, the rest ruled out."""
    if not judged:
        return []
    named = [cause for cause in CAUSES if cause != "unknown"]
    fired = rng.sample(named, rng.choice((0, 1, 1, 2, 3)))
    posteriors = sorted((rng.uniform(0.35, 0.97) for _ in fired), reverse=True)
    found = []
    for cause in CAUSES:
        facts = {spec.key: _number(rng, spec, keys) for spec in FACTS[cause]}
        if cause in fired:
            at = fired.index(cause)
            found.append(
                CauseNumbers(
                    cause, Status.FIRED, 0.9, posteriors[at], rng.randrange(30, 86), at + 1, (),
                    facts,
                )
            )  # fmt: skip
        elif cause == "unknown":
            rank = 0 if fired else 1
            status = Status.NOT_FIRED if fired else Status.FIRED
            found.append(CauseNumbers(cause, status, 0.5, 0.3, 20, rank, (), facts))
        elif rng.random() < 0.25:
            found.append(CauseNumbers(cause, Status.ABSTAINED, 0.0, 0.0, 0, 0, ("news",), {}))
        else:
            found.append(CauseNumbers(cause, Status.NOT_FIRED, 0.0, 0.05, 0, 0, (), facts))
    return found


def _number(rng: random.Random, spec: FactSpec, keys: list[int]) -> float:
    if spec.unit == "code":
        return float(rng.randrange(max(1, len(spec.choices))))
    if spec.unit == "key":
        return float(rng.choice(keys))
    if spec.unit == "count":
        return float(rng.randrange(0, 400))
    if spec.unit == "probability":
        return round(rng.random(), 4)
    if spec.unit == "bars":
        return float(rng.randrange(0, 60))
    return round(rng.uniform(0, 9), 4)
