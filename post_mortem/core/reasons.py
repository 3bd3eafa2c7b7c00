"""Why an audit has no plain verdict, in words, and the one thing that would help.

The words are made from what is stored with the audit, so pages, API and export say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading.core.errors import UserError
from trading.core.types import NS_PER_MINUTE, NS_PER_SECOND, timeframe_ns

from . import display
from .types import Flag, Outcome

_LONG_UNITS = {"s": "s", "m": "min", "h": "h", "d": "d", "w": "w"}


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` for programs, `text` a sentence or two. `action` is what to do, "" where nothing
    helps; `imports` is what kind of file that takes (candles, trades), "" for none."""

    code: str
    text: str
    action: str = ""
    imports: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is stored of an audit: `timeframe` is that of the candles that judged it, "" none;
    `resolved_by` that of finer ones that were used. Numbers are None where unknown."""

    symbol: str
    horizon: str
    outcome: int
    flags: int
    timeframe: str = ""
    resolved_by: str = ""
    coverage: float | None = None
    r: float | None = None
    shadow_outcome: int | None = None
    score: float | None = None
    min_score: float | None = None

    def has(self, flag: Flag) -> bool:
        return bool(self.flags & flag)


def reason_of(judged: Judged) -> Reason | None:
    """None where the verdict speaks for itself."""
    outcome = Outcome(judged.outcome)
    if outcome == Outcome.FILTERED_OUT:
        return _filtered(judged)
    if outcome == Outcome.NEEDS_REVIEW:
        return _unjudged(judged)
    if outcome == Outcome.PENDING:
        what = "this trade's exit" if judged.horizon == "TRADE" else "the end of its horizon"
        text = f"Not judged yet: candles of {judged.symbol} do not reach {what}."
        return Reason("pending", text, "Import newer candles", "candles")
    return _left_open(judged)


def why_no_r(outcome: int, flags: int, *, has_stop: bool, has_final: bool = False) -> str:
    """Why a result, or how far a trade went, is not known in R. `has_stop`: an initial stop is
    known; `has_final`: the one it had at the exit is."""
    if not has_stop:
        return "only the final stop is known" if has_final else "no initial stop"
    if flags & Flag.BAD_STOP_SIDE:
        return "the stop lies on the profit side of the entry"
    if outcome in (Outcome.NEEDS_REVIEW, Outcome.PENDING):
        return "not judged"
    return "the entry order never filled" if flags & Flag.NOT_FILLED else "not known"


def minutes(timeframe: str) -> str:
    """A timeframe as people write it: 5m is 5 min."""
    try:
        timeframe_ns(timeframe)
    except UserError:
        return timeframe
    return f"{timeframe[:-1]} {_LONG_UNITS[timeframe[-1]]}"


def _filtered(judged: Judged) -> Reason:
    if judged.has(Flag.NOT_FILLED):
        text = "Filtered out: the price never reached the entry order before the horizon ended."
        return Reason("not_filled", text)
    text = "Filtered out: the score is below the minimum."
    if judged.score is not None and judged.min_score is not None:
        text = f"Filtered out: score {_score(judged.score)}, rule asks {_score(judged.min_score)}."
    return Reason("below_threshold", f"{text} {shadow(judged.shadow_outcome, judged.r)}".strip())


def _score(score: float) -> str:
    return display.fixed(score, 2 if score % 1 else 0)


def shadow(outcome: int | None, r: float | None) -> str:
    """What a signal that was filtered out would have done, "" where that is not known."""
    words = {
        Outcome.SUCCEEDED: "won",
        Outcome.FAILED: "lost",
        Outcome.NEUTRAL: "ended flat at",
    }
    word = words.get(Outcome(outcome)) if outcome else None
    if word is None:
        return ""
    if r is None:
        return f"It would have {word.removesuffix(' at')}."
    return f"It would have {word} {display.r_multiple(r)}."


def _unjudged(judged: Judged) -> Reason:
    symbol = judged.symbol
    if judged.has(Flag.HORIZON_TOO_SHORT):
        text = (
            f"Not judged: a horizon of {minutes(judged.horizon.lower())} is shorter than one"
            f" {minutes(judged.timeframe)} bar."
        )
        action = f"Import {minutes(judged.horizon.lower())} candles, or finer"
        return Reason("horizon_too_short", text, action, "candles")
    if judged.has(Flag.NO_DATA):
        text = f"Not judged: no candles of {symbol} are stored for this time."
        return Reason("no_data", text, f"Import {symbol} candles", "candles")
    if judged.has(Flag.ENTRY_BAR_MISSING):
        text = f"Not judged: the candle of {symbol} at the entry is not stored."
        return Reason("entry_bar_missing", text, f"Import {symbol} candles", "candles")
    if judged.has(Flag.ENTRY_OFF_MARKET):
        text = (
            f"Not judged: when the signal was sent, {symbol} was already at or beyond its stop or"
            " target, so its entry price was not to be had."
        )
        return Reason("entry_off_market", text)
    if judged.has(Flag.LOW_COVERAGE) and judged.coverage is not None:
        share, bars = display.percent(judged.coverage), minutes(judged.timeframe)
        text = f"Not judged: only {share} of the expected {bars} bars are stored."
        return Reason("low_coverage", text, "Import the missing candles", "candles")
    if judged.has(Flag.HOLE_BEFORE_TOUCH):
        text = (
            f"Not judged: candles of {symbol} are missing right before the one that opened at or"
            " beyond its stop or target."
        )
        return Reason("hole_before_touch", text, "Import the missing candles", "candles")
    text = "Not judged: its costs are known but not its quantity, so its net result is not."
    return Reason("no_quantity", text, "Import the trade with its quantity", "trades")


def _left_open(judged: Judged) -> Reason | None:
    read = judged.resolved_by or judged.timeframe
    bar, (action, imports) = minutes(read), _finer(read)
    if judged.has(Flag.AMBIGUOUS):
        text = f"Stop and target lie in one {bar} bar. Counted as the stop."
        return Reason("ambiguous", text, action, imports)
    if judged.has(Flag.ENTRY_BAR_AMBIGUOUS):
        text = (
            f"Entered inside a {bar} bar that reached a level, before or after the entry."
            " Counted from the next bar on."
        )
        return Reason("entry_bar_ambiguous", text, action, imports)
    if judged.has(Flag.EXIT_BAR_AMBIGUOUS):
        text = (
            f"The {bar} bar of the exit also reached the stop or target, before or after the exit."
            " Judged by the exit price."
        )
        return Reason("exit_bar_ambiguous", text, action, imports)
    if judged.has(Flag.RESOLVED_FINER):
        text = f"Decided on {bar} candles inside one {minutes(judged.timeframe)} bar."
        return Reason("resolved_finer", text)
    return None


def _finer(timeframe: str) -> tuple[str, str]:
    """What to import so that a bar of this length is decided."""
    length = timeframe_ns(timeframe) if timeframe else 0
    if length > NS_PER_MINUTE:
        return "Import 1 min candles", "candles"
    if length > NS_PER_SECOND:
        return "Import 1 s candles", "candles"
    return "", ""
