"""Tables of curves from strength to posterior, and which desk adopted which."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from trading.models import Desk, SharedQuerySet


class CalibrationTable(models.Model):
    """A table as it was when an audit used it or a desk adopted it; never changed. `sha256` is of
    what decides (`core/calibration_table.py`), so equal tables are one row."""

    sha256 = models.CharField(max_length=64, unique=True)
    version = models.CharField(max_length=60)
    data = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.version


class CalibrationAdoption(models.Model):
    """Who made a desk use a table, append-only: the newest row of a desk counts, no table in it
    means the shipped one. Going back is one more row."""

    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, related_name="calibrations")
    table = models.ForeignKey(
        CalibrationTable, on_delete=models.PROTECT, null=True, blank=True, related_name="adoptions"
    )
    adopted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    adopted_at = models.DateTimeField(auto_now_add=True)
    note = models.TextField(blank=True)

    objects = SharedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.desk}: {self.table or 'shipped'}"
