from django.urls import path, register_converter

from . import (
    analyses,
    attribution,
    audits,
    experiments,
    impact,
    jobs,
    meetings,
    patterns,
    plans,
    recommendations,
    reviews,
)


class IdConverter:
    """A row id that every database can take."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(IdConverter, "id")

urlpatterns = [
    path("analyses/", analyses.AnalysisList.as_view(), name="api-analyses"),
    path("analyses/batch/", analyses.AnalysisBatch.as_view(), name="api-analyses-batch"),
    path("analyses/<id:trade_id>/", analyses.Analysis.as_view(), name="api-analysis"),
    path("jobs/<slug:job_id>/", jobs.JobDetail.as_view(), name="api-job"),
    path("jobs/<slug:job_id>/cancel/", jobs.JobCancel.as_view(), name="api-job-cancel"),
    path("audits/", audits.AuditList.as_view(), name="api-audits"),
    path("audits/stale/", audits.AuditStale.as_view(), name="api-audits-stale"),
    path("audits/<id:audit_id>/", audits.AuditDetail.as_view(), name="api-audit"),
    path("audits/<id:audit_id>/case/", audits.AuditCase.as_view(), name="api-audit-case"),
    path("audits/review/", reviews.ReviewQueue.as_view(), name="api-review-queue"),
    path("audits/<id:audit_id>/review/", reviews.AuditChange.as_view(), name="api-audit-change"),
    path(
        "audits/<id:audit_id>/override/", reviews.AuditOverride.as_view(), name="api-audit-override"
    ),
    path(
        "audits/<id:audit_id>/override/undo/",
        reviews.AuditOverrideUndo.as_view(),
        name="api-audit-override-undo",
    ),
    path(
        "audits/<id:audit_id>/history/",
        reviews.AuditHistoryList.as_view(),
        name="api-audit-history",
    ),
    path(
        "audits/<id:audit_id>/attribution/",
        attribution.AuditAttribution.as_view(),
        name="api-audit-attribution",
    ),
    path("audits/<id:audit_id>/reviews/", audits.AuditReviews.as_view(), name="api-audit-reviews"),
    path(
        "audits/<id:audit_id>/reviews/<slug:cause>/",
        audits.AuditReview.as_view(),
        name="api-audit-review",
    ),
    path("meetings/", meetings.MeetingList.as_view(), name="api-meetings"),
    path("meetings/<id:meeting_id>/", meetings.MeetingDetail.as_view(), name="api-meeting"),
    path(
        "meetings/<id:meeting_id>/decisions/",
        meetings.MeetingDecisions.as_view(),
        name="api-meeting-decisions",
    ),
    path(
        "meetings/<id:meeting_id>/decisions/<id:decision_id>/undo/",
        meetings.MeetingDecisionUndo.as_view(),
        name="api-meeting-decision-undo",
    ),
    path(
        "meetings/<id:meeting_id>/action/",
        meetings.MeetingAction.as_view(),
        name="api-meeting-action",
    ),
    path(
        "meetings/<id:meeting_id>/report/",
        meetings.MeetingReport.as_view(),
        name="api-meeting-report",
    ),
    path(
        "meetings/<id:meeting_id>/close/",
        meetings.MeetingClose.as_view(),
        name="api-meeting-close",
    ),
    path("patterns/", patterns.PatternList.as_view(), name="api-patterns"),
    path("patterns/identify/", patterns.PatternSearch.as_view(), name="api-patterns-identify"),
    path("patterns/<id:pattern_id>/", patterns.PatternDetail.as_view(), name="api-pattern"),
    path("improvement-plans/", plans.PlanList.as_view(), name="api-plans"),
    path("improvement-plans/<id:plan_id>/", plans.PlanDetail.as_view(), name="api-plan"),
    path("experiments/", experiments.ExperimentList.as_view(), name="api-experiments"),
    path(
        "experiments/<id:experiment_id>/",
        experiments.ExperimentDetail.as_view(),
        name="api-experiment",
    ),
    path(
        "experiments/<id:experiment_id>/arm/",
        experiments.ExperimentArm.as_view(),
        name="api-experiment-arm",
    ),
    path(
        "experiments/<id:experiment_id>/stop/",
        experiments.ExperimentStop.as_view(),
        name="api-experiment-stop",
    ),
    path(
        "experiments/<id:experiment_id>/notes/",
        experiments.ExperimentNotes.as_view(),
        name="api-experiment-notes",
    ),
    path(
        "recommendations/",
        recommendations.RecommendationList.as_view(),
        name="api-recommendations",
    ),
    path(
        "recommendations/track/",
        recommendations.RecommendationTrack.as_view(),
        name="api-recommendation-track",
    ),
    path(
        "recommendations/undo/",
        recommendations.RecommendationUndo.as_view(),
        name="api-recommendation-undo",
    ),
    path(
        "recommendations/merge/",
        recommendations.RecommendationMerge.as_view(),
        name="api-recommendation-merge",
    ),
    path(
        "recommendations/bulk/",
        recommendations.RecommendationBulk.as_view(),
        name="api-recommendations-bulk",
    ),
    path(
        "recommendations/bulk/undo/",
        recommendations.RecommendationBulkUndo.as_view(),
        name="api-recommendations-bulk-undo",
    ),
    path(
        "recommendations/judge/",
        impact.RecommendationJudge.as_view(),
        name="api-recommendations-judge",
    ),
    path(
        "recommendations/types/",
        impact.RecommendationTypes.as_view(),
        name="api-recommendation-types",
    ),
    path(
        "recommendations/<id:recommendation_id>/impact/",
        impact.RecommendationImpact.as_view(),
        name="api-recommendation-impact",
    ),
]
