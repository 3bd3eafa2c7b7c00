"""The models of the post-mortem app, split by noun."""

from .access import ApiToken, IdempotencyKey
from .analyses import AnalysisPattern, ImprovementPlan, PatternSearch, TradeAnalysis
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
from .experiments import Experiment, ExperimentAssignment, ExperimentNote
from .impact import ImpactVerdict, MeasurementPlan
from .jobs import AutopsyJob, JobItem
from .learning import ModelVersion, RetrainRequest
from .meetings import ActionItem, MeetingDecision, ReviewMeeting
from .operations import LLMAnswer, LLMCall, LLMSpend
from .recommendations import (
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
)

__all__ = [
    "ActionItem",
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
    "Experiment",
    "ExperimentAssignment",
    "ExperimentNote",
    "IdempotencyKey",
    "ImpactVerdict",
    "ImprovementPlan",
    "InsightAudit",
    "JobItem",
    "LLMAnswer",
    "LLMCall",
    "LLMSpend",
    "LabelingRule",
    "MeasurementPlan",
    "MeetingDecision",
    "ModelVersion",
    "PatternSearch",
    "RecommendationHistory",
    "RecommendationOccurrence",
    "RecommendationTracking",
    "RetrainRequest",
    "ReviewMeeting",
    "RuleChange",
    "RuleSnapshot",
    "TradeAnalysis",
]
