"""Root causes: run every cause over the cases that lost, rank what fired.

Failed cases are always judged, neutral ones when they lost something or went half the risk against
the trade; a neutral case without an adverse move gets `unknown` alone. Succeeded, pending and
filtered cases are not judged. A cause fires by its own evidence; its posterior is then its share
among all that show. Fired causes rank by posterior (ties: the order of `CAUSES`);
`unknown` ranks first when nothing fired, when what fired is weak beside what could not be checked,
or when a shock could not be attributed; else last.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.batches import take
from post_mortem.core.calibration import KNOWN_FROM, Calibration, confidence, shares
from post_mortem.core.calibration_table import DEFAULT
from post_mortem.core.causes import FACTS, NAMED, unknown
from post_mortem.core.context import Context, measure
from post_mortem.core.features import Features, market_features
from post_mortem.core.types import (
    CAUSES,
    I8,
    Bool,
    CaseBatch,
    Diagnosis,
    Findings,
    Labels,
    Outcome,
    Paths,
    Status,
)
from trading.core.candles import F64

ADVERSE_R = 0.5  # a neutral case that went so far against the trade is worth a question
# Causes of an adverse shock. When one of them could not be checked and none explains the shock,
# only a strong other cause outranks "could not tell".
SHOCKS = ("news_shock", "liquidity_event", "external_shock")
EXPLAINS = 0.35
STRONG = 0.60
# Each cause whose feed is missing could have been the reason: the best must be so much likelier.
UNCHECKED_RAISES = 0.15
MOST_RAISES = 2


def diagnose(
    batch: CaseBatch,
    paths: Paths,
    labels: Labels,
    calibration: Calibration = DEFAULT,
    features: Features | None = None,
) -> Diagnosis:
    """Findings of every cause for every case, ranked.

    `features` of the batch's market may be passed in to share them between batches.
    """
    n = len(batch)
    lost = (labels.outcome == Outcome.FAILED) | (labels.outcome == Outcome.NEUTRAL)
    rows = np.flatnonzero(lost) if len(batch.market.candles) else np.zeros(0, np.int64)
    if not rows.size:
        nothing = tuple(_nothing(cause, n) for cause in CAUSES)
        return Diagnosis(nothing, np.zeros((n, len(CAUSES)), np.int8), np.zeros(n, bool))
    whole = rows.size == n
    context = measure(
        batch if whole else take(batch, rows),
        paths if whole else take(paths, rows),
        labels if whole else take(labels, rows),
        market_features(batch.market) if features is None else features,
        calibration,
    )
    findings, rank = _judge(context)
    judged = np.zeros(n, bool)
    judged[rows] = True
    ranks = np.zeros((n, len(CAUSES)), np.int8)
    ranks[rows] = rank
    return Diagnosis(tuple(_spread(f, rows, n) for f in findings), ranks, judged)


def _judge(context: Context) -> tuple[tuple[Findings, ...], I8]:
    quiet = _quiet(context)
    named = [_silence(cause.assess(context), quiet) for cause in NAMED]
    blind = _blind(named)
    unknowns = unknown.assess(context, named, quiet, blind)
    best = np.max([f.posterior for f in named], axis=0)
    first = (best < _named_from(context, named)) | blind | quiet
    unknowns = _fire(unknowns, first)
    ranks = _ranks((*named, unknowns), first)
    return (*_competing(named), unknowns), ranks


def _competing(named: list[Findings]) -> list[Findings]:
    """The findings with the posterior, and so the confidence, that is left among the others."""
    shared = shares(np.stack([finding.posterior for finding in named]))
    return [
        replace(
            finding,
            posterior=posterior,
            confidence=np.where(
                finding.status == Status.FIRED, confidence(cause.BAND, posterior), 0
            ).astype(np.int8),
        )
        for cause, finding, posterior in zip(NAMED, named, shared, strict=True)
    ]


def _quiet(context: Context) -> Bool:
    """Neutral cases that neither lost nor went far against the trade."""
    labels, life = context.labels, context.life
    went = context.paths.mae * context.batch.market.half_point / life.risk
    adverse = (life.r < 0) | (labels.mae_r >= ADVERSE_R) | (went >= ADVERSE_R)
    quiet: Bool = (labels.outcome == Outcome.NEUTRAL) & ~adverse
    return quiet


def _silence(findings: Findings, quiet: Bool) -> Findings:
    """Nothing went wrong, so no cause of it fired and none was needed."""
    if not quiet.any():
        return findings
    return replace(
        findings,
        status=np.where(quiet, Status.NOT_FIRED, findings.status).astype(np.int8),
        strength=np.where(quiet, 0.0, findings.strength),
        posterior=np.where(quiet, 0.0, findings.posterior),
        confidence=np.where(quiet, 0, findings.confidence).astype(np.int8),
    )


def _blind(named: list[Findings]) -> Bool:
    """A shock that could not be attributed, and nothing else that is strong."""
    shocks = [f for f in named if f.cause in SHOCKS]
    unchecked = np.any([f.status == Status.ABSTAINED for f in shocks], axis=0)
    explained = np.any([f.posterior >= EXPLAINS for f in shocks], axis=0)
    strong = np.any([f.posterior >= STRONG for f in named], axis=0)
    blind: Bool = unchecked & ~explained & ~strong
    return blind


def _named_from(context: Context, named: list[Findings]) -> F64:
    """The posterior from which a cause is named before `unknown`, raised where feeds are missing.

    A history that is there but short is no missing feed: a new setup has not lost yet."""
    batch = context.batch
    nowhere = np.zeros(len(context), bool)
    short = {
        "false_positive": batch.setup_history.start >= 0,
        "model_error": (batch.model_history.start >= 0) & np.isfinite(batch.score),
    }
    unchecked = np.sum(
        [(f.status == Status.ABSTAINED) & ~short.get(f.cause, nowhere) for f in named], axis=0
    )
    raised: F64 = KNOWN_FROM + UNCHECKED_RAISES * np.minimum(unchecked, MOST_RAISES)
    return raised


def _fire(findings: Findings, first: Bool) -> Findings:
    status = np.where(first, Status.FIRED, Status.NOT_FIRED).astype(np.int8)
    return replace(findings, status=status)


def _ranks(findings: tuple[Findings, ...], unknown_first: Bool) -> I8:
    """1-based ranks of fired causes and of `unknown`, 0 for the rest."""
    fired = np.stack([f.status == Status.FIRED for f in findings], axis=1)
    weight = np.stack([f.posterior for f in findings], axis=1)
    weight = np.where(fired, weight, -1.0)
    weight[:, -1] = np.where(unknown_first, 2.0, 0.0)
    ranked = fired.copy()
    ranked[:, -1] = True
    order = np.argsort(-weight, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
    return np.where(ranked, rank, 0).astype(np.int8)


def _spread(findings: Findings, rows: NDArray[np.int64], n: int) -> Findings:
    """Findings of the judged rows among all cases; the others did not fire, facts unknown."""
    if rows.size == n:
        return findings

    def widened(values: NDArray[np.generic], fill: float) -> NDArray[np.generic]:
        result = np.full(n, fill, values.dtype)
        result[rows] = values
        return result

    return Findings(
        findings.cause,
        widened(findings.status, Status.NOT_FIRED),  # type: ignore[arg-type]
        widened(findings.strength, 0.0),  # type: ignore[arg-type]
        widened(findings.posterior, 0.0),  # type: ignore[arg-type]
        widened(findings.confidence, 0),  # type: ignore[arg-type]
        widened(findings.missing, 0),  # type: ignore[arg-type]
        {
            key: widened(np.asarray(values, np.float64), np.nan)  # type: ignore[misc]
            for key, values in findings.facts.items()
        },
    )


def _nothing(cause: str, n: int) -> Findings:
    unknown_facts = {spec.key: np.full(n, np.nan) for spec in FACTS[cause]}
    zero = np.zeros(n)
    return Findings(
        cause,
        np.zeros(n, np.int8),
        zero,
        zero,
        np.zeros(n, np.int8),
        np.zeros(n, np.int32),
        unknown_facts,
    )
