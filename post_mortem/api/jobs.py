"""Jobs: how far they are, and stopping them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import AutopsyJob
from post_mortem.selectors.access import readable, writable
from post_mortem.services import jobs

from .base import Endpoint
from .fields import StrictSerializer
from .idempotency import idempotent
from .schema import IDEMPOTENCY, answers


class AcceptedSerializer(serializers.Serializer[Any]):
    """Work that was queued."""

    job_id = serializers.CharField()
    status_url = serializers.CharField()


class FailureSerializer(serializers.Serializer[Any]):
    subject = serializers.CharField(help_text="What failed, as in `trade 12`")
    code = serializers.CharField()
    detail = serializers.CharField()


class JobSerializer(serializers.Serializer[Any]):
    job_id = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.ChoiceField(AutopsyJob.Status.choices)
    total = serializers.IntegerField(help_text="Trades or signals")
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    failures = FailureSerializer(many=True, help_text="The first 1,000")
    progress = serializers.FloatField(min_value=0, max_value=1)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)


class NothingSerializer(StrictSerializer):
    """No fields."""


def accepted(job: AutopsyJob) -> Response:
    url = reverse("api-job", args=[job.job_id])
    data = AcceptedSerializer({"job_id": job.job_id, "status_url": url}).data
    return Response(data, status=202, headers={"Location": url})


class JobDetail(Endpoint):
    @extend_schema(operation_id="job", responses=answers({200: JobSerializer}, 404))
    def get(self, request: Request, job_id: str) -> Response:
        """How far a job is, and what failed."""
        job = readable(AutopsyJob.objects.all(), user=request.user, job_id=job_id)
        return Response(JobSerializer(jobs.progress(job)).data)


class JobCancel(Endpoint):
    @extend_schema(
        operation_id="job_cancel",
        parameters=[IDEMPOTENCY],
        request=NothingSerializer,
        responses=answers({200: JobSerializer}, 403, 404, 409, 422),
    )
    @idempotent()
    def post(self, request: Request, job_id: str) -> Response:
        """Stop a job. What is done stays; stopping one that ended changes nothing."""
        self.body(request, NothingSerializer)
        job = writable(AutopsyJob.objects.all(), user=request.user, job_id=job_id)
        jobs.cancel(job=job, now=timezone.now())
        job.refresh_from_db()
        return Response(JobSerializer(jobs.progress(job)).data)
