"""How a verdict reads: its chip, one sentence, and the three bars that keep a raw improvement and
the rebound that was coming anyway apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from post_mortem.core import display
from post_mortem.models import ImpactVerdict, MeasurementPlan
from post_mortem.pages import formats

WIDTH: Final = 320
HEIGHT: Final = 14
_PAD: Final = 6.0
_LEAST_SPAN: Final = 0.5  # R; a smaller scale would make noise look large
_EQUIVALENT_SD: Final = 0.15
TONES: Final[Mapping[str, str]] = {
    "likely_helped": "gain",
    "helped": "gain",
    "likely_hurt": "loss",
    "hurt": "loss",
}
NAMES: Final[Mapping[str, str]] = {
    "too_early": "too early",
    "no_evidence_yet": "no evidence yet",
    "likely_helped": "likely helped",
    "likely_hurt": "likely hurt",
    "helped": "helped",
    "hurt": "hurt",
    "no_meaningful_effect": "no meaningful effect",
    "unresolvable": "cannot be told from this history",
    "not_evidence": "not evidence",
    "": "not judged yet",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the picture: a bar from `x` of `width`, or an interval with a dot."""

    name: str
    kind: str  # raw, rebound or adjusted
    x: float
    width: float
    text: str
    dot: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A verdict for the page. `bars` are empty where nothing was measured; `zero` is where they
    begin; `why_no_rebound` stands in its place."""

    word: str
    chip: str
    sentence: str
    tone: str
    best: str = ""
    bars: tuple[Bar, ...] = ()
    zero: float = 0.0
    why_no_rebound: str = ""
    live: str = ""


def shown(
    verdict: ImpactVerdict | None,
    plan: MeasurementPlan | None,
    overlaps: tuple[str, ...] = (),
    fault: str = "",
) -> Shown | None:
    """None for advice that was never measured."""
    if plan is None or plan.end_reason == MeasurementPlan.End.TAKEN_BACK:
        return None
    if fault:
        return Shown(
            "", "Not judged · its plan was changed after it was frozen", f"What is wrong: {fault}.",
            "missing",
        )  # fmt: skip
    if verdict is None:
        return Shown("", "Not judged yet", "It is judged with the next trades.", "missing")
    result = verdict.result
    bars, zero = _bars(result)
    return Shown(
        word=verdict.verdict,
        chip=_CHIPS[verdict.verdict](result, overlaps),
        sentence=_sentence(verdict.verdict, result, plan),
        tone=TONES.get(verdict.verdict, "missing"),
        best=_best(result) if verdict.verdict in TONES else "",
        bars=bars,
        zero=zero,
        why_no_rebound="" if not bars else _why_no_rebound(result, plan),
        live=_live(verdict.verdict, result),
    )


def counted(verdicts: Mapping[str, int]) -> str:
    """'2 likely helped, 1 hurt' of the verdicts that say something; empty if none does."""
    decided = ("helped", "likely_helped", "hurt", "likely_hurt", "no_meaningful_effect")
    said = [f"{verdicts[word]} {NAMES[word]}" for word in decided if verdicts.get(word)]
    return ", ".join(said)


# --- words ----------------------------------------------------------------------------------------
def _too_early(result: Mapping[str, Any], overlaps: tuple[str, ...]) -> str:
    if result["reason"] == "short_baseline":
        return f"Too early · {result['n_before']} of 60 trades before it"
    more = result.get("more_trades_needed") or 0
    return f"Too early · {result['n_after']} of {result['n_after'] + more} trades"


def _no_evidence(result: Mapping[str, Any], overlaps: tuple[str, ...]) -> str:
    if result["reason"] == "one_of_many":
        return "No evidence yet · of so many, one looks this good by chance"
    more = result.get("more_trades_needed")
    return "No evidence yet" + (f" · about {more:,} more trades" if more else "")


def _by_experiment(word: str) -> Callable[[Mapping[str, Any], tuple[str, ...]], str]:
    def write(result: Mapping[str, Any], overlaps: tuple[str, ...]) -> str:
        a_side = result.get("a_side")
        return f"{word} · A/B" + (f", {a_side} a side" if a_side else "")

    return write


def _small(result: Mapping[str, Any], overlaps: tuple[str, ...]) -> str:
    size = _EQUIVALENT_SD * (result.get("sd_r") or 0.0)
    return f"No meaningful effect · within ±{display.r_multiple(size, signed=False)}"


def _not_evidence(result: Mapping[str, Any], overlaps: tuple[str, ...]) -> str:
    why = {
        "no_comparison": "no comparison trades",
        "drift": "results wandered too much",
        "constant": "all results before it are the same",
    }.get(result["reason"], result["reason"])
    if result["reason"] == "overlap":
        names = formats.listing(f"“{_short(text)}”" for text in overlaps[:2])
        why = f"overlaps {names}" if names else "overlaps other advice"
    return f"Not evidence · {why}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:38].rsplit(" ", 1)[0].rstrip(",") + "…"


_CHIPS: Final[Mapping[str, Callable[[Mapping[str, Any], tuple[str, ...]], str]]] = {
    "too_early": _too_early,
    "no_evidence_yet": _no_evidence,
    "likely_helped": lambda result, overlaps: "Likely helped",
    "likely_hurt": lambda result, overlaps: "Likely hurt",
    "helped": _by_experiment("Helped"),
    "hurt": _by_experiment("Hurt"),
    "no_meaningful_effect": _small,
    "unresolvable": lambda result, overlaps: "This history cannot tell · start an A/B",
    "not_evidence": _not_evidence,
}


def _sentence(word: str, result: Mapping[str, Any], plan: MeasurementPlan) -> str:
    if word in ("likely_helped", "likely_hurt"):
        n = result.get("comparison_trades") or 0
        return f"Against {formats.plural(n, 'trade')} it did not cover. Only an A/B can say more."
    if word == "too_early":
        raw, rebound = result.get("raw_before_after_r"), result.get("expected_rebound_r")
        if raw is None:
            return "Nothing to compare yet."
        if rebound is None:
            return f"Raw {display.r_multiple(raw)}."
        return (
            f"Raw {display.r_multiple(raw)}; {display.r_multiple(rebound)} is the usual rebound "
            "after such a losing run."
        )
    return str(result.get("sentence") or "")


def _best(result: Mapping[str, Any]) -> str:
    shrunk = result.get("shrunk_r")
    return "" if shrunk is None else f"best guess {display.r_multiple(shrunk)} a trade"


def _why_no_rebound(result: Mapping[str, Any], plan: MeasurementPlan) -> str:
    if result.get("expected_rebound_r") is not None:
        return ""
    if plan.data.get("trigger") is None:
        return "Rebound: no losing run came before it."
    return "Rebound: no comparable losing runs."


def _live(word: str, result: Mapping[str, Any]) -> str:
    """Trades since the last look say nothing yet; the interval moves with them all the same."""
    looks = result.get("looks") or ()
    if word == "not_evidence" or result.get("ci") is None:
        return ""
    return "Live band, not a test." if not looks or looks[-1]["n"] != result["n_after"] else ""


# --- bars -----------------------------------------------------------------------------------------
def _bars(result: Mapping[str, Any]) -> tuple[tuple[Bar, ...], float]:
    raw, rebound = result.get("raw_before_after_r"), result.get("expected_rebound_r")
    ci, estimate = result.get("ci"), result.get("estimate_r")
    if raw is None:
        return (), 0.0
    values = [v for v in (raw, rebound, *(ci or ())) if v is not None]
    low, high = min(0.0, *values), max(0.0, *values)
    span = max(high - low, _LEAST_SPAN)

    def x(value: float) -> float:
        return round(_PAD + (value - low) / span * (WIDTH - 2 * _PAD), 1)

    def bar(name: str, kind: str, value: float, text: str) -> Bar:
        left = min(x(0.0), x(value))
        return Bar(name, kind, left, max(round(abs(x(value) - x(0.0)), 1), 1.0), text)

    found = [bar("Raw", "raw", raw, display.r_multiple(raw))]
    if rebound is not None:
        text = f"{display.r_multiple(rebound)} expected anyway"
        found.append(bar("Rebound", "rebound", rebound, text))
    if ci is not None and estimate is not None:
        said = (
            f"{display.r_multiple(estimate)}, 95 % {display.fixed(ci[0], 2, signed=True)} to "
            f"{display.fixed(ci[1], 2, signed=True)}"
        )
        width = round(x(ci[1]) - x(ci[0]), 1)
        found.append(Bar("Adjusted", "adjusted", x(ci[0]), width, said, dot=x(estimate)))
    return tuple(found), x(0.0)
