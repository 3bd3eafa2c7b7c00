"""The models of the post-mortem app, split by noun."""

from .access import ApiToken, IdempotencyKey
from .analyses import AnalysisPattern, ImprovementPlan, TradeAnalysis
from .attribution import AttributionReport, AttributionRows
from .audits import (
    AuditHistory,
    AuditRCA,
    CauseReview,
    InsightAudit,
    LabelingRule,
    RuleChange,
    RuleSnapshot,
)
from .calibrations import CalibrationAdoption, CalibrationTable
from .jobs import AutopsyJob, JobItem
from .learning import ModelVersion, RetrainRequest
from .operations import LLMAnswer, LLMCall, LLMSpend
from .recommendations import (
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
)

__all__ = [
    "AnalysisPattern",
    "ApiToken",
    "AttributionReport",
    "AttributionRows",
    "AuditHistory",
    "AuditRCA",
    "AutopsyJob",
    "CalibrationAdoption",
    "CalibrationTable",
    "CauseReview",
    "IdempotencyKey",
    "ImprovementPlan",
    "InsightAudit",
    "JobItem",
    "LLMAnswer",
    "LLMCall",
    "LLMSpend",
    "LabelingRule",
    "ModelVersion",
    "RecommendationHistory",
    "RecommendationOccurrence",
    "RecommendationTracking",
    "RetrainRequest",
    "RuleChange",
    "RuleSnapshot",
    "TradeAnalysis",
]
