"""What goes with winning and losing: one report an account and horizon, and its rows, packed."""

from __future__ import annotations

from django.db import models

from trading.models import Account, OwnedQuerySet


class AttributionReport(models.Model):
    """The latest fit over the judged audits of one horizon.

    `data_hash` covers the audits used (which, with what inputs and outcome), so a fit over the same
    audits, features and revision is the same fit. `body` holds the model, its figures on later
    trades, lifts, importances and cohorts (`services/attribution.py` writes it).
    """

    class State(models.TextChoices):
        TOO_FEW = "too_few", "too few trades"
        NO_SIGNAL = "no_signal", "no detectable signal"
        SIGNAL = "signal", "signal"

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="attributions", db_index=False
    )
    horizon = models.CharField(max_length=6)
    data_hash = models.CharField(max_length=64)
    registry_version = models.CharField(max_length=12)
    state = models.CharField(max_length=10, choices=State.choices)
    n = models.IntegerField()
    won = models.IntegerField()
    seed = models.BigIntegerField()
    body = models.JSONField()
    fitted_at = models.DateTimeField()

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "horizon"], name="attribution_once")
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.horizon}: {self.get_state_display()}"


class AttributionRows(models.Model):
    """The rows of some hundred audits of a report, in the order of their ids
    (`core/attribution/packing.py`)."""

    report = models.ForeignKey(
        AttributionReport, on_delete=models.CASCADE, related_name="rows", db_index=False
    )
    first_audit = models.BigIntegerField()
    n = models.IntegerField()
    blob = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "first_audit"], name="attribution_rows_once")
        ]

    def __str__(self) -> str:
        return f"{self.report_id} from {self.first_audit}"
