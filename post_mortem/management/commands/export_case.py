"""`export_case`: one audit as a portable case."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from post_mortem.models import InsightAudit
from post_mortem.selectors.case_export import portable_case
from trading.core.errors import NotFoundError
from trading.management.base import InquestCommand, Summary


class Command(InquestCommand):
    help = "Print one audit as a portable case that `diagnose` reads without a database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("audit_id", type=int, help="id of the audit")

    def run(self, **options: Any) -> Summary:
        audit = (
            InsightAudit.objects.select_related("signal", "calibration")
            .filter(pk=options["audit_id"])
            .first()
        )
        if audit is None:
            raise NotFoundError(
                "not_found", f"there is no audit {options['audit_id']}", field="audit_id"
            )
        return portable_case(audit)

    def lines(self, summary: Summary) -> Iterable[str]:
        return [json.dumps(summary, allow_nan=False)]
