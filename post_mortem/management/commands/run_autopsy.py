"""`run_autopsy`: audit signals and trades, explain them, store what changed."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from post_mortem.models import InsightAudit, RecommendationTracking
from post_mortem.selectors.case_rows import Selection, count_cases
from post_mortem.selectors.stored import audits_not_narrated, audits_to_narrate_again, stale_signals
from post_mortem.services.audits import checked_horizons, run_autopsy
from post_mortem.services.impact import judge_recommendations
from post_mortem.services.llm_ledger import llm_config
from post_mortem.services.model_narratives import word_narratives
from post_mortem.services.narratives import narrate_audits
from trading.core.errors import NotFoundError, UserError
from trading.management.base import InquestCommand, Summary
from trading.models import Account
from trading.services.instruments import find_instrument


class Command(InquestCommand):
    help = "Audit signals under every horizon and trades under TRADE, and store what changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--insight-id", type=int, help="only this signal")
        parser.add_argument("--last-days", type=_positive, help="signals of the last N days")
        parser.add_argument("--from-date", type=_date, help="signals from this UTC day on")
        parser.add_argument("--to-date", type=_date, help="signals up to and including this day")
        parser.add_argument("--symbol", help="only this instrument, like EURUSD or ETH/BTC")
        parser.add_argument("--strategy", help="only signals of this strategy")
        parser.add_argument("--horizons", default="", help="some of 1H,4H,24H,7D; default all")
        parser.add_argument(
            "--stale", action="store_true", help="only what is stale: its rule or data changed"
        )
        parser.add_argument("--dry-run", action="store_true", help="judge, but write nothing")
        parser.add_argument("--skip-rca", action="store_true", help="label only, look for no cause")
        parser.add_argument("--force", action="store_true", help="rewrite unchanged audits too")
        parser.add_argument(
            "--retry-narratives",
            action="store_true",
            help="also write again the narratives that a model's failure left to the narrator",
        )

    def run(self, **options: Any) -> Summary:
        arguments = _selection(options)
        horizons = [name for name in options["horizons"].split(",") if name]
        selection = Selection(**arguments, horizons=checked_horizons(horizons))
        with self.progress(count_cases(selection), "audits") as bar:
            done = run_autopsy(
                **arguments,
                horizons=horizons,
                skip_rca=options["skip_rca"],
                force=options["force"],
                dry_run=options["dry_run"],
                progress=bar.advance,
                now=timezone.now(),
            )
        summary = done.as_dict()
        self._left: Counter[str] = Counter()
        if not options["dry_run"] and not options["skip_rca"]:
            due = sorted({*done.changed_ids, *audits_not_narrated(selection)})
            summary["narratives"] = self._narrate(due, force=False)
            summary["narratives_worded"] = self._word(due)
        if options["retry_narratives"] and not options["dry_run"]:
            again = audits_to_narrate_again(selection)
            summary["narratives_retried"] = self._narrate(again, force=True)
            summary["narratives_worded"] += self._word(again)
        if not options["dry_run"]:
            summary["verdicts_written"] = _judge()
            summary["left_to_the_narrator"] = dict(self._left)
        return summary

    def kept(self) -> str:
        return (
            "Audits and narratives written before are kept (a dry run writes none); the same "
            "command again does the rest."
        )

    def _narrate(self, audit_ids: Sequence[int], *, force: bool) -> int:
        with self.progress(len(audit_ids), "narratives") as bar:
            return narrate_audits(audit_ids=audit_ids, force=force, progress=bar.advance).written

    def _word(self, audit_ids: Sequence[int]) -> int:
        """Let a model word them, where one is configured."""
        if not llm_config().enabled:
            return 0
        with self.progress(len(audit_ids), "narratives worded") as bar:
            done = word_narratives(audit_ids=audit_ids, now=timezone.now(), progress=bar.advance)
        self._left.update(done.reasons)
        return done.written

    def lines(self, summary: Summary) -> Iterable[str]:
        verb = "would be " if summary["dry_run"] else ""
        yield (
            f"{summary['audits']:,} audits: {summary['new']:,} {verb}new, "
            f"{summary['updated']:,} {verb}updated, {summary['unchanged']:,} unchanged"
        )
        for name in ("outcomes", "top_causes"):
            counts: Any = summary[name]
            if counts:
                shown = ", ".join(f"{key} {count:,}" for key, count in counts.items())
                yield f"{name.replace('_', ' ')}: {shown}"
        for name in ("narratives", "narratives_retried", "narratives_worded"):
            if summary.get(name) or (name == "narratives" and name in summary):
                yield f"{name.replace('_', ' ')}: {summary[name]:,} written"
        yield from _about_the_model(summary)


def _about_the_model(summary: Summary) -> Iterable[str]:
    """What a person who named a model must know of it."""
    left: Any = summary.get("left_to_the_narrator", {})
    if left:
        shown = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in left.items())
        yield f"left to the narrator, by what the model answered: {shown}"
    if settings.LLM_MODEL and not llm_config().enabled:
        yield (
            f"the model {settings.LLM_MODEL} was not asked: it has neither OPENAI_API_KEY nor "
            "OPENAI_BASE_URL, or LLM_PAUSED is set"
        )
    if summary.get("narratives_retried") == 0:
        yield "no narrative was left by a model's failure; --force asks for all of them"


def _judge() -> int:
    """What was implemented is judged on what is known now, for every account with advice."""
    ids = RecommendationTracking.objects.values_list("account", flat=True).distinct()
    accounts = Account.objects.filter(pk__in=list(ids)).order_by("pk")
    done = [judge_recommendations(account=account, now=timezone.now()) for account in accounts]
    return sum(each.written for each in done)


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    start, end = options["from_date"], options["to_date"]
    if options["last_days"] is not None:
        if start or end:
            raise UserError("last_days", "give --last-days or dates, not both", field="last_days")
        start, until = timezone.now() - timedelta(days=options["last_days"]), None
    else:
        until = end + timedelta(days=1) if end else None
    if start and until and start >= until:
        raise UserError("from_date", "--from-date lies after --to-date", field="from_date")
    return {
        "signal_ids": _signals(options),
        "start": start,
        "end": until,
        "instrument_id": _instrument(options["symbol"]),
        "strategy": options["strategy"],
    }


def _signals(options: dict[str, Any]) -> tuple[int, ...] | None:
    one = options["insight_id"]
    if not options["stale"]:
        return None if one is None else (one,)
    stale = stale_signals(InsightAudit.objects.all())
    return tuple(signal for signal, _ in stale if one in (None, signal))


def _instrument(symbol: str | None) -> int | None:
    if symbol is None:
        return None
    found = find_instrument(symbol)
    if found is None:
        raise NotFoundError("unknown_instrument", f"no instrument {symbol!a}", field="symbol")
    return found.pk


def _date(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!a} is not a date like 2024-03-01") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!a} is not a number of days")
    return int(text)
