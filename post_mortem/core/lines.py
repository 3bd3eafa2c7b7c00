"""What each cause's numbers are called in words: one table of lines a cause.

A line becomes a fact when every number it names is known. `FIRED` lines speak when the cause fired,
for it or against it; `RULED` lines say what ruled a cause out. Placeholders are fact keys of the
cause (written in their unit) or words derived from codes and the calendar. No line contains a
figure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

When = Callable[[Mapping[str, float]], bool]


@dataclass(frozen=True, slots=True)
class Line:
    """One possible fact. `when` is asked after all placeholders are known."""

    kind: str
    side: str
    text: str
    when: When = lambda facts: True
    at_jump: str = ""  # key of the number that says on which bar it lies (`wording`)


def _over(key: str, least: float) -> When:
    return lambda facts: facts[key] >= least


def _code(key: str, value: int) -> When:
    return lambda facts: facts.get(key) == value


FIRED: Mapping[str, tuple[Line, ...]] = {
    "news_shock": (
        Line(
            "jump",
            "for",
            "A move of {jump_r} against the trade in one bar, {jump_z} times the usual size",
            at_jump="jump_bar",
        ),
        Line(
            "release",
            "for",
            "{currency} release \u201c{title}\u201d at {event_time}, {impact} impact",
        ),
        Line("timing", "for", "The move came {dt_min} after the release", _over("dt_min", 0)),
        Line(
            "surprise",
            "for",
            "The figure differed from its forecast by {surprise_z} standard deviations",
        ),
        Line("car", "for", "The trade lost {car_r} around the release", _over("car_r", 0.05)),
        Line(
            "other_news",
            "against",
            "{n_news_no_reaction} other releases in its life were followed by no jump",
            _over("n_news_no_reaction", 1),
        ),
    ),
    "regime_drift": (
        Line(
            "before", "for", "Before the entry prices had drifted its way ({t_pre} standard errors)"
        ),
        Line("after", "for", "Up to the exit they drifted against it ({t_post} standard errors)"),
        Line("turn", "for", "The turn came {change_bars} before the exit", at_jump="change_bars"),
        Line(
            "efficiency",
            "context",
            "Efficiency ratio {er_before} before the entry, {er_after} since",
        ),
        Line("volatility", "context", "Volatility was {vol_ratio} what it was before the entry"),
    ),
    "volatility_spike": (
        Line("spike", "for", "Volatility rose to {v_star} its level before the entry"),
        Line("window", "context", "Seen over {window_bars} up to the exit", at_jump="window_bars"),
        Line(
            "noise",
            "for",
            "The risk was only {stop_in_sigma} the usual move over that time: inside the noise",
            lambda facts: facts["stop_in_sigma"] < 1,
        ),
        Line(
            "noise",
            "against",
            "The risk was {stop_in_sigma} the usual move over that time",
            _over("stop_in_sigma", 1),
        ),
    ),
    "liquidity_event": (
        Line("volume", "for", "Volume around the move was {vol_ratio} the usual of that hour"),
        Line("spread", "for", "The spread was {spread_ratio} the usual of that hour"),
        Line("gap", "for", "It gapped {gap_r} against the trade", _over("gap_r", 0.1), "gap_bar"),
        Line(
            "fill",
            "for",
            "The exit was filled {fill_beyond_sl_r} beyond the stop",
            _over("fill_beyond_sl_r", 0.01),
            "fill_beyond_sl_r",
        ),
    ),
    "external_shock": (
        Line(
            "peers",
            "for",
            "At that bar {n_peers} related markets moved against it, the median by"
            " {median_peer_z} times the usual",
            _over("n_peers", 1),
        ),
        Line("jump", "for", "This market moved {jump_z} times the usual size", _code("subtype", 0)),
        Line(
            "outage",
            "for",
            "An outage is logged over the exit",
            lambda facts: "outage_key" in facts,
        ),
        Line(
            "hole",
            "context",
            "{data_gap_bars} expected bars of its life are not stored",
            _over("data_gap_bars", 1),
        ),
    ),
    "spread_slippage": (
        Line(
            "paper",
            "for",
            "On paper, at mid prices and without costs, it would have made {paper_r}",
        ),
        Line("cost", "for", "Costs and fills took {cost_r}"),
        Line("spread", "context", "Spread cost {spread_r}", _over("spread_r", 0.005)),
        Line(
            "entry_slip", "for", "The entry slipped by {entry_slip_r}", _over("entry_slip_r", 0.005)
        ),
        Line("exit_slip", "for", "The exit slipped by {exit_slip_r}", _over("exit_slip_r", 0.005)),
        Line("fees", "context", "Fees and swap cost {fees_r}", _over("fees_r", 0.005)),
        Line(
            "wide",
            "for",
            "The spread at the exit was {spread_ratio} the usual",
            _over("spread_ratio", 1.5),
            "spread_ratio",
        ),
        Line("mid", "for", "Mid prices never touched the stop", _code("stop_hit_mid", 0)),
        Line("mid", "against", "Mid prices touched the stop too", _code("stop_hit_mid", 1)),
    ),
    "model_error": (
        Line(
            "threshold",
            "for",
            "The score {score} was under the minimum of {min_score}",
            _code("subtype", 1),
        ),
        Line(
            "claimed",
            "for",
            "Such scores claimed to win {claimed_p} and won {realised_p} of {n_bin} trades",
            _code("subtype", 0),
        ),
        Line(
            "bound",
            "for",
            "Even the upper bound of their win rate is {wilson_hi}",
            _code("subtype", 0),
        ),
    ),
    "detector_misid": (),
    "false_positive": (
        Line(
            "record",
            "for",
            "The setup \u201c{setup_name}\u201d won {wins} of {n} earlier trades here",
        ),
        Line("break_even", "for", "It lost {fail_rate}, and breaks even at {breakeven_fail}"),
        Line(
            "odds",
            "for",
            "The odds that it wins clearly less often than it must are {p_below_breakeven}",
        ),
    ),
    "user_psychology": (
        Line(
            "after_loss",
            "for",
            "Opened {minutes_since_loss} after a losing trade closed",
            _code("subtype", 0),
            "minutes_since_loss",
        ),
        Line("size", "for", "Its size was {size_ratio} the usual", _code("subtype", 0)),
        Line("run", "for", "{loss_run} losses in a row came before it", _over("loss_run", 1)),
        Line(
            "pace",
            "for",
            "{n_trades_8h} trades within a working day, where {expected_8h} are usual",
            _code("subtype", 1),
        ),
        Line(
            "widened",
            "for",
            "The stop was moved to {stop_ratio} its first distance",
            _code("subtype", 2),
        ),
        Line("plan", "against", "It was tagged as being on plan", _code("on_plan", 1)),
    ),
    "unknown": (
        Line("anyway", "for", "This setup loses {expected_loss_rate} of its trades anyway"),
        Line("checked", "context", "{n_checked} causes were checked, {n_abstained} could not be"),
    ),
}

RULED: Mapping[str, tuple[Line, ...]] = {
    "news_shock": (
        Line(
            "quiet",
            "against",
            "{n_news_no_reaction} releases came in its life and no jump followed",
            _over("n_news_no_reaction", 1),
        ),
        Line(
            "jump",
            "against",
            "The largest adverse bar was {jump_r}, {jump_z} times the usual size",
            at_jump="jump_bar",
        ),
    ),
    "regime_drift": (
        Line(
            "drift",
            "against",
            "Drift {t_pre} standard errors before the entry, {t_post} against it after",
        ),
    ),
    "volatility_spike": (
        Line(
            "calm",
            "against",
            "Volatility before the exit was {v_star} its level before the entry",
        ),
    ),
    "liquidity_event": (
        Line("volume", "against", "Volume around the move was {vol_ratio} the usual of that hour"),
        Line("spread", "against", "The spread was {spread_ratio} the usual of that hour"),
    ),
    "external_shock": (
        Line(
            "peers",
            "against",
            "At its jump {n_peers} related markets moved against it, the median by"
            " {median_peer_z} times the usual",
            _over("n_peers", 1),
        ),
    ),
    "spread_slippage": (
        Line("cost", "against", "Costs and fills took {cost_r}; on paper it made {paper_r}"),
    ),
    "model_error": (
        Line(
            "calibrated",
            "against",
            "Such scores claimed to win {claimed_p} and won {realised_p} of {n_bin} trades",
        ),
    ),
    "detector_misid": (),
    "false_positive": (
        Line(
            "record",
            "against",
            "The setup \u201c{setup_name}\u201d won {wins} of {n} earlier trades here",
        ),
    ),
    "user_psychology": (
        Line("size", "against", "Its size was {size_ratio} the usual"),
        Line(
            "pace",
            "against",
            "{n_trades_8h} trades within a working day, where {expected_8h} are usual",
        ),
    ),
    "unknown": (),
}

SUMMARIES: Mapping[str, tuple[str, ...]] = {
    # By the code of the cause's `subtype`, or the one sentence of a cause without subtypes.
    "news_shock": ("A scheduled release moved the market against the trade.",),
    "regime_drift": ("The drift that favoured the trade turned against it.",),
    "volatility_spike": ("Volatility rose after the entry and carried prices to the stop.",),
    "liquidity_event": (
        "Prices moved against the trade while hardly anybody was trading.",
        "The market reopened beyond the trade's level after a scheduled close.",
    ),
    "external_shock": (
        "Related markets were hit at the same moment and no release explains it.",
        "The platform or the feed was down over the exit.",
    ),
    "spread_slippage": ("Costs and fills explain a large part of the loss.",),
    "model_error": (
        "The score promised more than such scores have delivered.",
        "The trade was taken below the strategy's own minimum score.",
    ),
    "detector_misid": (
        "The claimed setup is not on the candles that were closed at entry.",
        "The claimed setup appears only when later candles are used.",
        "The setup on the candles points the other way.",
        "The claimed setup was missed narrowly.",
    ),
    "false_positive": ("The setup was there, but here it loses more than it may.",),
    "user_psychology": (
        "A larger trade soon after a loss, consistent with revenge trading.",
        "Many more trades than usual, consistent with overtrading.",
        "The stop was moved away from the entry while the trade was open.",
    ),
    "unknown": (
        "No specific cause found; losses happen with nothing wrong.",
        "No adverse move needs an explanation.",
        "Not enough was there to check with to name a cause.",
    ),
}
