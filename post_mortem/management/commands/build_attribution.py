"""`build_attribution`: fit what goes with winning and losing, or check what was fitted."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from post_mortem.selectors.training import SCOPES
from post_mortem.services.attribution import (
    build_attribution,
    checked_scopes,
    verify_attribution,
)
from post_mortem.services.boosted import boosted_contributions
from trading.core.errors import NotFoundError
from trading.management.base import InquestCommand, Summary
from trading.models import Account


class Command(InquestCommand):
    help = (
        "Fit, for each account and horizon, which things known at the entry go with winning and "
        "losing. Only where audits changed since the last fit."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", help="name or id of an account; default all")
        parser.add_argument("--horizons", default="", help=f"some of {','.join(SCOPES)}")
        parser.add_argument("--force", action="store_true", help="fit unchanged audits again too")
        parser.add_argument(
            "--verify",
            action="store_true",
            help="fit again and compare with what is stored; exit status 1 if anything differs",
        )
        parser.add_argument(
            "--boosted",
            type=int,
            metavar="AUDIT_ID",
            help="contributions to this audit by boosted trees (needs lightgbm); stores nothing",
        )

    def run(self, **options: Any) -> Summary:
        if options["boosted"] is not None:
            return boosted_contributions(audit_id=options["boosted"]).as_dict()
        horizons = checked_scopes([name for name in options["horizons"].split(",") if name])
        accounts = _accounts(options["account"])
        reports = []
        with self.progress(len(accounts) * len(horizons), "reports") as bar:
            for account in accounts:
                for horizon in horizons:
                    reports.append(self._one(account, horizon, options))
                    bar.advance()
        return {"reports": reports, "verify": options["verify"]}

    def kept(self) -> str:
        return "Reports fitted before are kept; the same command again does the rest."

    def _one(self, account: Account, horizon: str, options: dict[str, Any]) -> dict[str, object]:
        name = {"account": account.name, "account_id": account.pk}
        if options["verify"]:
            reason = verify_attribution(account=account, horizon=horizon)
            return {**name, "horizon": horizon, "differs": reason}
        done = build_attribution(
            account=account, horizon=horizon, force=options["force"], now=timezone.now()
        )
        return {**name, **done.as_dict()}

    def lines(self, summary: Summary) -> Iterable[str]:
        if "reports" not in summary:
            yield from _boosted_lines(dict(summary))
            return
        reports: Any = summary["reports"]
        for one in reports:
            where = f"{one['account']} {one['horizon']}"
            if summary["verify"]:
                yield f"{where}: {one['differs'] or 'as stored'}"
            elif one["n"]:
                done = "fitted" if one["changed"] else "unchanged"
                state = one["state"].replace("_", " ")
                # What is too little for a fit was counted, not fitted.
                done = "counted" if one["changed"] and one["state"] == "too_few" else done
                yield f"{where}: {state}, {one['won']:,} of {one['n']:,} won, {done}"

    def exit_status(self, summary: Summary) -> int:
        reports: Any = summary.get("reports", [])
        return int(any(one.get("differs") for one in reports))


def _boosted_lines(summary: dict[str, Any]) -> Iterable[str]:
    yield summary["sentence"]
    for one in summary["contributions"]:
        yield f"  {one['log_odds']:+.2f} log-odds  {one['meaning']}: trades {one['words']}"


def _accounts(text: str | None) -> list[Account]:
    rows = Account.objects.order_by("pk")
    if text is None:
        return list(rows)
    by_id = rows.filter(pk=int(text)) if text.isascii() and text.isdecimal() else rows.none()
    found = list(by_id) or list(rows.filter(name=text))
    if not found:
        raise NotFoundError(
            "no_such_account", f"there is no account {text[:80]!a}", field="account"
        )
    return found
