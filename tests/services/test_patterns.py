"""Patterns of an account: searched without a model, kept by key, worded where it is grounded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asgiref.sync import async_to_sync
from django.db.models import QuerySet

from llm.config import LLMConfig
from post_mortem import jobs as job_kinds
from post_mortem.core.pattern_facts import noun_phrase
from post_mortem.core.types import Outcome
from post_mortem.models import (
    AnalysisPattern,
    AutopsyJob,
    CauseReview,
    ImprovementPlan,
    InsightAudit,
    LLMAnswer,
    PatternSearch,
)
from post_mortem.selectors.pattern_sample import trade_sample
from post_mortem.services import PostMortemService, analyst, llm_ledger, pattern_words
from post_mortem.services.asking import ask_each
from post_mortem.services.audits import run_autopsy
from post_mortem.services.pattern_words import request_words, word_patterns, word_plan
from post_mortem.services.patterns import (
    PATTERNS,
    identify_patterns,
    period_of,
    request_due_patterns,
    request_patterns,
    tell,
)
from post_mortem.services.plans import create_improvement_plan
from tests.llm.server import FaultServer
from tests.services.model_world import model_server
from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Membership, Role, Trade

from .factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_pattern,
    make_signal,
    make_trade,
    pattern_statistics,
    price,
    walk,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2024, 6, 1, tzinfo=UTC)
BARS = 30 * 1440
COUNT = 120
STOP = 220
HELD = 240


def enter(closes: np.ndarray, bar: int, least: int) -> int:
    """The next bar from which the walk stays within the stop while the trade is open, and ends at
    least so many points away."""
    while True:
        moved = np.abs(closes[bar : bar + HELD] - closes[bar - 1])
        if moved.max() < STOP - 10 and moved[-1] >= least:
            return bar
        bar += 7


@pytest.fixture
def account() -> Account:
    """120 judged trades; breakouts, a third of them, were always clearly on the wrong side."""
    account, instrument = make_account(), make_instrument()
    closes = walk(BARS, seed=9)
    make_candles(instrument, closes)
    rng = np.random.default_rng(2)
    for i in range(COUNT):
        is_breakout = i % 3 == 0
        bar = enter(closes, 3_000 + i * 320, 110 if is_breakout else 0)
        at, end = int(closes[bar - 1]), int(closes[bar + HELD - 1])
        side = int(rng.choice([1, -1])) if not is_breakout else (1 if end < at else -1)
        signal = make_signal(
            account,
            instrument,
            time=MONDAY + timedelta(minutes=bar),
            side=side,
            claimed_setups=["breakout"] if is_breakout else ["bos"],
            entry_price=price(at),
            stop_loss=price(at - side * STOP),
            take_profit=price(at + side * 3 * STOP),
        )
        make_trade(signal, closed_at=signal.time + timedelta(minutes=HELD), exit_price=price(end))
    trades = list(Trade.objects.values_list("pk", flat=True))
    run_autopsy(trade_ids=trades, now=NOW)
    return account


def identify(account: Account, **changes: Any):
    return identify_patterns(account=account, now=NOW, **changes)


def told(account: Account) -> list[AnalysisPattern]:
    rows = AnalysisPattern.objects.filter(account=account).exclude(pattern_type="cause")
    return list(rows.order_by("pk"))


# --- the search -----------------------------------------------------------------------------------


def test_what_was_planted_is_found_told_and_not_written_twice(account: Account) -> None:
    done = identify(account)
    (row,) = [r for r in told(account) if ["setup", "that claim breakout"] in r.statistics["parts"]]
    assert (row.pattern_type, row.title) == ("leak", "Breakouts")
    mine = set(row.affected_trades.values_list("pk", flat=True))
    breakouts = Trade.objects.filter(signal__claimed_setups=["breakout"])
    assert mine == set(breakouts.values_list("pk", flat=True))
    r = InsightAudit.objects.filter(trade__in=mine, horizon="TRADE").values_list(
        "r_multiple", flat=True
    )
    assert row.statistics["total_r"] == pytest.approx(sum(r), abs=1e-3)
    assert re.match(r"Breakouts lose: 40 trades, −\d\.\d\d R each \(−", row.description)
    assert row.action_items == [
        "Take no new trade that claim breakout until its record is better than break-even."
    ]
    search = PatternSearch.objects.get()
    assert (search.n, search.n_closed, search.tried) == (COUNT, COUNT, row.statistics["tried"])
    assert search.tried > 20
    before = list(AnalysisPattern.objects.order_by("pk").values())
    again = identify_patterns(account=account, now=NOW + timedelta(days=1))
    assert (again.changed, again.lost) == (0, 0)
    assert [r.pk for r in again.found] == [r.pk for r in done.found]
    assert list(AnalysisPattern.objects.order_by("pk").values()) == before
    forced = identify_patterns(account=account, now=NOW + timedelta(days=1), force=True)
    assert forced.changed == 0
    assert AnalysisPattern.objects.count() == len(before)


def test_what_is_no_longer_found_stays_and_is_the_same_when_it_comes_back(account: Account) -> None:
    identify(account)
    kept = {row.pk for row in told(account)}
    real = dict(InsightAudit.objects.values_list("pk", "r_multiple"))
    # Results that say nothing about anything: the same for every trade but for tiny noise.
    for place, pk in enumerate(sorted(real)):
        InsightAudit.objects.filter(pk=pk).update(r_multiple=0.2 if place % 2 else -0.2)
    later = NOW + timedelta(days=1)
    done = identify_patterns(account=account, now=later)
    assert done.lost >= len(kept)
    assert {row.pk for row in told(account) if row.lost_at == later} >= kept
    for pk, r in real.items():
        InsightAudit.objects.filter(pk=pk).update(r_multiple=r)
    identify_patterns(account=account, now=later + timedelta(days=1))
    assert {row.pk for row in told(account) if row.lost_at is None} == kept


def test_a_search_for_more_trades_says_nothing_about_fewer(account: Account) -> None:
    identify(account)
    before = {row.pk for row in told(account) if row.lost_at is None}
    identify(account, min_trades=55)
    small = {row.pk for row in told(account) if row.statistics["n"] < 55}
    assert small & before
    assert {row.pk for row in told(account) if row.lost_at is None} >= small & before


def test_a_period_has_patterns_of_its_own(account: Account) -> None:
    identify(account)
    whole = AnalysisPattern.objects.filter(period="").count()
    done = identify(account, time_period="2024-03-06/2024-03-20")
    assert 0 < done.searched.n < COUNT
    assert AnalysisPattern.objects.filter(period="", lost_at=None).count() == whole
    sample = trade_sample(account, since=datetime(2025, 1, 1, tzinfo=UTC))
    assert sample.trade.size == 0
    assert identify(account, time_period="2025-01-01/2025-02-01").found == ()


@pytest.mark.parametrize(
    "bad", ["0d", "90", "2024-02-30/2024-03-01", "2024-03-02/2024-03-01", "x" * 50, "90D", -3]
)
def test_a_period_nobody_understands_is_refused(bad) -> None:
    with pytest.raises(UserError, match="is no period"):
        period_of(bad, NOW)


@pytest.mark.parametrize("least", [4, 1001])
def test_too_few_or_too_many_trades_are_refused(least: int) -> None:
    with pytest.raises(UserError):
        identify(make_account(), min_trades=least)


def test_an_account_without_trades_has_no_pattern() -> None:
    done = identify(make_account())
    assert (done.found, done.searched.n, done.searched.tried) == ((), 0, 0)


def test_a_rejected_cause_is_not_counted(account: Account) -> None:
    audit = InsightAudit.objects.filter(horizon="TRADE", outcome=Outcome.FAILED).first()
    InsightAudit.objects.filter(pk=audit.pk).update(top_cause="news_shock", top_posterior=0.9)
    before = trade_sample(account)
    place = before.trade.tolist().index(audit.trade_id)
    assert before.sample.causes[before.sample.cause[place]] == "news_shock"
    CauseReview.objects.create(
        audit=audit, cause="news_shock", verdict="rejected", posterior=0.9, user=account.owner
    )
    after = trade_sample(account)
    assert after.sample.cause[place] == -1
    assert after.data_hash != before.data_hash


# --- jobs and callers -----------------------------------------------------------------------------


def drain() -> None:
    while job_kinds.work_once(worker="w"):
        pass


def test_a_search_runs_as_a_job_and_is_asked_for_once(account: Account) -> None:
    job = request_patterns(user=account.owner, now=NOW)
    assert request_patterns(user=account.owner, now=NOW).pk == job.pk
    assert request_patterns(user=account.owner, min_trades=20, now=NOW).pk != job.pk
    drain()
    job.refresh_from_db()
    assert (job.status, job.done) == ("completed", len(job.params["accounts"]))
    assert told(account)


def test_new_outcomes_make_a_search_due(account: Account) -> None:
    assert request_due_patterns(account=account) is not None
    assert request_due_patterns(account=account) is None
    drain()
    assert request_due_patterns(account=account) is None
    assert AutopsyJob.objects.filter(kind=PATTERNS).count() == 1


def test_nobody_searches_an_account_that_is_not_theirs() -> None:
    mine, theirs = make_account("a"), make_account("b")
    with pytest.raises(NotFoundError):
        request_patterns(user=mine.owner, account_id=theirs.pk, now=NOW)
    Membership.objects.create(user=mine.owner, desk=theirs.desk, role=Role.REVIEWER)
    with pytest.raises(UserError, match="not search it"):
        request_patterns(user=mine.owner, account_id=theirs.pk, now=NOW)
    job = request_patterns(user=mine.owner, now=NOW)
    own = Account.objects.filter(owner=mine.owner).values_list("pk", flat=True)
    assert set(job.params["accounts"]) == set(own)


def test_a_caller_in_python_gets_rows_and_a_plan(account: Account) -> None:
    service = PostMortemService()
    found = async_to_sync(service.identify_patterns)(min_trades=12)
    assert all(isinstance(row, AnalysisPattern) for row in found)
    plan = async_to_sync(service.create_improvement_plan)(found)
    assert isinstance(plan, ImprovementPlan)
    assert async_to_sync(service.create_improvement_plan)(found).pk == plan.pk
    with pytest.raises(UserError):
        async_to_sync(service.identify_patterns)("yesterday")


# --- words ----------------------------------------------------------------------------------------


def slots_of(body: dict[str, Any]) -> list[tuple[str, str]]:
    evidence = next(m["content"] for m in body["messages"] if "FACTS" in m["content"])
    return re.findall(r"\{\{(E\d+)\.([a-z_0-9]+)\}\}", evidence)


def honest(body: dict[str, Any]) -> str:
    (pk, key), *_ = [slot for slot in slots_of(body) if slot[1] == "n"]
    return json.dumps(
        {
            "patterns": [
                {
                    "cluster_id": "P1",
                    "title": "Breakouts before London",
                    "description": f"They share a quiet market, {{{{{pk}.{key}}}}} of them [{pk}].",
                    "hypothesis": f"Thin trading might carry them too far [{pk}].",
                    "action_items": ["Record the volume at the breakout."],
                }
            ],
            "insufficient_evidence": [],
        }
    )


def lying(**changes: str):
    def answer(body: dict[str, Any]) -> str:
        said = json.loads(honest(body))
        entry = said["patterns"][0]
        entry.update({key: f"{entry[key]} {text}" for key, text in changes.items()})
        return json.dumps(said)

    return answer


@pytest.fixture
def pattern() -> AnalysisPattern:
    return make_pattern(make_account())


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with model_server() as running:
        running.answer = honest
        yield running


def word(row: AnalysisPattern, server: FaultServer, **changes: Any):
    config = LLMConfig(model="m1", api_key="k", base_url=server.url, **changes)
    done = word_patterns(pattern_ids=[row.pk], now=NOW, config=config)
    row.refresh_from_db()
    return done


def test_a_model_names_and_explains_and_the_figures_stay_ours(pattern, server) -> None:
    sentence = pattern.words["sentence"]
    assert word(pattern, server).written == 1
    assert (pattern.source, pattern.title) == ("llm", "Breakouts before London")
    assert pattern.words["sentence"] == sentence
    assert "31 of them" in pattern.description
    assert pattern.action_items[0].startswith("Take no new trade in Asia")
    assert pattern.action_items[1] == "Record the volume at the breakout."
    assert (pattern.grounding["matched"], pattern.grounding["narrator"]) == (1, "patterns-1")
    assert word(pattern, server).asked == 0


def test_the_same_figures_are_asked_about_once(pattern, server) -> None:
    word(pattern, server)
    twin = make_pattern(make_account())
    assert word(twin, server).cached == 1
    assert twin.title == pattern.title
    assert len(server.requests) == 1


def test_a_kept_answer_that_no_longer_passes_leaves_our_words(pattern, server) -> None:
    word(pattern, server)
    kept = LLMAnswer.objects.get()
    kept.answer["patterns"][0]["description"] = "They lost {{E1.n}}{{E1.won}} of them [E1]."
    kept.save()
    twin = make_pattern(make_account())
    before = (twin.title, twin.description, twin.words)
    assert word(twin, server).reasons == {"ungrounded": 1}
    assert (twin.source, twin.source_reason) == ("template", "ungrounded")
    assert (twin.title, twin.description, twin.words) == before


def test_other_checks_ask_again(pattern, server, monkeypatch) -> None:
    word(pattern, server)
    monkeypatch.setattr(llm_ledger, "GROUNDING_VERSION", "another")
    assert word(make_pattern(make_account()), server).cached == 0
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("where", "lie"),
    [
        ("description", "They lost 48 R [E1]."),
        ("description", "They are very profitable [E1]."),
        ("hypothesis", "Buy now and see http://evil.invalid [E1]."),
        ("description", "Twice as many lost [E1]."),
        ("description", "The result was {{E99.total}} [E99]."),
    ],
)
def test_what_is_not_so_is_taken_out_and_the_rest_stays(pattern, server, where, lie) -> None:
    server.answer = lying(**{where: lie})
    word(pattern, server)
    assert pattern.source == "llm_pruned"
    assert "of them" in pattern.description
    assert lie.split("[")[0].strip(" .") not in json.dumps([pattern.words, pattern.description])


@pytest.mark.parametrize("row", ["500", "refusal", "prose", "wrong_schema", "missing_key", "401"])
def test_a_fault_leaves_our_words_and_its_reason(row, pattern, server) -> None:
    before = pattern.words
    server.play(row)
    done = word(pattern, server, background_seconds=2, attempt_seconds=1)
    assert done.written == 0
    assert (pattern.source, pattern.words) == ("template", before)
    assert pattern.source_reason


def test_an_answer_about_something_else_is_not_used(pattern, server) -> None:
    said = json.dumps({"patterns": [], "insufficient_evidence": ["Too few [E1]."]})
    server.answer = said
    word(pattern, server)
    assert (pattern.source, pattern.source_reason) == ("template", "not_told")


def test_a_pattern_that_changed_meanwhile_keeps_its_new_words(pattern, server, monkeypatch) -> None:
    def changed_while_asked(chunks: Any, config: LLMConfig, **options: Any) -> None:
        every = list(chunks)
        AnalysisPattern.objects.filter(pk=pattern.pk).update(evidence_hash="other")
        ask_each(every, config, **options)

    monkeypatch.setattr(pattern_words, "ask_each", changed_while_asked)
    before = pattern.words
    assert word(pattern, server).reasons == {"changed": 1}
    assert (pattern.source, pattern.words) == ("template", before)


def test_a_long_title_is_not_cut_within_a_figure(pattern) -> None:
    own = pattern.slot_data
    # 199 letters, so that a cut at 200 would leave the first digit of the count.
    tell(pattern, {**own, "title": f"{'x' * 198} {{{{E1.n}}}} [E1]."})
    assert pattern.title == noun_phrase(pattern.statistics["parts"])
    tell(pattern, {**own, "title": f"{'x' * 190} {{{{E1.n}}}} [E1]."})
    assert pattern.title == f"{'x' * 190} {pattern.statistics['n']}"


def test_searches_and_plans_lock_their_account(account: Account, pattern, monkeypatch) -> None:
    locked: list[type] = []
    real = QuerySet.select_for_update

    def noted(rows: QuerySet[Any], *given: Any, **options: Any) -> QuerySet[Any]:
        locked.append(rows.model)
        return real(rows, *given, **options)

    monkeypatch.setattr(QuerySet, "select_for_update", noted)
    identify_patterns(account=account, now=NOW)
    assert locked[:2] == [Account, AnalysisPattern]
    locked.clear()
    create_improvement_plan(patterns=[pattern])
    assert locked[0] is Account


def test_a_caller_in_python_waits_for_so_many_patterns_only(account, monkeypatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(analyst, "MOST_WORDED", 1)
    monkeypatch.setattr(analyst, "word_patterns", lambda **given: asked.append(given))
    identify(account)
    first, *rest = AnalysisPattern.objects.filter(account=account)
    assert rest
    AnalysisPattern.objects.filter(pk=first.pk).update(source="llm")
    async_to_sync(PostMortemService().identify_patterns)(account_ids=[account.pk])
    ((given),) = asked
    assert given["interactive"] is True
    assert len(given["pattern_ids"]) == 1
    assert first.pk not in given["pattern_ids"]


def test_without_a_model_nothing_is_queued(pattern) -> None:
    assert request_words(account=pattern.account, patterns=[pattern]) is None
    assert word_patterns(pattern_ids=[pattern.pk], now=NOW).reasons == {"disabled": 1}


def of_plan(body: dict[str, Any]) -> str:
    (pk, key), *_ = [slot for slot in slots_of(body) if slot[1] == "total"]
    item = {
        "focus_area": "entry",
        "action": "Mark the hours before London on the chart.",
        "rationale": f"They came to {{{{{pk}.{key}}}}} [{pk}].",
        "metric": "expectancy_r",
        "effort": "low",
        "source_ids": ["R1"],
    }
    lie = {**item, "action": "Double the size.", "source_ids": ["R7"]}
    return json.dumps({"summary": f"It begins with Asia [{pk}].", "items": [item, lie]})


def test_a_model_words_a_plan_and_its_figures_stay_ours(pattern, server) -> None:
    plan = create_improvement_plan(patterns=[pattern])
    step = plan.improvements[0]
    server.answer = of_plan
    config = LLMConfig(model="m1", api_key="k", base_url=server.url)
    assert word_plan(plan_id=plan.pk, now=NOW, config=config).written == 1
    plan.refresh_from_db()
    worded = plan.improvements[0]
    assert plan.summary == "It begins with Asia [E1]."
    assert worded["how"] == "Mark the hours before London on the chart."
    assert worded["why"] == "They came to −13.0 R [E1]."
    own = ("action", "rationale", "expected", "criterion", "r_month", "helps", "effort")
    assert {name: worded[name] for name in own} == {name: step[name] for name in own}
    assert "Double the size" not in json.dumps(plan.improvements)
    assert plan.source in ("llm", "llm_pruned")


def test_a_kept_plan_that_no_longer_passes_leaves_our_words(pattern, server) -> None:
    plan = create_improvement_plan(patterns=[pattern])
    summary, steps = plan.summary, plan.improvements
    server.answer = of_plan
    config = LLMConfig(model="m1", api_key="k", base_url=server.url)
    word_plan(plan_id=plan.pk, now=NOW, config=config)
    kept = LLMAnswer.objects.get()
    kept.answer["summary"] = "It begins with {{E1.n}}% of them [E1]."
    kept.save()
    plan.delete()
    again = create_improvement_plan(patterns=[pattern])
    done = word_plan(plan_id=again.pk, now=NOW, config=config)
    assert (done.cached, done.reasons) == (1, {"ungrounded": 1})
    again.refresh_from_db()
    assert (again.source, again.source_reason) == ("template", "ungrounded")
    assert (again.summary, again.improvements) == (summary, steps)


def test_statistics_of_the_factory_are_those_of_a_search(account: Account) -> None:
    identify(account)
    for row in AnalysisPattern.objects.all():
        assert row.statistics.keys() == pattern_statistics().keys()
