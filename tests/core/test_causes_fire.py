"""Every cause fires on what it is for, stays silent on what only looks like it, abstains without
its feed, and believes more when there is more of it. Cases are simulated ones, edited."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from post_mortem.core.calibration import FIRE_FROM
from post_mortem.core.calibration_table import DEFAULT
from post_mortem.core.causes import FACTS, regime_drift
from post_mortem.core.context import Context, measure
from post_mortem.core.evidence import CauseNumbers
from post_mortem.core.features import market_features
from post_mortem.core.labeler import label
from post_mortem.core.lines import SUMMARIES
from post_mortem.core.measures import JUMP_Z
from post_mortem.core.portable import parse_case
from post_mortem.core.rca import diagnose
from post_mortem.core.record import read_record, records
from post_mortem.core.replay import replay
from post_mortem.core.surroundings import SETUP_SUBTYPES
from post_mortem.core.types import Status
from post_mortem.core.wording import cause_summary
from tests.core import simulate

Case = dict[str, Any]
Edit = Callable[[Case], None]
# Cases in which the planted cause is plain; the simulator test measures the others.
SEEDS = dict.fromkeys(simulate.CAUSES, 3) | {
    "regime_drift": 1,
    "volatility_spike": 2,
    "external_shock": 4,
    "unknown": 0,
}


def findings(case: Case) -> dict[str, CauseNumbers]:
    batch = parse_case(case)
    paths = replay(batch)
    labels = label(batch, paths)
    row = records(labels, diagnose(batch, paths, labels))[0]
    return {finding.cause: finding for finding in read_record(row.tobytes()).findings}


def context_of(case: Case) -> Context:
    batch = parse_case(case)
    paths = replay(batch)
    return measure(batch, paths, label(batch, paths), market_features(batch.market), DEFAULT)


def first(found: dict[str, CauseNumbers]) -> str:
    return next(finding.cause for finding in found.values() if finding.rank == 1)


def edited(cause: str, edit: Edit, seed: int | None = None) -> dict[str, CauseNumbers]:
    case = deepcopy(simulate.make_case(SEEDS[cause] if seed is None else seed, cause))
    edit(case)
    return findings(case)


def nothing(case: Case) -> None:
    pass


@pytest.mark.parametrize("cause", simulate.CAUSES)
def test_a_planted_cause_is_found_first(cause: str) -> None:
    found = edited(cause, nothing)
    assert first(found) == cause
    assert found[cause].status == Status.FIRED
    assert found["unknown"].rank > 0


# --- silence ------------------------------------------------------------------------------------


def no_news(case: Case) -> None:
    case["news"] = []


def news_of_low_impact(case: Case) -> None:
    for item in case["news"]:
        item["impact"] = "low"


def news_of_others(case: Case) -> None:
    for item in case["news"]:
        item["currency"] = "JPY"


def news_an_hour_early(case: Case) -> None:
    for item in case["news"]:
        moved = datetime.fromisoformat(item["time"]) - timedelta(hours=1)
        item["time"] = moved.isoformat()


def news_all_the_time(case: Case) -> None:
    """Releases without any reaction of prices."""
    first_bar = case["candles"]["time"][0]
    case["news"] = [
        {
            "time": datetime.fromtimestamp(first_bar + 900 * k).astimezone().isoformat(),
            "currency": "USD",
            "impact": "high",
            "title": "Release",
            "surprise_z": 2.5,
        }
        for k in range(300)
    ]


def usual_volume(case: Case) -> None:
    volume = case["candles"]["volume"]
    case["candles"]["volume"] = [float(np.median(volume))] * len(volume)


def quiet_peers(case: Case) -> None:
    for peer in case["peers"]:
        peer["close"] = [peer["close"][0]] * len(peer["close"])


def outage_after_the_exit(case: Case) -> None:
    last = datetime.fromtimestamp(case["candles"]["time"][-1]).astimezone()
    case["outages"] = [{"start": last.isoformat(), "end": last.isoformat(), "what": "platform"}]


def calibrated(case: Case) -> None:
    """High scores that keep what they promise: losing one in five is no evidence."""
    case["signal"]["score"] = 80
    case["model_history"] = [{"score": 80, "won": k % 5 != 0} for k in range(60)]


def only_seven_scores(case: Case) -> None:
    case["model_history"] = [{"score": case["signal"]["score"], "won": False}] * 7


def a_short_streak(case: Case) -> None:
    case["setup_history"] = [{"setup": "breakout", "won": False, "reward_risk": 1.5}] * 5


def good_setup(case: Case) -> None:
    case["setup_history"] = [
        {"setup": "breakout", "won": k % 2 == 0, "reward_risk": 2.0} for k in range(40)
    ]


def other_setup(case: Case) -> None:
    for item in case["setup_history"]:
        item["setup"] = "fvg"


def planned(case: Case) -> None:
    case["trade"]["on_plan"] = True


def usual_size(case: Case) -> None:
    case["trade"]["quantity"] = 1.0


def fills_as_asked(case: Case) -> None:
    """Closed by hand at a loss, filled where it was asked: the idea lost, not its costs."""
    trade = case["trade"]
    worse = 0.3 * (trade["stop_loss_initial"] - trade["requested_entry"])
    trade["entry"] = trade["requested_entry"]
    trade["requested_exit"] = trade["exit"] = trade["entry"] + worse


def claims_nothing(case: Case) -> None:
    case["signal"]["claimed_setups"] = []


SILENT: list[tuple[str, Edit]] = [
    ("news_shock", no_news),
    ("news_shock", news_of_low_impact),
    ("news_shock", news_of_others),
    ("news_shock", news_an_hour_early),
    ("liquidity_event", usual_volume),
    ("external_shock", quiet_peers),
    ("model_error", calibrated),
    ("model_error", only_seven_scores),
    ("false_positive", a_short_streak),
    ("false_positive", good_setup),
    ("false_positive", other_setup),
    ("false_positive", claims_nothing),
    ("detector_misid", claims_nothing),
    ("spread_slippage", fills_as_asked),
]


@pytest.mark.parametrize(("cause", "edit"), SILENT)
def test_what_only_looks_like_a_cause_is_none(cause: str, edit: Edit) -> None:
    assert edited(cause, nothing)[cause].status == Status.FIRED
    assert edited(cause, edit)[cause].status != Status.FIRED


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5, 6])
def test_news_without_a_reaction_is_counted_and_ruled_out(seed: int) -> None:
    found = edited("unknown", news_all_the_time, seed)["news_shock"]
    assert found.status == Status.NOT_FIRED
    assert found.facts["n_news_no_reaction"] > 0


def test_a_jump_among_releases_all_the_time_is_little_evidence() -> None:
    """One of nearly four usual sizes came by chance; a release stands near any."""
    found = edited("unknown", news_all_the_time, 3)
    assert found["news_shock"].facts["jump_z"] > JUMP_Z[0]
    assert found["news_shock"].strength < 0.1
    assert found["news_shock"].posterior < FIRE_FROM
    assert first(found) != "news_shock"


@pytest.mark.parametrize("seed", range(6))
def test_an_outage_at_another_time_is_no_shock(seed: int) -> None:
    assert edited("unknown", outage_after_the_exit, seed)["external_shock"].status != Status.FIRED


def test_an_outage_at_the_exit_is_one() -> None:
    def whole_day(case: Case) -> None:
        start, end = (
            datetime.fromtimestamp(case["candles"]["time"][k]).astimezone().isoformat()
            for k in (0, -1)
        )
        case["outages"] = [{"start": start, "end": end, "what": "platform"}]

    found = edited("unknown", whole_day)
    assert first(found) == "external_shock"
    assert found["external_shock"].facts["subtype"] == 1


@pytest.mark.parametrize("seed", range(12))
def test_many_pips_of_little_risk_are_no_slippage(seed: int) -> None:
    """Four pips on a stop of a hundred: named by many rules, and irrelevant."""
    case = deepcopy(simulate.make_case(seed, "unknown"))
    batch = parse_case(case)
    labels = label(batch, replay(batch))
    side = 1 if case["signal"]["side"] == "long" else -1
    entry, stop = case["signal"]["entry"], case["signal"]["stop_loss"]
    slip = 0.05 * abs(entry - stop)
    when = int(labels.exit_time[0]) // 10**9
    case["horizon"] = "TRADE"
    case["trade"] = {
        "requested_entry": entry,
        "entry": entry + side * slip,
        "entry_time": case["signal"]["time"],
        "requested_exit": None,
        "exit": stop,
        "exit_time": datetime.fromtimestamp(when + 60).astimezone().isoformat(),
        "exit_reason": "sl",
        "quantity": 1.0,
        "stop_loss_initial": stop,
        "stop_loss_final": stop,
        "commission": 0.0,
        "swap": 0.0,
        "on_plan": None,
    }
    found = findings(case)["spread_slippage"]
    assert found.status == Status.NOT_FIRED
    assert found.facts["entry_slip_r"] > 0


def revenge_seed() -> int:
    for seed in range(40):
        case = simulate.make_case(seed, "user_psychology")
        if case["trade"]["quantity"] > 1.6:
            return seed
    raise AssertionError("the simulator plants no revenge trade")


def test_a_planned_or_usual_size_is_no_revenge() -> None:
    seed = revenge_seed()
    found = edited("user_psychology", nothing, seed)["user_psychology"]
    assert found.facts["subtype"] == 0
    halved = edited("user_psychology", planned, seed)["user_psychology"]
    assert halved.strength == pytest.approx(found.strength / 2, abs=1e-4)
    assert first(edited("user_psychology", planned, seed)) != "user_psychology"
    usual = edited("user_psychology", usual_size, seed)["user_psychology"]
    assert usual.status == Status.NOT_FIRED


# --- abstention -----------------------------------------------------------------------------------

ABSTAIN = [
    ("news_shock", "news", "news"),
    ("liquidity_event", "volume", "volume"),
    ("external_shock", "peers", "peers"),
    ("external_shock", "news", "news"),
    ("spread_slippage", "fills", "fills"),
    ("model_error", "model_history", "model_history"),
    ("detector_misid", "claimed_setups", "claimed_setups"),
    ("false_positive", "setup_history", "setup_history"),
    ("user_psychology", "trade_log", "trade_log"),
]


@pytest.mark.parametrize(("cause", "feed", "missing"), ABSTAIN)
def test_without_its_feed_it_could_not_check(cause: str, feed: str, missing: str) -> None:
    seed = revenge_seed() if cause == "user_psychology" else None
    found = edited(cause, lambda case: simulate.remove(case, feed), seed)
    assert found[cause].status == Status.ABSTAINED
    assert missing in found[cause].missing
    assert first(found) == "unknown"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("peers", ["none", "another time"])
def test_related_markets_without_a_bar_at_the_jump_check_nothing(peers: str, seed: int) -> None:
    def elsewhere(case: Case) -> None:
        if peers == "none":
            case["peers"] = []
        for peer in case["peers"]:
            peer["close"][simulate.BEFORE - 20 :] = [None] * (
                len(peer["close"]) - simulate.BEFORE + 20
            )

    found = edited("external_shock", elsewhere, seed)
    assert found["external_shock"].facts["n_peers"] == 0
    assert found["external_shock"].status == Status.ABSTAINED
    assert "peers" in found["external_shock"].missing


@pytest.mark.parametrize("seed", range(4))
def test_one_related_market_with_a_bar_at_the_jump_is_enough(seed: int) -> None:
    def one(case: Case) -> None:
        for peer in case["peers"][1:]:
            peer["close"] = [None] * len(peer["close"])

    found = edited("external_shock", one, seed)["external_shock"]
    assert (found.facts["n_peers"], found.status) == (1, Status.FIRED)


def test_without_a_score_there_is_no_model_to_check() -> None:
    found = edited("model_error", lambda case: case["signal"].update(score=None))
    assert found["model_error"].status == Status.ABSTAINED
    assert found["model_error"].missing == ("score",)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("feed", ["news", "peers", "volume"])
def test_a_feed_that_could_not_have_mattered_is_no_abstention(feed: str, seed: int) -> None:
    """No jump, so neither a calendar nor peers nor volumes would have said anything."""
    found = edited("regime_drift", lambda case: simulate.remove(case, feed), seed)
    jump = found["news_shock"].facts["jump_z"]
    if jump < 3.5:
        for cause in ("news_shock", "liquidity_event", "external_shock"):
            assert found[cause].status != Status.ABSTAINED


@pytest.mark.parametrize("cause", ["regime_drift", "volatility_spike"])
def test_too_few_bars_before_the_entry(cause: str) -> None:
    least = {"regime_drift": 200, "volatility_spike": 10}[cause]

    def shorten(case: Case) -> None:
        drop = simulate.BEFORE - least
        for name, values in case["candles"].items():
            case["candles"][name] = values[drop:]
        for peer in case["peers"]:
            peer["close"] = peer["close"][drop:]

    found = edited(cause, shorten)[cause]
    assert "bars_before" in found.missing
    assert found.status == Status.ABSTAINED


@pytest.mark.parametrize("seed", range(6))
def test_a_peer_moves_as_it_did_before_whatever_its_name_says(seed: int) -> None:
    """An index of the dollar falls when the euro rises, and no name tells."""

    def turned(case: Case) -> None:
        for peer in case["peers"]:
            peer["symbol"] = "DXY"
            peer["close"] = [None if price is None else 1 / price for price in peer["close"]]

    named = edited("external_shock", nothing, seed)["external_shock"]
    inverse = edited("external_shock", turned, seed)["external_shock"]
    assert inverse.status == named.status == Status.FIRED
    assert inverse.facts["median_peer_z"] == pytest.approx(named.facts["median_peer_z"], abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_peers_that_moved_alike_and_now_go_the_other_way_share_no_shock(seed: int) -> None:
    def against(case: Case) -> None:
        for peer in case["peers"]:
            close = np.array(peer["close"])
            jump = int(np.abs(np.diff(np.log(close[simulate.BEFORE - 1 :]))).argmax())
            at = simulate.BEFORE + jump
            close[at:] *= (close[at - 1] / close[at]) ** 2
            peer["close"] = close.tolist()

    assert edited("external_shock", against, seed)["external_shock"].status != Status.FIRED


@pytest.mark.parametrize("seed", range(6))
def test_trading_that_dried_up_at_the_jump_itself(seed: int) -> None:
    """A jump that ends the trade has no bars after it; the ones before it traded as usual."""

    def dry(case: Case) -> None:
        volume = case["candles"]["volume"]
        close = np.log(case["candles"]["close"])
        jump = int(np.abs(np.diff(close[simulate.BEFORE - 1 :])).argmax()) + simulate.BEFORE
        usual = float(np.median(volume[: simulate.BEFORE]))
        volume[jump - 4 : jump] = [usual] * 4

    assert first(edited("liquidity_event", dry, seed)) == "liquidity_event"


# --- more of it, more belief ----------------------------------------------------------------------


def posteriors(cause: str, edits: list[Edit], seed: int | None = None) -> list[float]:
    return [edited(cause, edit, seed)[cause].posterior for edit in edits]


def rises(values: list[float]) -> bool:
    return values == sorted(values) and values[-1] > values[0]


def test_belief_in_news_rises_with_its_impact() -> None:
    def of(impact: str) -> Edit:
        def edit(case: Case) -> None:
            for item in case["news"]:
                item["impact"], item["surprise_z"] = impact, None

        return edit

    assert rises(posteriors("news_shock", [of("low"), of("medium"), of("high")]))


def test_belief_in_thin_trading_falls_with_volume() -> None:
    volume = simulate.make_case(SEEDS["liquidity_event"], "liquidity_event")["candles"]["volume"]
    median = float(np.median(volume))

    def of(share: float) -> Edit:
        def edit(case: Case) -> None:
            changed = [median] * len(volume)
            changed[simulate.BEFORE :] = [median * share] * (len(volume) - simulate.BEFORE)
            case["candles"]["volume"] = changed

        return edit

    assert rises(posteriors("liquidity_event", [of(1.0), of(0.4), of(0.3), of(0.1)]))


def test_belief_in_a_model_error_rises_with_the_gap() -> None:
    def of(share: float) -> Edit:
        def edit(case: Case) -> None:
            case["signal"]["score"] = 80
            won = round(40 * share)
            case["model_history"] = [{"score": 80, "won": k < won} for k in range(40)]

        return edit

    assert rises(posteriors("model_error", [of(0.8), of(0.65), of(0.6), of(0.3)]))


def test_belief_in_a_false_positive_rises_with_the_losses() -> None:
    def of(wins: int) -> Edit:
        def edit(case: Case) -> None:
            case["setup_history"] = [
                {"setup": "breakout", "won": k < wins, "reward_risk": 1.0} for k in range(30)
            ]

        return edit

    assert rises(posteriors("false_positive", [of(15), of(11), of(9), of(4)]))


def test_belief_in_revenge_rises_with_the_size() -> None:
    def of(size: float) -> Edit:
        return lambda case: case["trade"].update(quantity=size)

    values = posteriors("user_psychology", [of(1.0), of(1.4), of(1.5), of(3.0)], revenge_seed())
    assert rises(values)


def test_belief_in_costs_rises_with_the_costs() -> None:
    def of(share: float) -> Edit:
        def edit(case: Case) -> None:
            trade = case["trade"]
            for asked, filled in (("requested_entry", "entry"), ("requested_exit", "exit")):
                trade[filled] = trade[asked] + share * (trade[filled] - trade[asked])

        return edit

    assert rises(posteriors("spread_slippage", [of(0.0), of(1.0), of(1.5)]))


# --- model error by decision, detector's verdicts -------------------------------------------------


def test_a_trade_taken_below_the_threshold() -> None:
    def below(case: Case) -> None:
        case["signal"]["score"], case["signal"]["min_score"] = 40, 60
        calm = case["trade"] | {"quantity": 1.0, "on_plan": True}
        calm["stop_loss_final"] = calm["stop_loss_initial"]
        case["trade"], case["horizon"] = calm, "TRADE"

    found = edited("user_psychology", below)["model_error"]
    assert found.status == Status.FIRED
    assert found.facts["subtype"] == 1
    assert found.strength == pytest.approx(0.9)


def test_a_setup_that_was_not_there_silences_the_false_positive() -> None:
    def bad_history(case: Case) -> None:
        case["setup_history"] = [{"setup": "breakout", "won": False, "reward_risk": 1.0}] * 40

    found = edited("detector_misid", bad_history)
    assert found["detector_misid"].status == Status.FIRED
    assert found["false_positive"].status == Status.NOT_FIRED


def test_every_subtype_that_can_fire_has_its_own_sentence() -> None:
    for cause, sentences in SUMMARIES.items():
        choices = next((spec.choices for spec in FACTS[cause] if spec.key == "subtype"), ())
        fires = [choice for choice in choices if choice != "present"]
        assert list(choices[: len(fires)]) == fires
        assert len(sentences) == max(len(fires), 1), cause


def test_an_absent_setup_is_called_absent() -> None:
    found = edited("detector_misid", nothing)["detector_misid"]
    subtype = SETUP_SUBTYPES[int(found.facts["subtype"])]
    wording = {
        "absent": "not on the candles",
        "repaint": "later candles",
        "wrong_side": "other way",
    }
    assert wording[subtype] in cause_summary(found)


# --- when causes run ------------------------------------------------------------------------------


def test_a_winner_has_no_causes() -> None:
    def turned(case: Case) -> None:
        signal = case["signal"]
        signal["stop_loss"], signal["take_profit"] = signal["take_profit"], signal["stop_loss"]
        signal["side"] = "short" if signal["side"] == "long" else "long"
        case["trade"] = None

    found = edited("news_shock", turned)
    assert all(finding.rank == 0 for finding in found.values())
    assert all(finding.status == Status.NOT_FIRED for finding in found.values())
    assert all(not finding.facts for finding in found.values())


def test_bars_after_the_exit_change_nothing() -> None:
    for cause in simulate.PRICE_CAUSES:
        case = simulate.make_case(SEEDS[cause], cause)
        batch = parse_case(case)
        end = int(replay(batch).exit[0])
        wild = deepcopy(case)
        for name in ("open", "high", "low", "close"):
            column = wild["candles"][name]
            column[end + 1 :] = [round(price * 2, 5) for price in column[end + 1 :]]
        for peer in wild["peers"]:
            peer["close"][end + 1 :] = [price * 3 for price in peer["close"][end + 1 :]]
        wild["candles"]["volume"][end + 1 :] = [0.0] * len(wild["candles"]["volume"][end + 1 :])
        assert findings(wild) == findings(case), cause


# --- causes beside each other ---------------------------------------------------------------------


def test_a_cause_fires_by_its_own_evidence_and_shares_its_posterior() -> None:
    """The same news with and without a model that was over-confident as well."""

    def overconfident(case: Case) -> None:
        other = simulate.make_case(SEEDS["model_error"], "model_error")
        case["model_history"] = other["model_history"]
        case["signal"] |= {
            key: other["signal"][key] for key in ("score", "score_semantics", "model_version")
        }
        for row in case["model_history"]:
            row["score"], row["won"] = case["signal"]["score"], False

    alone, beside = (edited("news_shock", edit) for edit in (nothing, overconfident))
    assert beside["model_error"].status == beside["news_shock"].status == Status.FIRED
    assert beside["news_shock"].strength == alone["news_shock"].strength
    assert beside["news_shock"].posterior < alone["news_shock"].posterior - 0.1
    assert beside["news_shock"].confidence < alone["news_shock"].confidence
    named = [finding for cause, finding in beside.items() if cause != "unknown"]
    assert sum(finding.posterior for finding in named) < 1
    for finding in named:
        rest = sum(other.posterior for other in named if other is not finding)
        assert finding.others == pytest.approx(rest)


# --- a drift is many small steps ------------------------------------------------------------------


def drift_of(jump_r: float, vol: float = 0.0) -> float:
    """Strength of the plain drift if its largest bar had made so much of it, in R."""
    context = context_of(simulate.make_case(SEEDS["regime_drift"], "regime_drift"))
    jump = replace(context.jump, r=np.array([jump_r]))
    wild = replace(context.volatility, strength=np.array([vol]))
    found = regime_drift.assess(replace(context, jump=jump, volatility=wild))
    return float(found.strength[0])


def test_a_loss_that_one_bar_made_is_no_drift() -> None:
    lost = -float(context_of(simulate.make_case(SEEDS["regime_drift"], "regime_drift")).life.r[0])
    low, high = regime_drift.LARGEST_BAR[1] * lost, regime_drift.LARGEST_BAR[0] * lost
    whole = drift_of(low)
    assert whole > 0
    assert drift_of(0.0) == drift_of(-1.0) == whole
    assert drift_of((low + high) / 2) == pytest.approx(whole / 2)
    assert drift_of(high) == drift_of(2 * lost) == 0
    assert drift_of(low, vol=1.0) == pytest.approx(whole * (1 - regime_drift.VOLATILITY_DISCOUNT))
