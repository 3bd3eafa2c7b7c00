from django.urls import path, register_converter

from . import analyses, audits, jobs, recommendations


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
    path("audits/<id:audit_id>/", audits.AuditDetail.as_view(), name="api-audit"),
    path("audits/<id:audit_id>/case/", audits.AuditCase.as_view(), name="api-audit-case"),
    path("audits/<id:audit_id>/reviews/", audits.AuditReviews.as_view(), name="api-audit-reviews"),
    path(
        "audits/<id:audit_id>/reviews/<slug:cause>/",
        audits.AuditReview.as_view(),
        name="api-audit-review",
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
]
