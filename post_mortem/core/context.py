"""What a cause may read: the cases, their paths and labels, and all shared measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from post_mortem.core.calibration import FIRE_FROM, Calibration, confidence
from post_mortem.core.features import Features
from post_mortem.core.measures import (
    Gap,
    Jump,
    Life,
    Volatility,
    largest_gap,
    largest_jump,
    life_of,
    volatility_rise,
)
from post_mortem.core.surroundings import (
    ClaimedSetups,
    NearNews,
    Thin,
    claimed_setups,
    near_news,
    thin_trading,
)
from post_mortem.core.types import I32, Bool, CaseBatch, Findings, Labels, Paths, Status
from trading.core.candles import F64


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """All a cause may read. Arrays have the length of the batch."""

    batch: CaseBatch
    paths: Paths
    labels: Labels
    features: Features
    calibration: Calibration
    life: Life
    jump: Jump
    volatility: Volatility
    gap: Gap
    thin: Thin
    news: NearNews
    setups: ClaimedSetups

    def __len__(self) -> int:
        return len(self.batch)

    def findings(
        self,
        cause: str,
        band: tuple[int, int],
        strength: F64,
        facts: Mapping[str, F64],
        *,
        missing: I32 | None = None,
        precondition: Bool | None = None,
    ) -> Findings:
        """Turn strength into a finding: fired from a posterior on, abstained where a needed feed
        is missing and the precondition of the cause is present, else not fired."""
        n = len(self)
        bits = np.zeros(n, np.int32) if missing is None else missing
        present = np.ones(n, bool) if precondition is None else precondition
        posterior = self.calibration.posterior(cause, strength)
        fired = posterior >= FIRE_FROM
        status = np.where(fired, Status.FIRED, Status.NOT_FIRED).astype(np.int8)
        status[(bits != 0) & present & ~fired] = Status.ABSTAINED
        shown = np.where(fired, confidence(band, posterior), 0).astype(np.int8)
        return Findings(cause, status, strength, posterior, shown, bits, dict(facts))


def measure(
    batch: CaseBatch, paths: Paths, labels: Labels, features: Features, calibration: Calibration
) -> Context:
    """All shared measures of the cases. The market must hold at least one bar."""
    life = life_of(batch, paths, labels, features)
    jump = largest_jump(batch, labels, features, life)
    gap = largest_gap(batch, features, life)
    news = near_news(batch, life, jump)
    volatility = volatility_rise(features, life)
    return Context(
        batch,
        paths,
        labels,
        features,
        calibration,
        life,
        jump,
        volatility,
        gap,
        thin_trading(features, life, jump, gap, volatility, news),
        news,
        claimed_setups(batch, life),
    )
