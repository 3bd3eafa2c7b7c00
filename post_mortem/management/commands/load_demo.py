"""`load_demo`: the simulated desk, its autopsy, one post-mortem, and how to sign in."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from post_mortem.models import ImprovementPlan, InsightAudit
from post_mortem.selectors.case_rows import Selection, count_cases
from post_mortem.selectors.training import SCOPES
from post_mortem.services.attribution import build_attribution
from post_mortem.services.audits import run_autopsy
from post_mortem.services.demo import demo_password, load_demo, showcase
from post_mortem.services.demo.advice import implement_one
from post_mortem.services.demo.load import STEPS, LoadSummary
from post_mortem.services.impact import judge_recommendations
from post_mortem.services.narratives import narrate_audits
from post_mortem.services.patterns import Identified, identify_patterns
from post_mortem.services.plans import create_improvement_plan
from post_mortem.services.text_report import post_mortem_text
from trading.core.errors import NotFoundError, UserError
from trading.management.base import InquestCommand, Summary
from trading.models import Account


class Command(InquestCommand):
    help = (
        "Load a simulated desk (three months, five markets), run the autopsy over it and print "
        "one post-mortem. Running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="whose desk it is; without it a demo login is made")

    def run(self, **options: Any) -> Summary:
        user = _user(options["user"])
        now = timezone.now()
        with self.progress(STEPS, "simulated desk") as bar:
            loaded = load_demo(user=user, progress=bar.advance, now=now)
        account = loaded.account
        cases = count_cases(Selection(account_ids=(account.pk,)))
        with self.progress(cases, "autopsy") as bar:
            done = run_autopsy(account_ids=[account.pk], progress=bar.advance, now=now)
        written = self._narrate(account)
        with self.progress(len(SCOPES), "what goes with winning") as bar:
            for horizon in SCOPES:
                build_attribution(account=account, horizon=horizon, now=now)
                bar.advance()
        with self.progress(1, "patterns") as bar:
            patterns = identify_patterns(account=account, now=now)
            plan = _draft(patterns)
            bar.advance()
        implement_one(account=account)
        judge_recommendations(account=account, now=now)
        shown = showcase(account=account)
        return {
            "account": account.name,
            "new": loaded.is_new,
            **_counts(loaded),
            "audits": done.cases,
            "audits_written": done.new + done.updated,
            "narratives_written": written,
            "top_causes": dict(done.top_causes.most_common()),
            "kinds_tried": patterns.searched.tried,
            "patterns": sum(row.pattern_type != "cause" for row in patterns.found),
            "causes_counted": sum(row.pattern_type == "cause" for row in patterns.found),
            "plan": None if plan is None else plan.pk,
            "trade": None if shown is None else shown.trade_id,
            "post_mortem": "" if shown is None else post_mortem_text(audit_id=shown.pk),
            "url": _url(),
            "user": account.owner.get_username(),
            "password": None if user else demo_password(),
        }

    def kept(self) -> str:
        if not Account.objects.filter(desk__is_demo=True).exists():
            return "Nothing was stored."
        return "The simulated desk is kept; the same command again does the rest."

    def _narrate(self, account: Account) -> int:
        ids = list(InsightAudit.objects.filter(account=account).values_list("pk", flat=True))
        # One narrative a signal is enough of a measure for a bar.
        with self.progress(account.signals.count(), "narratives") as bar:
            return narrate_audits(audit_ids=ids, progress=bar.advance).written

    def lines(self, summary: Summary) -> Iterable[str]:
        s: dict[str, Any] = dict(summary)
        yield (
            f"Simulated desk: {s['candles']:,} candles, {s['news']} releases, "
            f"{s['signals']} signals, {s['trades']} trades - all of it invented."
        )
        yield (
            f"Autopsy: {s['audits']:,} audits, {s['audits_written']:,} written now, "
            f"{s['narratives_written']:,} narratives."
        )
        yield (
            f"Patterns: {s['patterns']} of {s['kinds_tried']:,} kinds of trades "
            f"{'stands' if s['patterns'] == 1 else 'stand'} out; {s['causes_counted']} causes are "
            f"counted, not tested{'; a plan is drafted from them' if s['plan'] else ''}."
        )
        yield ""
        yield s["post_mortem"] or "No failed trade to show."
        yield ""
        page = f"{s['url']}trades/{s['trade']}/" if s["trade"] else s["url"]
        login = f"user {s['user']}" + (f", password {s['password']}" if s["password"] else "")
        yield f"This page: {page}"
        yield f"Sign in:   {s['url']}  {login}"
        yield "Remove it: the band on top of every page, or python manage.py remove_demo"


def _draft(patterns: Identified) -> ImprovementPlan | None:
    """A plan from everything found; None where nothing found asks for a rule."""
    try:
        return create_improvement_plan(patterns=patterns.found)
    except UserError as error:
        if error.code != "nothing_to_do":
            raise
        return None


def _counts(loaded: LoadSummary) -> dict[str, int]:
    return {name: getattr(loaded, name) for name in ("candles", "news", "signals", "trades")}


def _url() -> str:
    host = f"[{settings.BIND}]" if ":" in settings.BIND else settings.BIND
    return f"http://{host}:{settings.PORT}/"


def _user(username: str | None) -> Any:
    if username is None:
        return None
    users: Any = get_user_model()._default_manager
    found = users.filter(username=username).first()
    if found is None:
        raise NotFoundError("no_such_user", f"there is no user {username!r}", field="user")
    return found
