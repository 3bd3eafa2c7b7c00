"""A pattern as stored numbers and as numbered facts.

`statistics_of` is what is stored; facts are rendered from it on read, so wording can improve
without touching what was found.
Under `MIN_FOR_RATES` trades a fact has counts and sums only, so nobody can quote a mean from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trading.core.metrics import MIN_FOR_RATES
from trading.core.types import NS_PER_SECOND

from . import display
from .evidence import Draft, Fact
from .pattern_advice import Worth, worth_of
from .patterns import Cohort, Regularity, Search
from .strength import Half, Period
from .types import CAUSE_LABELS

DAYS_A_MONTH = 365.25 / 12
LEAST_DAYS_FOR_PACE = 28

Statistics = Mapping[str, Any]
Parts = Sequence[Sequence[str]]

# Heads of a noun phrase; every other part follows as its feature words it.
_NOUNS: Mapping[str, str] = {
    "that claim BOS": "BOS trades",
    "that claim choch": "CHoCH trades",
    "that claim FVG": "FVG trades",
    "that claim order block": "Order blocks",
    "that claim breakout": "Breakouts",
    "that claim sweep": "Sweeps",
    "that are long": "Longs",
    "that are short": "Shorts",
}


def noun_phrase(parts: Parts) -> str:
    """What the trades are, to begin a sentence with: `Breakouts in Asia`."""
    words = [words for _, words in parts]
    if parts[0][0] == "cause":
        return CAUSE_LABELS[words[0]]
    head = next((word for word in words if word in _NOUNS), None)
    rest = [word for word in words if word != head]
    return " ".join([_NOUNS[head] if head else "Trades", *rest])


def pattern_type(found: Regularity) -> str:
    if found.kind == "cause":
        return "cause"
    return "leak" if found.is_leak else "edge"


# --- stored numbers -----------------------------------------------------------------------------


def statistics_of(found: Regularity, search: Search) -> dict[str, Any]:
    """JSON-ready; R to four places, times in seconds."""
    return {
        "kind": found.kind,
        "type": pattern_type(found),
        "parts": [list(part) for part in found.parts],
        "won_rate": _rounded(found.rate),
        "won_rate_low": _rounded(found.low),
        "won_rate_high": _rounded(found.high),
        "n": found.n,
        "won": found.won,
        "mean_r": _rounded(found.mean_r),
        "r_low": _rounded(found.r_low),
        "r_high": _rounded(found.r_high),
        "total_r": _rounded(found.total_r),
        "others": _cohort(found.others),
        "effect_r": _rounded(found.effect_r),
        "expected_r": _rounded(found.expected_r),
        "expected_low": _rounded(found.expected_low),
        "expected_high": _rounded(found.expected_high),
        "confidence": found.confidence,
        "chance": _rounded(found.chance),
        "tried": found.tried,
        "of_trades": search.n,
        "per_month": _pace(found.n, search.days),
        "recent_mean_r": _rounded(found.recent_mean_r),
        "trend": found.trend,
        "halves": [_half(half) for half in found.halves],
        "periods": [_period(period) for period in found.periods],
        "regimes": [_cohort(cohort) for cohort in found.regimes],
        "cohorts": [_cohort(cohort) for cohort in found.cohorts],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _pace(n: int, days: float) -> float | None:
    """Trades a month; None where the time looked at is too short for one."""
    return None if days < LEAST_DAYS_FOR_PACE else round(n / (days / DAYS_A_MONTH), 4)


def _cohort(cohort: Cohort) -> dict[str, Any]:
    return {
        "words": cohort.words,
        "n": cohort.n,
        "won": cohort.won,
        "total_r": _rounded(cohort.total_r),
        "mean_r": _rounded(cohort.mean_r),
        "r_low": _rounded(cohort.r_low),
        "r_high": _rounded(cohort.r_high),
    }


def _half(half: Half) -> dict[str, Any]:
    return {"n": half.n, "won": half.won, "total_r": _rounded(half.total_r)}


def _period(period: Period) -> dict[str, Any]:
    return {
        "start": period.start // NS_PER_SECOND,
        "stop": period.stop // NS_PER_SECOND,
        "n": period.n,
        "won": period.won,
        "total_r": _rounded(period.total_r),
        "mean_r": _rounded(period.mean_r),
        "r_low": _rounded(period.r_low),
        "r_high": _rounded(period.r_high),
    }


def evidence_hash(statistics: Statistics) -> str:
    canonical = json.dumps(statistics, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# --- facts --------------------------------------------------------------------------------------


def _drafts(s: Statistics) -> Iterator[Draft]:
    kind, words = noun_phrase(s["parts"]), " ".join(words for _, words in s["parts"])
    named = {"kind": kind, "words": words}
    yield _counted("pattern", kind, s, named)
    yield _counted("others", "All other trades", s["others"], {})
    if s["kind"] == "conditions":
        tried = display.count(s["tried"])
        yield Draft("tried", f"Holds after correcting for {tried} kinds tried", {"tried": tried})
    if s["expected_r"] is not None:
        slots = {
            "r": display.r_multiple(s["expected_r"]),
            "low": display.r_multiple(s["expected_low"]),
            "high": display.r_multiple(s["expected_high"]),
        }
        text = f"One more is expected to bring {slots['r']} ({slots['low']} to {slots['high']})"
        yield Draft("expected", text, slots)
    if s["per_month"] is not None:
        pace = display.fixed(s["per_month"], 1)
        yield Draft("pace", f"There were {pace} a month", {"per_month": pace})
    for name, half in zip(("earlier", "later"), s["halves"], strict=True):
        if half["n"]:
            yield _counted(name, f"The {name} of them", half, {})
    for cohort in s["regimes"]:
        named = {"words": cohort["words"]}
        yield _counted("regime", f"Of them {cohort['words']}", cohort, named)
    for cohort in s["cohorts"]:
        named = {"words": cohort["words"]}
        yield _counted("cohort", f"To compare: {cohort['words']}", cohort, named)


def _counted(kind: str, title: str, s: Statistics, named: Mapping[str, str]) -> Draft:
    """Trades by count and sum; the mean with its range from `MIN_FOR_RATES` on."""
    slots = {
        **named,
        "n": display.count(s["n"]),
        "won": display.count(s["won"]),
        "total": _total(s["total_r"]),
    }
    text = f"{title}: {slots['won']} of {slots['n']} won, {slots['total']} in all"
    if s["n"] >= MIN_FOR_RATES and s.get("mean_r") is not None and s["r_low"] is not None:
        slots |= {
            "each": display.r_multiple(s["mean_r"]),
            "low": display.fixed(s["r_low"], 2, signed=True),
            "high": display.fixed(s["r_high"], 2, signed=True),
        }
        text += f", {slots['each']} each ({slots['low']} to {slots['high']})"
    return Draft(kind, text, slots)


def numbered(drafts: Sequence[Draft], first: int = 1) -> tuple[Fact, ...]:
    return tuple(
        Fact(f"E{first + i}", d.kind, d.text, d.slots, d.side, d.cause, d.bar_time)
        for i, d in enumerate(drafts)
    )


def facts_of(statistics: Statistics, first: int = 1) -> tuple[Fact, ...]:
    """The facts of one pattern, numbered from `first`."""
    return numbered(list(_drafts(statistics)), first)


def of_kind(facts: Sequence[Fact], kind: str) -> Fact | None:
    return next((fact for fact in facts if fact.kind == kind), None)


# --- plans --------------------------------------------------------------------------------------

# Of a pattern's facts, those that a rule rests on.
_OF_PLANS = frozenset(("pattern", "others", "tried", "expected", "pace"))


def plan_facts(evidence: Sequence[Mapping[str, Any]]) -> tuple[tuple[Fact, ...], ...]:
    """The facts of a plan, numbered through, a tuple for each piece of its evidence: a mapping with
    `statistics`, `avoids` (whether its rule takes no such trade) and `hours` (None: not known)."""
    groups: list[tuple[Fact, ...]] = []
    for piece in evidence:
        drafts = [draft for draft in _drafts(piece["statistics"]) if draft.kind in _OF_PLANS]
        worth = worth_of(piece["statistics"], piece["hours"]) if piece["avoids"] else None
        if worth is not None:
            drafts.append(_worth(worth))
        groups.append(numbered(drafts, 1 + sum(map(len, groups))))
    return tuple(groups)


def _worth(worth: Worth) -> Draft:
    slots = {
        "r_month": _total(worth.r_month),
        "low": _total(worth.low),
        "high": _total(worth.high),
        "helps": f"{worth.helps} of 100",
    }
    text = f"Worth {slots['r_month']} a month ({slots['low']} to {slots['high']})"
    if worth.per_hour is not None:
        slots["per_hour"] = _total(worth.per_hour)
        text += f", {slots['per_hour']} a month for an hour of work"
    return Draft("worth", text, slots)


def _total(value: float) -> str:
    return f"{display.fixed(value, 1, signed=True)} R"
