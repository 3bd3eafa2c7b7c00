"""`verify_audits`: run stored audits again; check measurement plans and experiments' seals."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from post_mortem.models import Experiment, InsightAudit
from post_mortem.services.experiment_checks import verify_experiments
from post_mortem.services.impact_plans import verify_plans
from post_mortem.services.verification import verify_audits
from trading.core.errors import UserError
from trading.management.base import InquestCommand, Summary


class Command(InquestCommand):
    help = (
        "Run stored audits again from stored inputs, and check the hashes of measurement plans "
        "and the seals of experiments; "
        "exit status 1 if anything comes out different."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--sample", type=int, help="only N audits, spread evenly over all")

    def run(self, **options: Any) -> Summary:
        sample = options["sample"]
        if sample is not None and sample < 1:
            raise UserError("sample", "--sample is a number from 1 on", field="sample")
        total = InsightAudit.objects.count()
        with self.progress(min(total, sample or total), "audits") as bar:
            summary: Summary = verify_audits(sample=sample, progress=bar.advance).as_dict()
        with self.progress(Experiment.objects.count(), "experiments") as bar:
            found = verify_experiments(progress=bar.advance)
        plans, faults = verify_plans()
        return {
            **summary,
            "plans_checked": plans,
            "plans_mismatched": faults,
            "experiments_checked": found.checked,
            "experiments_mismatched": found.mismatches,
        }

    def lines(self, summary: Summary) -> Iterable[str]:
        mismatches: Any = summary["mismatches"]
        for found in mismatches:
            yield f"audit {found['audit_id']}: {found['reason']}"
        mismatched: Any = summary["mismatched"]
        if mismatched > len(mismatches):
            yield f"... and {mismatched - len(mismatches):,} more"
        yield (
            f"{summary['checked']:,} checked: {summary['verified']:,} verified, "
            f"{mismatched:,} mismatched, {summary['stale']:,} stale, "
            f"{summary['other_engine']:,} of another engine version"
        )
        if summary["could_not_check"]:
            yield (
                f"{summary['could_not_check']:,} could not be checked: their records are of a "
                "layout that this version does not read"
            )
        if summary["plans_checked"]:
            changed: Any = summary["plans_mismatched"]
            for plan in changed:
                yield f"measurement plan {plan['plan_id']}: {plan['reason']}"
            yield (
                f"{summary['plans_checked']:,} measurement plans checked, "
                f"{len(changed):,} not as frozen"
            )
        if summary["experiments_checked"]:
            broken: Any = summary["experiments_mismatched"]
            for one in broken:
                yield f"experiment {one['experiment_id']}: {'; '.join(one['reasons'])}"
            yield (
                f"{summary['experiments_checked']:,} experiments checked, "
                f"{len(broken):,} with broken seals"
            )

    def exit_status(self, summary: Summary) -> int:
        wrong = ("mismatched", "plans_mismatched", "experiments_mismatched")
        return 1 if any(summary[name] for name in wrong) else 0
