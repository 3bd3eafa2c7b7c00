"""Model versions and requests to change them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from trading.models import Account, OwnedQuerySet


class ModelVersion(models.Model):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="model_versions")
    version_id = models.CharField(max_length=60)
    strategy = models.CharField(max_length=80)
    model_type = models.CharField(max_length=60)
    model_path = models.CharField(max_length=255, blank=True)
    model_sha256 = models.CharField(max_length=64, blank=True)
    config = models.JSONField(default=dict)
    dataset_path = models.CharField(max_length=255, blank=True)
    dataset_size = models.IntegerField(default=0)
    train_date_from = models.DateTimeField(null=True, blank=True)
    train_date_to = models.DateTimeField(null=True, blank=True)
    metrics = models.JSONField(default=dict)
    validation_metrics = models.JSONField(default=dict)
    feature_importance = models.JSONField(default=dict)
    is_active = models.BooleanField(default=False)
    is_production = models.BooleanField(default=False)
    trained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "version_id"], name="model_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.version_id}"


class RetrainRequest(models.Model):
    class Status(models.TextChoices):
        REQUESTED = "requested"
        SIMULATING = "simulating"
        PENDING_APPROVAL = "pending_approval"
        APPROVED = "approved"
        TRAINING = "training"
        COMPLETED = "completed"
        REJECTED = "rejected"
        ROLLED_BACK = "rolled_back"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="retrain_requests")
    request_id = models.CharField(max_length=60, unique=True)
    strategy = models.CharField(max_length=80)
    dataset_path = models.CharField(max_length=255, blank=True)
    audit_count = models.IntegerField(default=0)
    reason = models.TextField()
    suggested_changes = models.JSONField(default=dict)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.REQUESTED)
    metrics_before = models.JSONField(default=dict)
    metrics_after_simulation = models.JSONField(default=dict)
    metrics_after_production = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="retrain_requests",
    )
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="retrain_reviews",
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewer_notes = models.TextField(blank=True)
    old_model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    new_model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="replaces"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["strategy", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.strategy} {self.request_id}"
