"""What repeats across the trades of an account: searched for without a model, kept by key.

The same trades give the same patterns, and a search over unchanged ones writes nothing. A pattern
that a search no longer finds stays, with when it was lost; found again, it is the same row.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from django.db import transaction

from post_mortem.core.grounding import without_citations
from post_mortem.core.pattern_facts import (
    evidence_hash,
    facts_of,
    noun_phrase,
    pattern_type,
    statistics_of,
)
from post_mortem.core.patterns import LEAST_TRADES, Regularity, Search, search
from post_mortem.models import AnalysisPattern, AutopsyJob, PatternSearch
from post_mortem.selectors.pattern_sample import TradeSample, trade_sample
from post_mortem.selectors.training import decided_audits
from post_mortem.services import jobs
from post_mortem.services.narratives import fill
from post_mortem.services.pattern_narrator import WORDS_VERSION, offline_words
from trading.core.errors import NotFoundError, UserError
from trading.core.types import Horizon
from trading.models import Account, editable_accounts

PATTERNS: Final = "patterns"
"""The kind of job that looks for patterns. An item's payload is {"account": id}, the job's params
are {"time_period": text, "min_trades": n}."""
MIN_TRADES: Final = (5, 1_000)

# A search is due again when this share of its trades, and at least so many, are new.
_NEW_SHARE: Final = 0.05
_NEW_LEAST: Final = 10
_OPEN_JOBS: Final = (AutopsyJob.Status.PENDING, AutopsyJob.Status.RUNNING)
_DAYS: Final = re.compile(r"([1-9]\d{0,3})d")
_SPAN: Final = re.compile(r"(\d{4}-\d{2}-\d{2})/(\d{4}-\d{2}-\d{2})")

_TITLE: Final = 200

Guard = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Period:
    """Trades entered in [since, until), None without a bound; `text` names it."""

    text: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Identified:
    """What became of one account. `changed` and `lost` count the rows written."""

    searched: PatternSearch
    found: tuple[AnalysisPattern, ...]
    changed: int
    lost: int

    def as_dict(self) -> dict[str, object]:
        return {
            "account": self.searched.account_id,
            "trades": self.searched.n,
            "tried": self.searched.tried,
            "found": len(self.found),
            "changed": self.changed,
            "lost": self.lost,
        }


def period_of(asked: str | int | None, now: datetime) -> Period:
    """All trades (None, "" or "all"), those of the last days (90 or "90d"), or those of UTC days
    ("2024-01-01/2024-06-30"). Raises UserError `time_period`."""
    text = f"{asked}d" if isinstance(asked, int) else (asked or "")
    if text in ("", "all"):
        return Period("", None, None)
    if match := _DAYS.fullmatch(text):
        return Period(text, now - timedelta(days=int(match[1])), None)
    if match := _SPAN.fullmatch(text):
        try:
            first, last = date.fromisoformat(match[1]), date.fromisoformat(match[2])
        except ValueError:
            first, last = date.max, date.min
        if first <= last < date.max:
            end = datetime.combine(last + timedelta(days=1), time(), tzinfo=UTC)
            return Period(text, datetime.combine(first, time(), tzinfo=UTC), end)
    detail = f"{text[:40]!a} is no period: none, days like 90d, or two days like "
    raise UserError("time_period", f"{detail}2024-01-01/2024-06-30.", field="time_period")


def checked_least(min_trades: int) -> int:
    low, high = MIN_TRADES
    if not low <= min_trades <= high:
        raise UserError(
            "min_trades", f"A pattern needs {low} to {high:,} trades.", field="min_trades"
        )
    return min_trades


def identify_patterns(
    *,
    account: Account,
    time_period: str | int | None = None,
    min_trades: int = LEAST_TRADES,
    now: datetime,
    force: bool = False,
    guard: Guard | None = None,
) -> Identified:
    """Search the audited trades of an account and store what is found.

    Raises UserError `time_period`, `min_trades`."""
    period, least = period_of(time_period, now), checked_least(min_trades)
    sample = trade_sample(account, since=period.since, until=period.until)
    seen = f"{WORDS_VERSION}.{sample.data_hash}"[:64]
    stored = PatternSearch.objects.filter(account=account, period=period.text).first()
    if stored and not force and (stored.data_hash, stored.min_trades) == (seen, least):
        return Identified(stored, _current(account, period), 0, 0)
    done = _search(sample, least)
    with transaction.atomic():
        if guard:
            guard()
        # One search at a time writes, or two would both make the row of a new pattern.
        Account.objects.select_for_update().get(pk=account.pk)
        found, changed, lost = _store(account, period, done, sample, least, now)
        searched, _ = PatternSearch.objects.update_or_create(
            account=account,
            period=period.text,
            defaults={
                "min_trades": least,
                "n_closed": sample.n_closed,
                "n": int(sample.trade.size),
                "tried": done.tried,
                "found": len(found),
                "data_hash": seen,
                "searched_at": now,
            },
        )
    return Identified(searched, tuple(found), changed, lost)


def _current(account: Account, period: Period) -> tuple[AnalysisPattern, ...]:
    rows = AnalysisPattern.objects.filter(account=account, period=period.text, lost_at=None)
    return tuple(sorted(rows, key=lambda row: _rank(row.statistics)))


def _rank(statistics: Mapping[str, Any]) -> float:
    return -abs(float(statistics["effect_r"])) * int(statistics["n"])


def _search(sample: TradeSample, least: int) -> Search:
    if sample.sample is None:
        return Search((), 0, 0, 0.0)
    return search(sample.sample, least=least, seed=int(sample.data_hash[:8], 16))


def _store(
    account: Account,
    period: Period,
    done: Search,
    sample: TradeSample,
    least: int,
    now: datetime,
) -> tuple[list[AnalysisPattern], int, int]:
    """(rows found, how many of them were written anew, how many are found no longer)."""
    rows = AnalysisPattern.objects.select_for_update().filter(account=account, period=period.text)
    there = {row.key: row for row in rows}
    found, changed = [], 0
    for regularity in done.found:
        row = there.pop(regularity.key, None) or AnalysisPattern(
            account=account, period=period.text, key=regularity.key
        )
        changed += _write(row, regularity, done, now)
        row.affected_trades.set(sample.trade[regularity.rows].tolist())
        found.append(row)
    lost = 0
    for row in there.values():
        # A search that asks for more trades could not have found it.
        if row.lost_at is None and (row.pattern_type == "cause" or row.statistics["n"] >= least):
            row.lost_at = now
            row.save(update_fields=["lost_at"])
            lost += 1
    return found, changed, lost


def _write(row: AnalysisPattern, found: Regularity, done: Search, now: datetime) -> bool:
    """Store one pattern; its words only where its figures, or the way of wording them, changed."""
    statistics = statistics_of(found, done)
    digest = evidence_hash(statistics)
    row.found_at, row.lost_at = now, None
    if row.pk and row.evidence_hash == digest and row.grounding.get("narrator") == WORDS_VERSION:
        row.save(update_fields=["found_at", "lost_at"])
        return False
    row.pattern_type = pattern_type(found)
    row.category = found.category[:50]
    row.confidence = found.confidence
    row.statistics = statistics
    row.evidence_hash = digest
    row.source = AnalysisPattern._meta.get_field("source").default
    row.source_reason = ""
    row.grounding = {"narrator": WORDS_VERSION}
    tell(row, offline_words(statistics))
    row.save()
    return True


def tell(row: AnalysisPattern, slotted: Mapping[str, Any]) -> None:
    """Put a text with slots in place. Raises UngroundedError: such a text is not stored."""
    filled = fill(dict(slotted), {fact.id: fact for fact in facts_of(row.statistics)})
    row.slot_data = dict(slotted)
    row.words = filled
    title = without_citations(filled["title"]).rstrip(".")
    # Cut short, a figure at the end would be another one.
    row.title = title if len(title) <= _TITLE else _own_title(row.statistics)
    row.description = " ".join(
        part for part in (without_citations(filled["sentence"]), filled["description"]) if part
    )
    row.action_items = [without_citations(item) for item in filled["action_items"]]


def _own_title(statistics: Mapping[str, Any]) -> str:
    return textwrap.shorten(noun_phrase(statistics["parts"]), _TITLE, placeholder=" ...")


# --- jobs ---------------------------------------------------------------------------------------


@transaction.atomic
def request_patterns(
    *,
    user: Any,
    time_period: str | int | None = None,
    min_trades: int = LEAST_TRADES,
    account_id: int | None = None,
    now: datetime,
) -> AutopsyJob:
    """Queue a search of the accounts that the user may change, or of one of them. A search for the
    same that has not ended is given again.

    Raises NotFoundError (no such account), UserError `time_period`, `min_trades`, `not_permitted`.
    """
    accounts = searchable_accounts(user, account_id)
    params = {
        "time_period": period_of(time_period, now).text,
        "min_trades": checked_least(min_trades),
        "accounts": [account.pk for account in accounts],
    }
    running = AutopsyJob.objects.filter(requested_by=user, kind=PATTERNS, status__in=_OPEN_JOBS)
    same: AutopsyJob | None = next((job for job in running if job.params == params), None)
    if same is not None:
        return same
    return _enqueue(accounts, params, user)


def searchable_accounts(user: Any, account_id: int | None = None) -> list[Account]:
    """Accounts whose patterns the user may have searched for; see `request_patterns`."""
    editable = list(editable_accounts(user).order_by("pk"))
    if account_id is not None:
        chosen = [account for account in editable if account.pk == account_id]
        if not chosen:
            if Account.objects.filter(pk=account_id, desk__memberships__user=user).exists():
                raise UserError("not_permitted", "You may read this account, not search it.")
            raise NotFoundError("not_found", "Not found.")
        return chosen
    if not editable:
        raise UserError("not_permitted", "You have no account to search.")
    return editable


def _enqueue(accounts: Sequence[Account], params: Mapping[str, Any], user: Any) -> AutopsyJob:
    return jobs.enqueue(
        kind=PATTERNS,
        account=accounts[0],
        items=[jobs.Item(f"account:{one.pk}", {"account": one.pk}) for one in accounts],
        params=params,
        user=user,
    )


@transaction.atomic
def request_due_patterns(*, account: Account) -> AutopsyJob | None:
    """Queue a search of all trades where enough outcomes are new since the last one."""
    open_ones = AutopsyJob.objects.filter(account=account, kind=PATTERNS, status__in=_OPEN_JOBS)
    known = decided_audits(account.pk, Horizon.TRADE).count()
    last = PatternSearch.objects.filter(account=account, period="").first()
    new = abs(known - (last.n if last else 0))
    least = last.min_trades if last else LEAST_TRADES
    if new < max(_NEW_LEAST, _NEW_SHARE * known) or open_ones.exists():
        return None
    params = {"time_period": "", "min_trades": least, "accounts": [account.pk]}
    return _enqueue([account], params, None)
