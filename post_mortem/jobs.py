"""Which service does which kind of job, and how a worker runs one item."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils import timezone

from post_mortem.services import jobs
from post_mortem.services.attribution import ATTRIBUTION, build_attribution, request_attribution
from post_mortem.services.audits import run_autopsy
from post_mortem.services.autopsy_jobs import AUTOPSY
from post_mortem.services.experiment_draws import draw
from post_mortem.services.impact import IMPACT, judge_recommendations, request_judgement
from post_mortem.services.jobs import Claim, Failure, ItemResult, LostLeaseError
from post_mortem.services.model_narratives import (
    NARRATIVES,
    request_narratives,
    word_narratives,
)
from post_mortem.services.narratives import narrate_audits
from post_mortem.services.pattern_words import WORDS, request_words, word_patterns, word_plan
from post_mortem.services.patterns import PATTERNS, identify_patterns, request_due_patterns
from post_mortem.services.requests import ANALYSES
from trading.core.errors import InquestError, RetryLaterError
from trading.models import Account

logger = logging.getLogger(__name__)

Hold = Callable[[], None]
Handler = Callable[[Claim, Hold], ItemResult]


def isolate(
    ids: Sequence[int], run: Callable[[Sequence[int]], None], name: str, hold: Hold
) -> tuple[Failure, ...]:
    """Run a group; if it fails, its halves, down to the single ids that fail alone.

    Trouble that is nobody's fault (a locked database, a lost lease) is raised, not pinned on an id.
    """
    hold()
    try:
        run(ids)
    except (RetryLaterError, OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(ids) > 1:
            middle = len(ids) // 2
            return isolate(ids[:middle], run, name, hold) + isolate(ids[middle:], run, name, hold)
        logger.exception("%s %s failed", name, ids[0])
        return (_failure(f"{name} {ids[0]}", error),)
    return ()


def _failure(subject: str, error: Exception) -> Failure:
    if isinstance(error, InquestError):
        return Failure(subject, error.code, error.detail)
    return Failure(subject, "unexpected", f"{type(error).__name__}: {error}"[:300])


def work_once(
    *,
    worker: str,
    handlers: Mapping[str, Handler] | None = None,
    now: Callable[[], Any] | None = None,
) -> bool:
    """Claim one item, run it and record what became of it. False when nothing was due.

    A database that cannot be written right now raises after the item was given back.
    """
    clock = now or jobs.database_now
    claim = jobs.claim_next(worker=worker, now=clock())
    if claim is None:
        return False
    try:
        _run(claim, HANDLERS if handlers is None else handlers, clock)
    except LostLeaseError:
        logger.warning("item %s was taken over; its late result was dropped", claim.key)
    except (OperationalError, InterfaceError, RetryLaterError):
        _give_back(claim, clock)
        raise
    return True


def tend(*, now: datetime) -> None:
    """What is due by the clock and not by the queue: cheap where nothing is."""
    draw(now=now)


def _run(claim: Claim, handlers: Mapping[str, Handler], clock: Callable[[], Any]) -> None:
    handler = handlers.get(claim.kind)
    if handler is None:
        jobs.fail(
            claim,
            code="unknown_kind",
            detail=f"no service does jobs of kind {claim.kind!r}",
            permanent=True,
            now=clock(),
        )
        return
    try:
        result = handler(claim, lambda: jobs.hold(claim, now=clock()))
    except (OperationalError, InterfaceError, RetryLaterError):
        raise
    except InquestError as error:
        jobs.fail(claim, code=error.code, detail=error.detail, permanent=True, now=clock())
    except Exception as error:
        logger.exception("item %s failed (attempt %s)", claim.key, claim.attempts)
        detail = f"{type(error).__name__}: {error}"[:300]
        jobs.fail(claim, code="unexpected", detail=detail, permanent=False, now=clock())
    else:
        jobs.finish(claim, result, now=clock())
        _follow_up(claim)


def _follow_up(claim: Claim) -> None:
    """After the last audits of a job: fits, searches and verdicts that enough new outcomes make
    due."""
    if claim.kind in (ANALYSES, AUTOPSY) and jobs.has_ended(claim.job_pk):
        account = Account.objects.get(pk=claim.account_id)
        request_attribution(account=account)
        request_due_patterns(account=account)
        request_judgement(account=account)


def _give_back(claim: Claim, clock: Callable[[], Any]) -> None:
    try:
        jobs.release(claim, now=clock())
    except DatabaseError:
        logger.warning("item %s could not be given back; its lease will run out", claim.key)


# --- kinds --------------------------------------------------------------------------------------


def _analyses(claim: Claim, hold: Hold) -> ItemResult:
    """Audit and narrate some trades: the payload is {"trades": [ids]}."""
    horizons = claim.params.get("horizons", [])

    def run(trade_ids: Sequence[int]) -> None:
        done = run_autopsy(trade_ids=trade_ids, horizons=horizons, guard=hold)
        hold()
        narrate_audits(audit_ids=done.audit_ids)
        _ask_for_words(claim, done.audit_ids)

    return ItemResult(isolate(claim.payload["trades"], run, "trade", hold))


def _autopsy(claim: Claim, hold: Hold) -> ItemResult:
    """Audit and narrate some signals and their trades: the payload is {"signals": [ids]}."""
    params = claim.params

    def run(signal_ids: Sequence[int]) -> None:
        done = run_autopsy(
            signal_ids=signal_ids,
            horizons=params.get("horizons", []),
            skip_rca=params.get("skip_rca", False),
            force=params.get("force", False),
            guard=hold,
        )
        hold()
        if not params.get("skip_rca", False):
            narrate_audits(audit_ids=done.changed_ids)
            _ask_for_words(claim, done.changed_ids)

    return ItemResult(isolate(claim.payload["signals"], run, "signal", hold))


def _attribution(claim: Claim, hold: Hold) -> ItemResult:
    """Fit the report of one horizon: the payload is {"horizon": name}."""
    account = Account.objects.get(pk=claim.account_id)
    done = build_attribution(
        account=account, horizon=claim.payload["horizon"], now=timezone.now(), guard=hold
    )
    return ItemResult(data=done.as_dict())


def _impact(claim: Claim, hold: Hold) -> ItemResult:
    """Judge the implemented advice of the account; there is no payload."""
    hold()
    account = Account.objects.get(pk=claim.account_id)
    return ItemResult(data=judge_recommendations(account=account, now=timezone.now()).as_dict())


def _ask_for_words(claim: Claim, audit_ids: Sequence[int]) -> None:
    """The narrator has written; a model, where there is one, may word it in a job of its own."""
    account = Account.objects.get(pk=claim.account_id)
    request_narratives(account=account, audit_ids=audit_ids)


def _narratives(claim: Claim, hold: Hold) -> ItemResult:
    """Let a model word some narratives: the payload is {"audits": [ids]}."""
    done = word_narratives(audit_ids=claim.payload["audits"], now=timezone.now(), beat=hold)
    return ItemResult(data=done.as_dict())


def _patterns(claim: Claim, hold: Hold) -> ItemResult:
    """Search one account for patterns: the payload is {"account": id}."""
    account = Account.objects.get(pk=claim.payload["account"])
    hold()
    done = identify_patterns(
        account=account,
        time_period=claim.params["time_period"],
        min_trades=claim.params["min_trades"],
        now=timezone.now(),
        guard=hold,
    )
    request_words(account=account, patterns=done.found)
    return ItemResult(data=done.as_dict())


def _words(claim: Claim, hold: Hold) -> ItemResult:
    """Let a model word patterns or a plan: {"patterns": [ids]} or {"plan": id}."""
    hold()
    now = timezone.now()
    if "plan" in claim.payload:
        plan = word_plan(plan_id=claim.payload["plan"], now=now, beat=hold)
        return ItemResult(data=plan.as_dict())
    done = word_patterns(pattern_ids=claim.payload["patterns"], now=now, beat=hold)
    return ItemResult(data=done.as_dict())


HANDLERS: dict[str, Handler] = {
    ANALYSES: _analyses,
    ATTRIBUTION: _attribution,
    AUTOPSY: _autopsy,
    IMPACT: _impact,
    NARRATIVES: _narratives,
    PATTERNS: _patterns,
    WORDS: _words,
}
