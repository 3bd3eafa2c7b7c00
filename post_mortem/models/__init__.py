"""The models of the post-mortem app, split by noun."""

from .access import ApiToken, IdempotencyKey
from .analyses import AnalysisPattern, ImprovementPlan, TradeAnalysis
from .audits import AuditRCA, CauseReview, InsightAudit, LabelingRule, RuleSnapshot
from .jobs import AutopsyJob, JobItem
from .learning import ModelVersion, RetrainRequest
from .recommendations import (
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
)

__all__ = [
    "AnalysisPattern",
    "ApiToken",
    "AuditRCA",
    "AutopsyJob",
    "CauseReview",
    "IdempotencyKey",
    "ImprovementPlan",
    "InsightAudit",
    "JobItem",
    "LabelingRule",
    "ModelVersion",
    "RecommendationHistory",
    "RecommendationOccurrence",
    "RecommendationTracking",
    "RetrainRequest",
    "RuleSnapshot",
    "TradeAnalysis",
]
