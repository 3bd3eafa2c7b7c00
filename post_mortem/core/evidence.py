"""The Evidence: numbered atomic facts about one audit, rendered on read from stored numbers.

`build(subject, label, findings)` is pure: the same stored record gives the same document, word for
word. A fact has a text for people and slots for narratives; both are filled from the same numbers.
Facts about the trade come first (E1 ...), then those of every cause in rank order, then of causes
that were ruled out, so a narrative can cite any of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from . import display
from .reasons import shadow
from .seen import Seen
from .types import ExitReason, Flag, Outcome, Status

WEAK_BELOW = 0.50
LIKELY_BELOW = 0.80
_AT_LEVEL_POINTS = 0.5 + 1e-6  # a fill this near a level lies at it, as in `trade_exits`


@dataclass(frozen=True, slots=True)
class Subject:
    """What the audit is about, as the trader knows it. Prices are floats of the exact texts."""

    symbol: str
    side: int
    horizon: str
    timeframe: str
    strategy: str
    point: Decimal
    pip: Decimal
    has_pip: bool
    entry_time: int
    entry_price: float
    stop_price: float | None = None
    target_price: float | None = None
    stop_final: float | None = None
    quantity: float | None = None
    net_pnl: float | None = None
    currency: str = ""
    score: float | None = None
    min_score: float | None = None
    claimed_setups: tuple[str, ...] | None = None
    exit_text: str = ""
    news: Mapping[int, tuple[int, str, str]] = field(default_factory=dict)
    """News by key: (time ns, currency, title)."""
    bar_ns: int = 0
    bars: Sequence[int] = ()
    """Open times (ns) of the stored bars from the entry bar on, where the reader has them."""
    feeds: Mapping[str, str] = field(default_factory=dict)
    """What was there to check with: candles, spread, news, peers, fills, history ... in words."""
    signal_time: int | None = None
    in_ranges: bool = False
    """No initial stop is known, so sizes are told in average ranges (ATR14) and never in R."""
    setup_bar_ns: int = 0
    """Length of the bars on which the claimed setups were looked for; 0 where not known."""
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True, slots=True)
class LabelNumbers:
    """The label of one audit; None where unknown."""

    outcome: int
    shadow_outcome: int
    exit_reason: int
    exit_time: int | None
    exit_price: float | None
    pips: float | None
    pnl_pct: float | None
    r: float | None
    mfe_r: float | None
    mae_r: float | None
    drawdown_r: float | None
    mfe_pips: float | None
    mae_pips: float | None
    coverage: float | None
    flags: int

    def has(self, flag: Flag) -> bool:
        return bool(self.flags & flag)


@dataclass(frozen=True, slots=True)
class CauseNumbers:
    """One cause of one audit, as stored. `facts` holds only known numbers; `others` is the sum of
    the posteriors of the other named causes, with which this one shares its own."""

    cause: str
    status: int
    strength: float
    posterior: float
    confidence: int
    rank: int
    missing: tuple[str, ...]
    facts: Mapping[str, float]
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact before it has a number: side is for, against, context or mind (what would have changed
    the mind of its cause)."""

    kind: str
    text: str
    slots: Mapping[str, str]
    side: str = "context"
    cause: str | None = None
    bar_time: int | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    id: str
    kind: str
    text: str
    slots: Mapping[str, str]
    side: str
    cause: str | None
    bar_time: int | None


@dataclass(frozen=True, slots=True)
class CauseView:
    """A cause as it is shown. `word` is weak, likely or strong; `mind_id` the fact that says what
    would have changed its mind."""

    cause: str
    label: str
    rank: int
    status: int
    confidence: int
    posterior: float
    word: str
    summary: str
    for_ids: tuple[str, ...]
    against_ids: tuple[str, ...]
    missing: tuple[str, ...]
    mind_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that happened at a moment. `time` ns UTC; `offset` is its distance from the entry in
    words; `impact` 1-3 is that of a release, 0 of anything else."""

    fact: Fact
    title: str
    time: int
    offset: str
    impact: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The document. `facts` in order E1..En; causes split by what became of them; `events` are the
    facts that happened at a moment, in order of time."""

    verdict: str
    detail: str
    facts: tuple[Fact, ...]
    ranked: tuple[CauseView, ...]
    ruled_out: tuple[CauseView, ...]
    unchecked: tuple[CauseView, ...]
    events: tuple[Event, ...] = ()

    def by_id(self) -> dict[str, Fact]:
        return {fact.id: fact for fact in self.facts}

    def first(self, kind: str) -> Fact | None:
        return next((fact for fact in self.facts if fact.kind == kind), None)


_UNSAFE = re.compile(r"[<>{}\[\]`]")


def quoted(text: str, limit: int = 80) -> str:
    """Foreign text (a headline, a tag) made inert: one line, no markup, no sentence ends."""
    folded = "".join(
        " " if unicodedata.category(c).startswith(("C", "Z")) else c
        for c in unicodedata.normalize("NFKC", text)
    )
    folded = re.sub(r"[.!?]+(\s|$)", r",\1", _UNSAFE.sub("", folded))
    folded = re.sub(r"\s+", " ", folded).strip(" ,")
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "\u2026"


def posterior_word(posterior: float) -> str:
    if posterior < WEAK_BELOW:
        return "weak"
    return "likely" if posterior < LIKELY_BELOW else "strong"


# --- facts about the trade -----------------------------------------------------------------------


def _distance(subject: Subject, price: float) -> dict[str, str]:
    """A distance from the entry in pips, or in basis points where no pip convention exists."""
    gap = abs(price - subject.entry_price)
    basis_points = display.fixed(gap / subject.entry_price * 10_000, 1) + " bp"
    if not subject.has_pip:
        return {"distance": basis_points}
    return {"distance": display.pips(gap / float(subject.pip)), "distance_bp": basis_points}


def _plan_facts(subject: Subject) -> list[Draft]:
    side = "long" if subject.side > 0 else "short"
    price = display.price(subject.entry_price, subject.point)
    drafts = [
        Draft(
            "entry",
            f"{subject.symbol} {side} at {price}, {display.moment(subject.entry_time)}",
            {
                "symbol": subject.symbol,
                "side": side,
                "price": price,
                "time": display.moment(subject.entry_time),
                "horizon": subject.horizon,
                "timeframe": subject.timeframe,
            },
            bar_time=subject.entry_time,
        )
    ]
    for kind, level, name in (
        ("stop", subject.stop_price, "Stop"),
        ("target", subject.target_price, "Target"),
    ):
        if level is None:
            continue
        slots = {"price": display.price(level, subject.point)} | _distance(subject, level)
        drafts.append(Draft(kind, f"{name} {slots['price']}, {slots['distance']} away", slots))
    return drafts


def _result_fact(subject: Subject, label: LabelNumbers) -> Draft | None:
    slots: dict[str, str] = {}
    if label.r is not None:
        slots |= {
            "r": display.r_multiple(label.r),
            "r_abs": display.r_multiple(abs(label.r), signed=False),
        }
    if label.pips is not None and subject.has_pip:
        slots |= {
            "pips": display.pips(label.pips, signed=True),
            "pips_abs": display.pips(abs(label.pips)),
        }
    if label.pnl_pct is not None:
        slots |= {
            "pct": f"{display.fixed(label.pnl_pct, 2, signed=True)} %",
            "pct_abs": f"{display.fixed(abs(label.pnl_pct), 2)} %",
        }
    if subject.net_pnl is not None:
        slots["money"] = display.money(subject.net_pnl, subject.currency)
    if not slots:
        return None
    shown = [slots[key] for key in ("r", "pips", "pct", "money") if key in slots]
    return Draft("result", "Result " + ", ".join(shown), slots)


def ended_at(subject: Subject, label: LabelNumbers) -> ExitReason:
    """What ended it, as far as the exit price bears it out: a stop or target that a trade was left
    short of (moved, or held on after it was reached) did not end it, and is told as MANUAL."""
    reason = ExitReason(label.exit_reason)
    level = {ExitReason.SL: subject.stop_price, ExitReason.TP: subject.target_price}.get(reason)
    if subject.horizon != "TRADE" or level is None or label.exit_price is None:
        return reason
    direction = -subject.side if reason == ExitReason.SL else subject.side
    beyond = direction * (label.exit_price - level)
    return reason if beyond >= -_AT_LEVEL_POINTS * float(subject.point) else ExitReason.MANUAL


def at_final_stop(subject: Subject, label: LabelNumbers) -> bool:
    """Whether it was left at the only stop that is known of it, the final one."""
    if subject.stop_price is not None or subject.stop_final is None or label.exit_price is None:
        return False
    apart = abs(label.exit_price - subject.stop_final)
    return apart <= _AT_LEVEL_POINTS * float(subject.point)


def _exit_fact(subject: Subject, label: LabelNumbers) -> Draft | None:
    if label.exit_time is None or label.exit_price is None:
        return None
    held = label.exit_time - subject.entry_time
    slots = {
        "price": display.price(label.exit_price, subject.point),
        "time": display.moment(label.exit_time),
        "held": display.duration(held),
    }
    how = {
        ExitReason.SL: "by the stop",
        ExitReason.TP: "by the target",
        ExitReason.TIME: "at the end of the horizon",
        ExitReason.MANUAL: "by hand or by the strategy",
    }.get(ended_at(subject, label), "")
    text = f"Exit {how} at {slots['price']}, {slots['time']}, after {slots['held']}"
    return Draft("exit", text.replace("  ", " "), slots, bar_time=label.exit_time)


def _path_facts(subject: Subject, label: LabelNumbers) -> list[Draft]:
    drafts = []
    seen = subject.seen
    for kind, in_r, in_pips, words, time in (
        ("mfe", label.mfe_r, label.mfe_pips, "Best unrealised gain", seen.mfe_time),
        ("mae", label.mae_r, label.mae_pips, "Worst unrealised loss", seen.mae_time),
        ("drawdown", label.drawdown_r, None, "Largest give-back from a best point", None),
    ):
        slots = {}
        if in_r is not None:
            slots["r"] = display.r_multiple(in_r, signed=False)
        if in_pips is not None and subject.has_pip:
            slots["pips"] = display.pips(in_pips)
        if slots:
            text = f"{words} {', '.join(slots.values())}"
            drafts.append(Draft(kind, text, slots, bar_time=time))
    return drafts


def _plan_ratio_fact(subject: Subject, label: LabelNumbers) -> list[Draft]:
    if subject.stop_price is None or subject.target_price is None:
        return []
    risk = abs(subject.entry_price - subject.stop_price)
    passed = subject.side * (subject.target_price - subject.entry_price) <= 0
    if risk == 0 or (passed and label.has(Flag.ENTRY_GAP)):
        return []
    ratio = abs(subject.target_price - subject.entry_price) / risk
    break_even = 1 / (1 + ratio)
    slots = {
        "ratio": display.fixed(ratio, 2),
        "break_even": display.percent(break_even),
    }
    text = f"Planned reward {slots['ratio']} times the risk; breaks even at {slots['break_even']}"
    return [Draft("plan_ratio", f"{text} of trades won", slots)]


_FLAG_TEXTS: tuple[tuple[Flag, str], ...] = (
    (Flag.AMBIGUOUS, "Stop and target lie in one bar; counted as the stop"),
    (
        Flag.ENTRY_BAR_AMBIGUOUS,
        "Entered inside a bar whose earlier part could have touched a level",
    ),
    (Flag.ENTRY_OUTSIDE_CANDLE, "The entry price lies outside its candle"),
    (Flag.EXIT_OUTSIDE_CANDLE, "The exit price lies outside its candle"),
    (
        Flag.FAR_OUTSIDE_CANDLE,
        "A price lies over 1 % beyond its candle, as no spread explains: check it in the file",
    ),
    (Flag.STOP_MOVED, "The stop was moved after entry"),
    (
        Flag.HOLE_BEFORE_TOUCH,
        "Bars are missing right before the one that opened at or beyond a level",
    ),
    (Flag.ENTRY_OFF_MARKET, "At the entry the market was at or beyond the stop or target"),
    (
        Flag.ENTRY_GAP,
        "The market opened beyond the entry order: filled at the open, and a target that was"
        " passed by then does not count",
    ),
    (
        Flag.EXIT_BAR_AMBIGUOUS,
        "The bar of the exit also reached a level that the exit price is not at; the exit price"
        " decides",
    ),
    (Flag.RESOLVED_FINER, "What one bar left open was read from finer candles inside it"),
    (Flag.GAP_THROUGH_STOP, "The exit bar opened beyond the stop; filled at its open"),
    (Flag.LOW_COVERAGE, "Too few of the expected bars are stored"),
    (Flag.NO_DATA, "No bars are stored for this time"),
    (Flag.HORIZON_TOO_SHORT, "The horizon is shorter than one bar"),
    (Flag.NOT_FILLED, "The entry order never filled"),
    (Flag.BELOW_THRESHOLD, "The score was below the minimum"),
    (Flag.RISK_FROM_ATR, "No initial stop: causes use the average range as risk, R stays unknown"),
    (Flag.NO_BARRIER, "Neither stop nor target was given"),
    (Flag.ENTRY_BAR_MISSING, "The bar of the entry is not stored"),
    (Flag.BAD_STOP_SIDE, "The stop lies on the profit side of the entry and was not used"),
)


def flag_names(flags: int) -> list[str]:
    """Names of the set flags, lower case, in the order of their bits."""
    return [str(flag.name).lower() for flag in Flag if flags & flag]


def _flag_facts(label: LabelNumbers) -> list[Draft]:
    return [
        Draft("flag", text, {}, side="context") for flag, text in _FLAG_TEXTS if label.has(flag)
    ]


def _gap_fact(subject: Subject, label: LabelNumbers) -> list[Draft]:
    """How far beyond the stop a gap was filled."""
    stop, leave = subject.stop_price, label.exit_price
    if not label.has(Flag.GAP_THROUGH_STOP) or stop is None or leave is None:
        return []
    beyond = subject.side * (stop - leave)
    if beyond <= 0:
        return []
    slots = {
        "price": display.price(leave, subject.point),
        "stop": display.price(stop, subject.point),
        "beyond": display.pips(beyond / float(subject.pip))
        if subject.has_pip
        else display.fixed(beyond / stop * 10_000, 1) + " bp",
    }
    text = f"Filled at {slots['price']}, {slots['beyond']} beyond the stop at {slots['stop']}"
    return [Draft("gap_fill", text, slots)]


def trade_facts(subject: Subject, label: LabelNumbers) -> list[Draft]:
    optional = [_result_fact(subject, label), _exit_fact(subject, label)]
    return [
        *(draft for draft in optional if draft is not None),
        *_plan_facts(subject),
        *_plan_ratio_fact(subject, label),
        *_path_facts(subject, label),
        *_flag_facts(label),
        *_gap_fact(subject, label),
    ]


# --- the verdict, in one sentence ----------------------------------------------------------------


def verdict(subject: Subject, label: LabelNumbers) -> str:
    """The first sentence of the page; figures as in the facts."""
    said = _verdict(subject, label)
    if label.has(Flag.FAR_OUTSIDE_CANDLE):
        return f"Check its prices, one lies far outside its candle. {said}"
    return said


def _verdict(subject: Subject, label: LabelNumbers) -> str:
    outcome = Outcome(label.outcome)
    special = {
        Outcome.PENDING: "Open: the stored candles do not reach the end of its horizon.",
        Outcome.NEEDS_REVIEW: _not_judged(label),
        Outcome.FILTERED_OUT: _filtered(subject, label),
    }
    if outcome in special:
        return special[outcome]
    r = display.r_multiple(label.r) if label.r is not None else _result_without_r(subject, label)
    held = (
        display.duration(label.exit_time - subject.entry_time)
        if label.exit_time is not None
        else "an unknown time"
    )
    if outcome == Outcome.NEUTRAL:
        return f"Closed flat after {held}: {r}."
    reason = ended_at(subject, label)
    if reason != label.exit_reason:
        return f"{_left_short(label)} after {held}: {r}."
    if reason == ExitReason.SL:
        how = (
            "Stop and target lie in one bar. Counted as the stop"
            if label.has(Flag.AMBIGUOUS)
            else f"Stopped out after {held}"
        )
        return f"{how}: {r}."
    if reason == ExitReason.TP:
        heat = f" Heat: {display.r_multiple(label.mae_r, signed=False)}." if label.mae_r else ""
        return f"Target reached in {held}: {r}.{heat}"
    end = "at the end of the horizon" if reason == ExitReason.TIME else f"after {held}"
    word = "Closed with a gain" if outcome == Outcome.SUCCEEDED else "Closed with a loss"
    return f"{word} {end}: {r}."


def _left_short(label: LabelNumbers) -> str:
    """How a trade ended that its level, reached or moved, did not end."""
    won = label.outcome == Outcome.SUCCEEDED
    if label.exit_reason == ExitReason.SL:
        if won:
            return "Closed with a gain by a moved stop"
        if label.r is not None and label.r >= 0:
            return "Its first stop was reached, it was held on and closed"
        return "Closed with a loss short of its first stop"
    if won:
        return "Its target was reached or moved, and it was closed short of it"
    return "Closed with a loss by a moved target"


def _result_without_r(subject: Subject, label: LabelNumbers) -> str:
    if label.pips is not None and subject.has_pip:
        return display.pips(label.pips, signed=True)
    if label.pnl_pct is not None:
        return f"{display.fixed(label.pnl_pct, 2, signed=True)} %"
    return "result unknown"


def _not_judged(label: LabelNumbers) -> str:
    if label.has(Flag.NO_DATA):
        return "Not judged: no candles are stored for this time."
    if label.has(Flag.HORIZON_TOO_SHORT):
        return "Not judged: the horizon is shorter than one bar."
    if label.has(Flag.ENTRY_BAR_MISSING):
        return "Not judged: the candle of the entry is missing."
    if label.has(Flag.ENTRY_OFF_MARKET):
        return "Not judged: at its entry the market was already at or beyond a level."
    if label.has(Flag.HOLE_BEFORE_TOUCH) and not label.has(Flag.LOW_COVERAGE):
        return "Not judged: candles are missing where a level was passed."
    if label.coverage is not None:
        return f"Not judged: only {display.percent(label.coverage)} of the candles are stored."
    return "Not judged: the candles do not allow it."


def _filtered(subject: Subject, label: LabelNumbers) -> str:
    if label.has(Flag.NOT_FILLED):
        return "Filtered out: the entry order never filled."
    text = "Filtered out."
    if subject.score is not None and subject.min_score is not None:
        score = display.by_unit(subject.score, "score", subject.point)
        least = display.by_unit(subject.min_score, "score", subject.point)
        text = f"Filtered out: score {score}, rule asks {least}."
    return f"{text} {shadow(label.shadow_outcome, label.r)}".strip()


# --- the document --------------------------------------------------------------------------------


def number_facts(drafts: Sequence[Draft]) -> tuple[Fact, ...]:
    """Number the drafts E1..En. Every fact gets a slot `said`: its whole text."""
    return tuple(
        Fact(f"E{i}", d.kind, d.text, {**d.slots, "said": d.text}, d.side, d.cause, d.bar_time)
        for i, d in enumerate(drafts, 1)
    )


def view_cause(numbers: CauseNumbers, label: str, summary: str, facts: Sequence[Fact]) -> CauseView:
    mine = [fact for fact in facts if fact.cause == numbers.cause]
    return CauseView(
        cause=numbers.cause,
        label=label,
        rank=numbers.rank,
        status=numbers.status,
        confidence=numbers.confidence,
        posterior=numbers.posterior,
        word=posterior_word(numbers.posterior),
        summary=summary,
        for_ids=tuple(fact.id for fact in mine if fact.side == "for"),
        against_ids=tuple(fact.id for fact in mine if fact.side == "against"),
        missing=numbers.missing,
        mind_id=next((fact.id for fact in mine if fact.side == "mind"), None),
    )


def split_causes(
    views: Sequence[CauseView],
) -> tuple[tuple[CauseView, ...], tuple[CauseView, ...], tuple[CauseView, ...]]:
    """Ranked (fired, and unknown where it ranks first), ruled out, and could not check."""
    named = (v for v in views if v.rank == 1 or (v.rank > 0 and v.cause != "unknown"))
    ranked = sorted(named, key=lambda v: v.rank)
    rest = [v for v in views if v.rank == 0 and v.cause != "unknown"]
    ruled_out = [v for v in rest if v.status == Status.NOT_FIRED and not v.missing]
    unchecked = [v for v in rest if v.status == Status.ABSTAINED or v.missing]
    return tuple(ranked), tuple(ruled_out), tuple(unchecked)
