"""The first generator: a portable case with known causes, or with none.

`make(split, kind, index)` draws markets from seeds that belong to the split alone until one
satisfies what the kind asks for. Every planted cause is validated by its impact: the same random
stream without it must not lose (`MATERIAL_R` less of a loss for a widened stop or a size, which
cannot turn a loss into a gain). What follows the exit is drawn afresh, so it tells nothing.

    price causes     the same noise without the event reaches the target or ends at 0 R or better
    spread_slippage  the same trade filled at mid prices without fees ends above 0 R
    model_error      an honest score would have been below the minimum: no trade, 0 R
    detector_misid   without the false detection there is no trade, 0 R
    false_positive   the setup's own results were worse than -0.25 R a trade: no trade, 0 R
    user_psychology  no trade (overtrading), the usual size (revenge), the initial stop (widened)
    an outage        the exit that was wanted when it began, at 0 R or better
"""

from __future__ import annotations

import hashlib

import numpy as np

from post_mortem.core.types import CAUSES

from . import fills
from .case import write
from .market import INSTRUMENTS, SETTINGS, TAIL_BARS, Noise, make_noise
from .plant import JUMPS, PRICE_CAUSES, SHORTEST
from .records import Past, draw_past
from .scene import Scene, needs_trade, planned_life, prepare
from .truth import MATERIAL_R, NAMED, Sample, Truth

SPLITS = ("train", "dev", "validation")
_SUITE = 71
_RECORD_PARTNERS = ("model_error", "false_positive", "detector_misid", "user_psychology")
_ATTEMPTS = 5000
_PAIR_ATTEMPTS = 60  # then another pair: some pairs hardly ever both decide
# Forms of a cause and their shares; drawn once a case, so that the easy ones do not crowd out the
# rare ones.
FORMS: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "liquidity_event": (("thin", "gap"), (0.65, 0.35)),
    "external_shock": (("market_wide", "outage"), (0.8, 0.2)),
    "spread_slippage": (("costs", "stop_by_spread"), (0.6, 0.4)),
    "model_error": (("over_confident", "taken_below_threshold"), (0.85, 0.15)),
    "detector_misid": (("absent", "wrong_side"), (0.7, 0.3)),
    "user_psychology": (("revenge", "overtrading", "stop_widened"), (0.4, 0.35, 0.25)),
}
_ALONE = ("outage", "stop_widened")  # forms that no other cause goes with


def make(split: str, kind: str, index: int) -> Sample:
    """Case number `index` of a split. `kind` is a cause, "unknown" (nothing is wrong) or
    "compound" (two causes). Raises RuntimeError when no attempt is valid."""
    number = (*CAUSES, "compound").index(kind)
    key = (_SUITE, SPLITS.index(split), number, index)
    forms: dict[str, str] = {}
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng((*key, attempt))
        if attempt % (_PAIR_ATTEMPTS if kind == "compound" else _ATTEMPTS) == 0:
            forms = draw_forms(rng, draw_causes(rng, kind))
        sample = stage(rng, forms, *_market(rng, forms))
        if sample is not None:
            return named(sample, key)
    raise RuntimeError(f"no valid {kind} case number {index} of {split}")


def named(sample: Sample, key: tuple[int, ...]) -> Sample:
    """An id that says nothing about the case."""
    name = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    sample.case["id"] = name
    truth = Truth(**{**sample.truth.as_json(), "id": name})
    return Sample(sample.case, truth)


def stage(
    rng: np.random.Generator, forms: dict[str, str], noise: Noise, horizon: str, at: int
) -> Sample | None:
    """A case with these causes on this market, entered at bar `at`; None where it is not valid."""
    scene = prepare(rng, forms, noise, horizon, at)
    if scene is None:
        return None
    execution = fills.execute(rng, scene)
    if execution is None or not _prices_validated(scene):
        return None
    past = draw_past(rng, forms, scene.claimed, scene.ratio)
    if past is None or not _records_validated(scene, past, execution):
        return None
    if len(scene.saved) != len(forms):
        return None
    ranked = sorted(scene.saved.items(), key=lambda item: -item[1])
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < 0.1:
        return None
    truth = Truth(
        id="",
        cause=ranked[0][0] if ranked else "unknown",
        planted={cause: round(r, 3) for cause, r in ranked},
        kind={0: "none", 1: "plain"}.get(len(ranked), "compound"),
        subtype="/".join(filter(None, forms.values())),
        outcome_r=round(execution.r, 3),
    )
    return Sample(write(rng, scene, execution, past), truth)


def draw_causes(rng: np.random.Generator, kind: str) -> tuple[str, ...]:
    if kind == "unknown":
        return ()
    if kind != "compound":
        return (kind,)
    first = str(rng.choice(PRICE_CAUSES))
    partners = [c for c in NAMED if c in (*PRICE_CAUSES, *_RECORD_PARTNERS) and c != first]
    if first in JUMPS:  # two jumps in one trade would be two of the same kind of evidence
        partners = [cause for cause in partners if cause not in JUMPS]
    return first, str(rng.choice(partners))


def draw_forms(rng: np.random.Generator, causes: tuple[str, ...]) -> dict[str, str]:
    """The causes of a case with the form each takes."""
    result = {}
    for cause in causes:
        names, shares = FORMS.get(cause, (("",), (1.0,)))
        form = str(rng.choice(names, p=shares))
        result[cause] = names[0] if len(causes) > 1 and form in _ALONE else form
    return result


def _market(rng: np.random.Generator, forms: dict[str, str]) -> tuple[Noise, str, int]:
    """A simulated market, the horizon, and the bar of the entry."""
    instrument = INSTRUMENTS[int(rng.integers(len(INSTRUMENTS)))]
    timeframe, horizon = SETTINGS[int(rng.integers(len(SETTINGS)))]
    if needs_trade(forms):
        timeframe, horizon = SETTINGS[int(rng.integers(6, len(SETTINGS)))]
    before = int(rng.integers(640, 1300))
    if timeframe == "5m" and rng.random() < 0.15:
        before = int(rng.integers(2900, 3100))  # enough days to know the hours of the day
    life = planned_life(rng, timeframe, horizon)
    noise = make_noise(rng, instrument, timeframe, before + life + TAIL_BARS)
    if rng.random() < 0.2:
        _storm_before(rng, noise, before)
    return noise, horizon, before


def _storm_before(rng: np.random.Generator, noise: Noise, at: int) -> None:
    """A wild stretch that was over well before the entry: no reason for what came after it."""
    stop = at - int(rng.integers(60, 200))
    start = stop - int(rng.integers(30, 150))
    factor = rng.uniform(1.8, 3.2)
    noise.steps[start:stop] *= factor
    noise.sigma[start:stop] *= factor
    noise.peers[:, start:stop] *= rng.uniform(1, factor)
    if noise.volume is not None:
        noise.volume[start:stop] *= rng.uniform(1, factor)


def _prices_validated(scene: Scene) -> bool:
    """Without each planted event the plan does not lose; notes what that saves."""
    for item in scene.plants:
        without = scene.without(item.cause)
        saved = without.r - scene.verdict.r
        seen = scene.verdict.bar - item.bar + 1
        if seen < SHORTEST.get(item.cause, 1) or without.r < 0 or saved < MATERIAL_R:
            return False
        scene.saved[item.cause] = saved
    return True


def _records_validated(scene: Scene, past: Past, execution: fills.Execution) -> bool:
    """Notes what the trade without each planted record cause would have saved."""
    refused = {
        "model_error": past.honest < past.minimum,
        "false_positive": past.setup_mean_r <= -MATERIAL_R,
        "detector_misid": True,
    }
    for cause in scene.forms:
        if refused.get(cause) is False:
            return False
        if cause in refused:  # nobody would have traded
            scene.saved[cause] = -execution.r
        elif cause in execution.saved:
            scene.saved[cause] = execution.saved[cause]
    return all(saved >= MATERIAL_R for saved in scene.saved.values())
