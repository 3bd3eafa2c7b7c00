"""What would have changed the mind of each cause: one table of sentences a cause.

`RULE_OUT` says what would have ruled a fired cause out, `FIRE` what would have made one count that
was ruled out, `CHECK` what must be imported to check one at all. The first sentence whose numbers
are all known and whose `when` holds is the cause's. A placeholder is a fact of the cause, a word,
or one of the sentence's limits: a constant imported from the cause or solved in `limits.py`, each
in a unit of `display.by_unit`. No sentence contains a figure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trading.core.types import NS_PER_MINUTE

from .calibration import KNOWN_FROM
from .causes import (
    external_shock,
    false_positive,
    liquidity_event,
    model_error,
    regime_drift,
    user_psychology,
)
from .evidence import CauseNumbers
from .features import DRIFT_BARS, SIGMA_LEAST_BARS
from .limits import (
    Limit,
    busy_turning,
    cost_alone,
    cost_foot,
    cost_turning,
    fixed,
    most_wins,
    one_more,
    release_turning,
    scored_strength,
    setup_strength,
    trades_at,
    turning,
    wins,
)
from .measures import GAP_R, MOVE_R, MOVE_Z, VOLATILITY_LEAST_LIFE, VOLATILITY_RATIO
from .rca import ADVERSE_R
from .setups import WINDOW_BARS
from .surroundings import NEWS_BEFORE_NS, THIN_VOLUME, WIDE_SPREAD

Asked = Callable[[CauseNumbers], bool]


@dataclass(frozen=True, slots=True)
class Mind:
    """One possible sentence. `limits` by placeholder: (unit, where it turns)."""

    text: str
    limits: Mapping[str, tuple[str, Limit]] = field(default_factory=dict)
    when: Asked = lambda numbers: True


def _is(key: str, value: float) -> Asked:
    return lambda numbers: numbers.facts.get(key) == value


def _under(key: str, bound: float) -> Asked:
    return lambda numbers: numbers.facts.get(key, bound) < bound


def _lacks(feed: str) -> Asked:
    return lambda numbers: feed in numbers.missing


_SCORED = most_wins(scored_strength, ("claimed_p", "realised_p", "n_bin"))
_SETUP = most_wins(setup_strength, ("breakeven_fail", "wins", "n"))
_JUMP = {"at": ("factor", fixed(MOVE_Z[0])), "size": ("R", fixed(MOVE_R[0]))}
_NEWS_WINDOW = {"window": ("minutes", fixed(NEWS_BEFORE_NS / NS_PER_MINUTE))}


def _scores_should_fire(numbers: CauseNumbers) -> bool:
    """Their record says over-confident and the cause says no: the score claims no probability."""
    most, won = _SCORED(numbers), wins(numbers)
    return most is not None and won is not None and won <= most


def _known(key: str) -> Asked:
    return lambda numbers: key in numbers.facts


def _outweighed(numbers: CauseNumbers) -> bool:
    """Whether what could not be checked kept a cause from being named."""
    facts = numbers.facts
    return facts.get("subtype") == 2 or facts.get("best_posterior", 0.0) >= KNOWN_FROM


def _costs_little(numbers: CauseNumbers) -> bool:
    """Whether the costs alone are no evidence; else something discounts them."""
    foot = cost_foot(numbers)
    return foot is not None and numbers.facts.get("cost_r", 0.0) <= foot


RULE_OUT: Mapping[str, tuple[Mind, ...]] = {
    "news_shock": (
        Mind(
            "Would be ruled out if the jump were under {limit} the usual size (was {jump_z_times})",
            {"limit": ("ratio", release_turning)},
        ),
        Mind("Would be ruled out if no release stood near the jump"),
    ),
    "regime_drift": (
        Mind(
            "Would be ruled out if the drift against it were under {limit} standard errors "
            "(was {t_post})",
            {"limit": ("z", turning("t_post", regime_drift.POST))},
        ),
        Mind("Would be ruled out if prices had not drifted against it"),
    ),
    "volatility_spike": (
        Mind(
            "Would be ruled out if volatility had stayed under {limit} its level before the entry "
            "(rose to {v_star})",
            {"limit": ("ratio", turning("v_star", VOLATILITY_RATIO))},
        ),
        Mind("Would be ruled out if volatility had not risen"),
    ),
    "liquidity_event": (
        Mind(
            "Would be ruled out if the gap were under {limit} (was {gap_r})",
            {"limit": ("R_abs", turning("gap_r", GAP_R))},
            _is("subtype", 1),
        ),
        Mind(
            "Thin trading would be ruled out had the volume been over {limit} the usual of that "
            "hour (was {vol_ratio})",
            {"limit": ("ratio", turning("vol_ratio", THIN_VOLUME[::-1]))},
        ),
        Mind(
            "Thin trading would be ruled out had the spread been under {limit} the usual of that "
            "hour (was {spread_ratio})",
            {"limit": ("ratio", turning("spread_ratio", WIDE_SPREAD))},
        ),
        Mind("Would be ruled out if trading around the move had been as usual"),
    ),
    "external_shock": (
        Mind("Would be ruled out if the outage had ended before the exit", when=_is("subtype", 1)),
        Mind(
            "Would be ruled out if related markets had moved under {limit} as usual "
            "(the median was {median_peer_z_times})",
            {"limit": ("ratio", turning("median_peer_z", external_shock.PEER_Z))},
        ),
        Mind("Would be ruled out if related markets had stayed calm"),
    ),
    "spread_slippage": (
        Mind(
            "Would be ruled out had mid prices touched the stop too and costs been under {limit} "
            "(were {cost_r})",
            {"limit": ("R_abs", cost_alone)},
            _is("stop_hit_mid", 0),
        ),
        Mind(
            "Would be ruled out had it lost on paper too, with costs under {limit} (were {cost_r})",
            {"limit": ("R_abs", cost_alone)},
            _is("flip", 1),
        ),
        Mind(
            "Would be ruled out if costs had been under {limit} (were {cost_r})",
            {"limit": ("R_abs", cost_turning)},
        ),
        Mind("Would be ruled out if the trade had lost as much on paper"),
    ),
    "model_error": (
        Mind(
            "Would be ruled out at a score of {min_score} or more (was {score})",
            when=lambda n: n.facts.get("subtype") == 1 and not _scores_should_fire(n),
        ),
        Mind(
            "Would be ruled out if at least {limit} of {n_bin} such trades had won ({wins} did)",
            {"limit": ("count", one_more(_SCORED)), "wins": ("count", wins)},
            _is("subtype", 0),
        ),
        Mind(
            "Would be ruled out at a score of {min_score} or more (was {score}) whose like had won "
            "as often as claimed",
            when=_is("subtype", 1),
        ),
        Mind("Would be ruled out if such scores had won as often as they claimed"),
    ),
    "detector_misid": (
        Mind(
            "Would be ruled out if \u201c{setup_name}\u201d had shown itself on its side by the "
            "entry, at most {limit} old",
            {"limit": ("bars", fixed(WINDOW_BARS))},
        ),
        Mind("Would be ruled out if the claimed setup had stood on the candles"),
    ),
    "false_positive": (
        Mind(
            "Would be ruled out if at least {limit} of {n} earlier trades of it had won "
            "({wins} did)",
            {"limit": ("count", one_more(_SETUP))},
        ),
        Mind("Would be ruled out if earlier trades of it had broken even"),
    ),
    "user_psychology": (
        Mind(
            "This pattern would be ruled out at a size under {limit} the usual (was {size_ratio})",
            {"limit": ("ratio", turning("size_ratio", user_psychology.SIZE))},
            _is("subtype", 0),
        ),
        Mind(
            "This pattern would be ruled out with fewer than {limit} trades within {span} "
            "(were {n_trades_8h})",
            {
                "limit": ("count", trades_at(busy_turning)),
                "span": ("minutes", fixed(user_psychology.BUSY_NS / NS_PER_MINUTE)),
            },
            _is("subtype", 1),
        ),
        Mind(
            "This pattern would be ruled out with a stop under {limit} its first distance "
            "(was moved to {stop_ratio})",
            {"limit": ("ratio", turning("stop_ratio", user_psychology.WIDENED))},
            _is("subtype", 2),
        ),
        Mind("Would be ruled out if the trade had been like the others of its trader"),
    ),
    "unknown": (
        Mind(
            "A cause would be looked for had it lost, or gone {limit} against the entry",
            {"limit": ("R_abs", fixed(ADVERSE_R))},
            _is("subtype", 1),
        ),
        Mind("Would change with what is missing: {imports}", when=_outweighed),
        Mind(
            "A cause would be named from a likelihood of {limit}, or more where a feed is missing; "
            "the strongest, {best_cause}, has {best_posterior}",
            {"limit": ("probability", fixed(KNOWN_FROM))},
            lambda numbers: numbers.facts.get("n_abstained", 0) > 0,
        ),
        Mind(
            "A cause would be named from a likelihood of {limit}; the strongest, {best_cause}, "
            "has {best_posterior}",
            {"limit": ("probability", fixed(KNOWN_FROM))},
        ),
        Mind(
            "A cause would be named from a likelihood of {limit}; none showed anything",
            {"limit": ("probability", fixed(KNOWN_FROM))},
        ),
    ),
}

FIRE: Mapping[str, tuple[Mind, ...]] = {
    "news_shock": (
        Mind(
            "Would count from a jump of {limit} the usual size (was {jump_z_times})",
            {"limit": ("ratio", release_turning)},
        ),
        Mind(
            "Would need one bar of more than {at} the usual size against it (largest "
            "{jump_z_times})",
            _JUMP,
            _under("jump_z", MOVE_Z[0]),
        ),
        Mind(
            "Would need a jump of more than {size} against it (largest {jump_r})",
            _JUMP,
            _under("jump_r", MOVE_R[0]),
        ),
        Mind(
            "Would need a release of more impact at the jump; that one had {impact} impact",
        ),
        Mind(
            "Would need a release of medium or high impact at most {window} before the jump",
            _NEWS_WINDOW,
        ),
    ),
    "regime_drift": (
        Mind(
            "Would count from a drift of {limit} standard errors against it (was {t_post})",
            {"limit": ("z", turning("t_post", regime_drift.POST))},
        ),
        Mind(
            "Would need a drift of more than {limit} standard errors against it (was {t_post})",
            {"limit": ("z", fixed(regime_drift.POST[0]))},
            _under("t_post", regime_drift.POST[0]),
        ),
        Mind(
            "Would need more than {limit} standard errors of drift its way before the entry "
            "(was {t_pre})",
            {"limit": ("z", fixed(regime_drift.PRE[0]))},
            _under("t_pre", regime_drift.PRE[0]),
        ),
        Mind(
            "Would need a life of at least {limit}",
            {"limit": ("bars", fixed(regime_drift.LEAST_BARS))},
            lambda numbers: "t_post" not in numbers.facts,
        ),
        Mind("Would count if no jump and no rise in volatility explained the move better"),
    ),
    "volatility_spike": (
        Mind(
            "Would count from {limit} the volatility before the entry (was {v_star})",
            {"limit": ("ratio", turning("v_star", VOLATILITY_RATIO))},
        ),
        Mind(
            "Would need more than {limit} the volatility before the entry (was {v_star})",
            {"limit": ("factor", fixed(VOLATILITY_RATIO[0]))},
            _under("v_star", VOLATILITY_RATIO[0]),
        ),
        Mind(
            "Would need a life of at least {limit}",
            {"limit": ("bars", fixed(VOLATILITY_LEAST_LIFE))},
            lambda numbers: "v_star" not in numbers.facts,
        ),
        Mind("Would count if no jump explained the move better"),
    ),
    "liquidity_event": (
        Mind(
            "Would count with a volume under {limit} the usual of that hour (was {vol_ratio})",
            {"limit": ("ratio", turning("vol_ratio", THIN_VOLUME[::-1]))},
        ),
        Mind(
            "Would need a volume under {limit} the usual of that hour (was {vol_ratio})",
            {"limit": ("factor", fixed(THIN_VOLUME[1]))},
            lambda numbers: numbers.facts.get("vol_ratio", 0.0) >= THIN_VOLUME[1],
        ),
        Mind(
            "Would need a spread over {limit} the usual of that hour (was {spread_ratio})",
            {"limit": ("factor", fixed(WIDE_SPREAD[0]))},
            lambda numbers: (
                "vol_ratio" not in numbers.facts and _under("spread_ratio", WIDE_SPREAD[0])(numbers)
            ),
        ),
        Mind(
            "Would need a jump against it, or a gap over {limit} (largest {gap_r})",
            {"limit": ("R_abs", fixed(GAP_R[0]))},
            lambda numbers: 0 < numbers.facts.get("gap_r", 0.0) < GAP_R[0],
        ),
        Mind(
            "Would need a jump against it, or a gap over {limit}, while hardly anybody traded",
            {"limit": ("R_abs", fixed(GAP_R[0]))},
        ),
    ),
    "external_shock": (
        Mind(
            "Would count had related markets moved {limit} as usual (the median was "
            "{median_peer_z_times})",
            {"limit": ("ratio", turning("median_peer_z", external_shock.PEER_Z))},
        ),
        Mind(
            "Would need related markets to move over {limit} as usual (the median was "
            "{median_peer_z_times}), or an outage over the exit",
            {"limit": ("factor", fixed(external_shock.PEER_Z[0]))},
            _under("median_peer_z", external_shock.PEER_Z[0]),
        ),
        Mind(
            "Would need an outage over the exit, or a jump of more than {at} the usual size "
            "(largest {jump_z_times})",
            _JUMP,
            _under("jump_z", MOVE_Z[0]),
        ),
        Mind("Would need an outage over the exit, or a jump that nothing else explains"),
    ),
    "spread_slippage": (
        Mind(
            "Would count from costs of {limit} (were {cost_r})",
            {"limit": ("R_abs", cost_turning)},
        ),
        Mind(
            "Would need costs over {limit} of such a loss (were {cost_r})",
            {"limit": ("R_abs", cost_foot)},
            _costs_little,
        ),
        Mind("Would count if no jump explained the loss better", when=_known("cost_r")),
        Mind("Would need fills or quotes to count costs by: on candles alone there are none"),
    ),
    "model_error": (
        Mind("Would count if the score claimed a probability", when=_scores_should_fire),
        Mind(
            "Would count if at most {limit} of {n_bin} such trades had won ({wins} did)",
            {"limit": ("count", _SCORED), "wins": ("count", wins)},
        ),
        Mind(
            "Such scores claim {claimed_p}: too little to be over-confident of {n_bin} trades",
        ),
        Mind("Would need scores that claimed more than they won"),
    ),
    "detector_misid": (
        Mind("Would count if \u201c{setup_name}\u201d had not stood on the candles by the entry"),
        Mind("Would need a claimed setup: none was claimed"),
    ),
    "false_positive": (
        Mind(
            "Would count if at most {limit} of {n} earlier trades of it had won ({wins} did)",
            {"limit": ("count", _SETUP)},
        ),
        Mind("Would need a setup that was there and a record of losing more than it may"),
    ),
    "user_psychology": (
        Mind(
            "Would count from a size of {limit} the usual so soon after a loss (was {size_ratio})",
            {"limit": ("ratio", turning("size_ratio", user_psychology.SIZE))},
            _known("minutes_since_loss"),
        ),
        Mind(
            "Would need over {limit} the usual size within {soon} of a loss (size was "
            "{size_ratio}), or {busy} trades within {span} (were {n_trades_8h})",
            {
                "limit": ("factor", fixed(user_psychology.SIZE[0])),
                "soon": ("minutes", fixed(user_psychology.LOSS_WITHIN_NS / NS_PER_MINUTE)),
                "busy": ("count", trades_at(fixed(user_psychology.BUSY_Z[0]))),
                "span": ("minutes", fixed(user_psychology.BUSY_NS / NS_PER_MINUTE)),
            },
        ),
        Mind(
            "Would need {busy} trades within {span} (were {n_trades_8h}), or a stop moved away",
            {
                "busy": ("count", trades_at(fixed(user_psychology.BUSY_Z[0]))),
                "span": ("minutes", fixed(user_psychology.BUSY_NS / NS_PER_MINUTE)),
            },
        ),
        Mind("Would need a trade: a signal alone has no trader"),
    ),
    "unknown": (),
}

CHECK: Mapping[str, tuple[Mind, ...]] = {
    "news_shock": (
        Mind(
            "{imports}; a release at most {window} before the jump of {jump_z_times} the usual "
            "size would count",
            _NEWS_WINDOW,
        ),
    ),
    "regime_drift": (
        Mind(
            "{imports}; it reads {limit} before the entry",
            {"limit": ("bars", fixed(DRIFT_BARS))},
            _lacks("bars_before"),
        ),
        Mind(
            "Would need a life of at least {limit}",
            {"limit": ("bars", fixed(regime_drift.LEAST_BARS))},
            _lacks("bars_in_life"),
        ),
    ),
    "volatility_spike": (
        Mind(
            "{imports}; it reads at least {limit} before the entry",
            {"limit": ("bars", fixed(SIGMA_LEAST_BARS))},
            _lacks("bars_before"),
        ),
        Mind(
            "Would need a life of at least {limit}",
            {"limit": ("bars", fixed(VOLATILITY_LEAST_LIFE))},
            _lacks("bars_in_life"),
        ),
    ),
    "liquidity_event": (
        Mind(
            "{imports}; a volume under {limit} the usual of that hour would count",
            {"limit": ("factor", fixed(THIN_VOLUME[1]))},
            _lacks("volume"),
        ),
        Mind(
            "{imports}; without a release, a spread over {limit} the usual of that hour would "
            "count (was {spread_ratio})",
            {"limit": ("factor", fixed(liquidity_event.NORMAL_SPREAD))},
            _lacks("news"),
        ),
    ),
    "external_shock": (
        Mind(
            "{imports}; related markets that moved over {limit} as usual with it would count",
            {"limit": ("factor", fixed(external_shock.PEER_Z[0]))},
            _lacks("peers"),
        ),
    ),
    "spread_slippage": (
        Mind(
            "{imports}; costs over {limit} of such a loss would count",
            {"limit": ("R_abs", cost_foot)},
        ),
    ),
    "model_error": (
        Mind(
            "Needs {least} earlier trades with a score at most {near} away, has {n_bin}",
            {
                "least": ("count", fixed(model_error.LEAST_TRADES)),
                "near": ("score", fixed(model_error.NEAR)),
            },
            _lacks("model_history"),
        ),
    ),
    "detector_misid": (),
    "false_positive": (
        Mind(
            "Needs {least} earlier results of the setup, has {n}",
            {"least": ("count", fixed(false_positive.LEAST_RESULTS))},
            _lacks("setup_history"),
        ),
        Mind(
            "Needs {least} earlier results of the claimed setup",
            {"least": ("count", fixed(false_positive.LEAST_RESULTS))},
            _lacks("setup_history"),
        ),
    ),
    "user_psychology": (
        Mind(
            "{imports}; it needs {least} earlier trades of the account",
            {"least": ("count", fixed(user_psychology.LEAST_TRADES))},
            _lacks("trade_log"),
        ),
    ),
    "unknown": (),
}

ANY_FEED = Mind("{imports}")

IMPORTS: Mapping[str, str] = {
    # By the name of the missing feed: what brings it.
    "news": "Import a news calendar that covers this time",
    "spread": "Import candles with spreads or quotes",
    "fills": "Import the requested prices with the fills",
    "volume": "Import candles with volumes",
    "peers": "Import candles of a related market",
    "outages": "Keep a log of outages",
    "score": "Import signals with their scores",
    "model_history": "Import earlier signals with scores and results",
    "setup_history": "Import earlier signals of the setup",
    "trade_log": "Import earlier trades of the account",
    "claimed_setups": "Import signals with the setups they claim",
    "bars_before": "Import candles from before the entry",
    "bars_in_life": "Import finer candles",
    "risk": "Import the initial stop",
}
