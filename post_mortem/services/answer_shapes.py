"""The shapes that models answer in. Limits of length and number are checked here and are not sent:
servers differ in what they understand of a schema. Import lazily: pydantic is not free.

Scores, ranks, confidences, counts and money are not in here: they come from code."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=1_200)]
Texts = Annotated[list[Text], Field(max_length=8)]
Area = Literal[
    "entry", "exit", "sizing", "risk", "timing", "news", "execution", "psychology", "model", "data"
]
Metric = Literal["win_rate", "expectancy_r", "max_drawdown", "slippage", "none"]
Cause = Literal[
    "news_shock", "regime_drift", "volatility_spike", "liquidity_event", "external_shock",
    "spread_slippage", "model_error", "detector_misid", "false_positive", "user_psychology",
    "unknown",
]  # fmt: skip


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore")


class PerformanceAnalysis(_Shape):
    overall_evaluation: Text
    strengths: Texts
    weaknesses: Texts


class Part(_Shape):
    summary: Text
    what_the_evidence_shows: Texts


class Factor(_Shape):
    cause: Cause
    explanation: Text


class Opportunity(_Shape):
    area: Area
    suggestion: Text
    expected_impact: Text
    metric: Metric


class TradeAnswer(_Shape):
    performance_analysis: PerformanceAnalysis
    entry_analysis: Part
    exit_analysis: Part
    decision_analysis: Part
    primary_factors: Annotated[list[Factor], Field(max_length=5)]
    improvement_opportunities: Annotated[list[Opportunity], Field(max_length=5)]
    insufficient_evidence: Texts


class NamedPattern(_Shape):
    cluster_id: Annotated[str, Field(max_length=40)]
    title: Annotated[str, Field(max_length=120)]
    description: Text
    hypothesis: Text
    action_items: Texts


class PatternAnswer(_Shape):
    patterns: Annotated[list[NamedPattern], Field(max_length=10)]
    insufficient_evidence: Texts


class PlanItem(_Shape):
    focus_area: Area
    action: Text
    rationale: Text
    metric: Metric
    effort: Literal["low", "medium", "high"]
    source_ids: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=8)]


class PlanAnswer(_Shape):
    summary: Text
    items: Annotated[list[PlanItem], Field(max_length=7)]
