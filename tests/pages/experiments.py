"""Experiments to look at: one that has just begun, and one filled with months of trades."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from django.utils import timezone

from post_mortem.models import Experiment
from post_mortem.services.experiment_draws import draw
from post_mortem.services.experiments import start_experiment
from tests.services import experiment_data

from .factories import World, make_instrument

RULE = "No new trade from 15 min before to 15 min after a high-impact USD release."


def an_experiment(world: World, *, days_ago: int = 3, symbol: str = "GBPUSD") -> Experiment:
    """The account's experiment on a symbol, begun some days ago; the same one when asked again."""
    make_instrument(symbol)
    found = Experiment.objects.filter(account=world.account, scope={"symbol": symbol}).first()
    if found is not None:
        return found
    now = timezone.now() - timedelta(days=days_ago)
    made = start_experiment(
        account=world.account,
        recommendation=None,
        name="No USD-news entries",
        rule=RULE,
        unit="day",
        scope={"symbol": symbol},
        starts_on=None,
        shadow=False,
        strict=False,
        weekdays=range(7),
        user=world.user,
        now=now,
    )
    for ago in range(days_ago, -1, -7):
        draw(now=timezone.now() - timedelta(days=ago))
    made.refresh_from_db()
    return made


def fill(experiment: Experiment, *, effect: float) -> None:
    """Judged trades on every day drawn that is over, better by `effect` R on days that are ON."""
    rng = np.random.default_rng(11)

    def result(on: bool, _: int) -> float:
        return float(np.clip(rng.normal(0.1 + effect * on, 1.3), -1.4, 4.5))

    experiment_data.fill(experiment, result, by=timezone.now())
