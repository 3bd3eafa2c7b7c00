"""A/B tests of advice on oneself: what was drawn, when, and whether it was kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from trading.models import Account, OwnedQuerySet

from .recommendations import RecommendationTracking


class Experiment(models.Model):
    """One test. Everything but its end is fixed when it starts; it is never deleted."""

    class Unit(models.TextChoices):
        DAY = "day", "trading day"
        SESSION = "session", "session"
        ACCOUNT = "account", "account"
        USER = "user", "user"
        SIGNAL = "signal", "signal"

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        STOPPED = "stopped", "Stopped early"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="experiments")
    recommendation = models.ForeignKey(
        RecommendationTracking,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="experiments",
    )
    name = models.CharField(max_length=200)
    rule = models.TextField(help_text="What is done on an ON unit and left undone on an OFF unit")
    scope = models.JSONField(default=dict, help_text="Which trades count")
    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.DAY)
    shadow = models.BooleanField(
        default=False, help_text="Whether OFF units record what the rule would have done"
    )
    strict = models.BooleanField(
        default=False, help_text="Whether only the exact sequential test decides"
    )
    salt = models.CharField(max_length=64, help_text="Drawn once; every assignment follows from it")
    starts_on = models.DateField(help_text="First day, in `time_zone`")
    time_zone = models.CharField(max_length=64)
    plan = models.JSONField(help_text="Looks, levels, block length, guardrails")
    plan_sha256 = models.CharField(max_length=64)
    last_seal = models.CharField(
        max_length=64, blank=True, help_text="Of the newest assignment, so that none goes unseen"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_because = models.CharField(max_length=500, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["account", "-created_at"])]

    def __str__(self) -> str:
        return self.name


class ExperimentAssignment(models.Model):
    """The arm of one unit, written before its day began. Append-only.

    `seal` is sha256 of the seal before it and of this row, so a changed or removed row shows.
    """

    class Arm(models.TextChoices):
        ON = "on", "On"
        OFF = "off", "Off"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="assignments")
    day = models.DateField()
    unit_key = models.CharField(max_length=100, help_text="The day, or the day and its part")
    arm = models.CharField(max_length=3, choices=Arm.choices)
    sealed_at = models.DateTimeField()
    seal = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "unit_key"], name="unit_drawn_once")
        ]
        ordering = ["experiment_id", "id"]

    def __str__(self) -> str:
        return f"{self.unit_key}: {self.arm}"


class ExperimentNote(models.Model):
    """What a person says of one unit: was the rule kept? Append-only, the newest counts."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="notes")
    unit_key = models.CharField(max_length=100)
    kept = models.BooleanField(null=True, help_text="Null: taken back")
    note = models.TextField(blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["experiment_id", "-id"]

    def __str__(self) -> str:
        return f"{self.unit_key}: {self.kept}"
