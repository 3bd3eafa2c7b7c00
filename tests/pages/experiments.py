"""Experiments to look at: one that has just begun, and one filled with months of trades."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from django.utils import timezone

from post_mortem.models import Experiment, InsightAudit, RuleSnapshot
from post_mortem.selectors.experiments import days_of
from post_mortem.services.experiment_draws import draw
from post_mortem.services.experiments import start_experiment
from trading.models import Trade

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


def fill(experiment: Experiment, world: World, *, effect: float = 0.5, a_day: int = 2) -> None:
    """Judged trades on every day drawn that is over, better by `effect` R on days that are ON."""
    rng, days, now = np.random.default_rng(11), days_of(experiment), timezone.now()
    instrument = make_instrument(experiment.scope["symbol"])
    rule, _ = RuleSnapshot.objects.get_or_create(sha256="0" * 64, defaults={"data": {"id": 0}})
    signal, n = world.news_trade.signal, 0
    for row in experiment.assignments.order_by("pk"):
        if days.end(row.day) > now:
            break
        for k in range(a_day):
            r = float(np.clip(rng.normal(0.1 + effect * (row.arm == "on"), 1.3), -1.4, 4.5))
            at: datetime = days.start(row.day) + timedelta(hours=9 + k)
            trade = Trade.objects.create(
                account=world.account,
                signal=signal,
                instrument=instrument,
                dedupe_key=f"x{experiment.pk}-{n}",
                side=1,
                quantity=1,
                entry_price=signal.entry_price,
                opened_at=at,
                exit_price=signal.entry_price,
                closed_at=at + timedelta(minutes=40),
            )
            InsightAudit.objects.create(
                account=world.account,
                signal=signal,
                trade=trade,
                horizon="TRADE",
                outcome=InsightAudit.Outcome.NEUTRAL,
                exit_reason=InsightAudit.ExitReason.MANUAL,
                entry_time=at,
                exit_time=trade.closed_at,
                entry_price=1.38,
                r_multiple=r,
                rule_snapshot=rule,
                record=b"",
                input_hash="a" * 64,
                evidence_hash="b" * 64,
                engine_version=1,
                evaluated_at=at,
            )
            n += 1
