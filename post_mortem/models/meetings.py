"""Review meetings: the agenda of one period, what was decided, and the one action after it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from trading.models import Account, OwnedQuerySet

from .analyses import AnalysisPattern
from .experiments import Experiment
from .recommendations import RecommendationTracking


class ReviewMeeting(models.Model):
    """The review of one account and period. Closing freezes its minutes; they are never edited."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="meetings")
    first_day = models.DateField(help_text="In the account's time zone")
    last_day = models.DateField(help_text="In the account's time zone, inclusive")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    opened_at = models.DateTimeField()
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    minutes = models.JSONField(null=True, help_text="The agenda as it was shown when closed")
    minutes_sha256 = models.CharField(max_length=64, blank=True)
    version = models.PositiveIntegerField(default=1)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "first_day", "last_day"], name="meeting_period_once"
            )
        ]
        ordering = ["account_id", "-first_day"]

    def __str__(self) -> str:
        return f"Review of {self.first_day} to {self.last_day}"


class MeetingDecision(models.Model):
    """One decision, saved as it was made. Taking it back keeps the row."""

    class Kind(models.TextChoices):
        ACCEPT = "accept", "Accept"
        EXPERIMENT = "experiment", "Start an experiment"
        IGNORE = "ignore", "Ignore"

    meeting = models.ForeignKey(ReviewMeeting, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    text = models.TextField(help_text="What was decided, as it read then")
    reason = models.TextField(blank=True)
    recommendation = models.ForeignKey(
        RecommendationTracking, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    pattern = models.ForeignKey(
        AnalysisPattern, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    experiment = models.ForeignKey(
        Experiment, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    evidence = models.JSONField(default=dict, help_text="The figures it was decided on")
    advice_version = models.PositiveIntegerField(
        null=True, help_text="Of the recommendation as the decision left it"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    due_date = models.DateField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    decided_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["meeting_id", "id"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:60]}"


class ActionItem(models.Model):
    """The one measurable action a meeting agreed on, and what came of it."""

    meeting = models.OneToOneField(ReviewMeeting, on_delete=models.CASCADE, related_name="action")
    recommendation = models.ForeignKey(
        RecommendationTracking, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    action = models.CharField(max_length=300)
    measure = models.CharField(max_length=300, help_text="How it is counted")
    target = models.CharField(max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    due_date = models.DateField()
    kept = models.PositiveIntegerField(null=True, blank=True, help_text="Times it was kept")
    occasions = models.PositiveIntegerField(null=True, blank=True, help_text="Times it applied")
    outcome = models.TextField(blank=True)
    reported_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.action
