"""Experiments on one's own trading: started, noted, stopped; never changed and never deleted.

What is tested is frozen when it starts: the plan with its hash, and the hash of the salt from which
every arm follows. The salt itself is shown once the experiment has ended, so that nobody can look
up tomorrow's arm and everybody can check yesterday's.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final

from django.db import transaction

from post_mortem.core.draws import plan_hash, salt_hash
from post_mortem.models import (
    Experiment,
    ExperimentAssignment,
    ExperimentNote,
    RecommendationTracking,
)
from post_mortem.selectors.access import writable
from post_mortem.selectors.experiment_results import ENDED, results_of
from post_mortem.selectors.experiments import has_begun
from post_mortem.services.experiment_draws import draw_experiment
from post_mortem.services.experiment_plans import (
    check_free,
    checked,
    frozen_plan,
    trading_days,
)
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Account, editable_accounts, visible_accounts

MAX_REASON: Final = 500
MAX_NOTE: Final = 2_000
_SALT_BYTES: Final = 32


@transaction.atomic
def start_experiment(
    *,
    account: Account,
    recommendation: RecommendationTracking | None,
    name: str,
    rule: str,
    unit: str,
    scope: Mapping[str, str],
    starts_on: date | None,
    shadow: bool,
    strict: bool,
    user: Any,
    now: datetime,
    weekdays: Sequence[int] | None = None,
    day_begins: time = time(),
) -> Experiment:
    """Freeze a plan, draw its salt and the arms of the first days.

    `starts_on` None is the first day that has not begun; `weekdays` (Monday 0) None those that the
    account trades on; `day_begins` is the clock time in the account's zone at which its trading
    day begins. Raises `NotFoundError` (a foreign account or recommendation), `UserError`
    `not_permitted`, `overlaps` and what `experiment_plans.checked` raises.
    """
    _check_account(account, user)
    _check_recommendation(account, recommendation, user)
    # Of two that start at once, the second waits here and then finds the first one running.
    Account.objects.select_for_update().get(pk=account.pk)
    wanted = checked(
        account=account,
        name=name,
        rule=rule,
        unit=unit,
        scope=scope,
        starts_on=starts_on,
        days=trading_days(account, weekdays=weekdays, begins=day_begins),
        shadow=shadow,
        strict=strict,
        now=now,
    )
    check_free(account, wanted.scope)
    salt = secrets.token_hex(_SALT_BYTES)
    plan = frozen_plan(
        account=account,
        recommendation_id=None if recommendation is None else recommendation.pk,
        wanted=wanted,
        salt_sha256=salt_hash(salt),
        now=now,
    )
    row = Experiment.objects.create(
        account=account,
        recommendation=recommendation,
        name=wanted.name,
        rule=wanted.rule,
        scope=dict(wanted.scope),
        unit=wanted.unit,
        shadow=wanted.shadow,
        strict=wanted.strict,
        salt=salt,
        starts_on=wanted.starts_on,
        time_zone=wanted.days.zone,
        plan=plan,
        plan_sha256=plan_hash(plan),
        started_by=user,
    )
    # The field takes the wall clock when a row is added; `now` is the time of this start.
    Experiment.objects.filter(pk=row.pk).update(created_at=now)
    draw_experiment(experiment_id=row.pk, now=now)
    row.refresh_from_db()
    return row


def _check_account(account: Account, user: Any) -> None:
    if not visible_accounts(user).filter(pk=account.pk).exists():
        raise NotFoundError("not_found", "Not found.")
    if not editable_accounts(user).filter(pk=account.pk).exists():
        raise UserError("not_permitted", "You may read this, not change it.")


def _check_recommendation(
    account: Account, recommendation: RecommendationTracking | None, user: Any
) -> None:
    if recommendation is None:
        return
    mine = RecommendationTracking.objects.visible_to(user)
    if not mine.filter(pk=recommendation.pk, account=account).exists():
        raise NotFoundError("not_found", "Not found.")


@transaction.atomic
def stop_experiment(
    *, experiment_id: int, reason: str, version: int, user: Any, now: datetime
) -> Experiment:
    """End a running experiment that was read at `version`. Its rows stay, and it stays listed.

    It is `finished` when its last planned look was taken or a look has decided, else `stopped`.
    Raises `NotFoundError`, `UserError` `not_permitted`, `bad_reason`, `ConflictError`
    `version_stale`, `not_running`.
    """
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON or "\x00" in text:
        detail = f"Say why it ends, in 1 to {MAX_REASON} characters."
        raise UserError("bad_reason", detail, field="reason")
    row: Experiment = writable(Experiment.objects.all(), user=user, pk=experiment_id)
    if row.version != version:
        raise _stale()
    if row.status != Experiment.Status.RUNNING:
        raise ConflictError("not_running", "This experiment has ended already.")
    status = _final_status(row, now)
    # The condition is in the statement: of all who read this version, one changes the row.
    changed = Experiment.objects.filter(
        pk=row.pk, version=version, status=Experiment.Status.RUNNING
    ).update(status=status, ended_at=now, ended_because=text, version=version + 1)
    if not changed:
        raise _stale()
    row.refresh_from_db()
    return row


def _final_status(row: Experiment, now: datetime) -> str:
    verdict = results_of(row, now=now).verdict
    if verdict.verdict in ENDED:
        return str(Experiment.Status.FINISHED)
    return str(Experiment.Status.STOPPED)


def _stale() -> ConflictError:
    detail = "This experiment was changed since it was read. Read it again."
    return ConflictError("version_stale", detail, field="version")


@transaction.atomic
def note_unit(
    *,
    experiment_id: int,
    unit_key: str,
    kept: bool | None,
    note: str = "",
    user: Any,
    now: datetime,
) -> ExperimentNote:
    """Say of a unit whether its arm was kept to: True, False, or None to take it back.

    Append-only, the newest counts; saying the same again adds nothing. Raises `NotFoundError`,
    `UserError` `not_permitted`, `not_drawn` (no such unit), `not_begun`, `bad_note`.
    """
    if len(note) > MAX_NOTE or "\x00" in note:
        raise UserError("bad_note", f"A note has at most {MAX_NOTE:,} characters.", field="note")
    experiment = writable(Experiment.objects.all(), user=user, pk=experiment_id)
    # Two notes at once come one after the other.
    Experiment.objects.select_for_update().get(pk=experiment.pk)
    drawn = ExperimentAssignment.objects.filter(experiment=experiment, unit_key=unit_key).first()
    if drawn is None:
        detail = "This was not drawn, so there is nothing to keep."
        raise UserError("not_drawn", detail, field="unit_key")
    if not has_begun(experiment, drawn, now):
        raise UserError("not_begun", "It has not begun yet.", field="unit_key")
    last = ExperimentNote.objects.filter(experiment=experiment, unit_key=unit_key).first()
    if last is not None and (last.kept, last.note, last.user_id) == (kept, note, user.pk):
        return last
    made = ExperimentNote.objects.create(
        experiment=experiment, unit_key=unit_key, kept=kept, note=note, user=user
    )
    ExperimentNote.objects.filter(pk=made.pk).update(created_at=now)
    made.refresh_from_db()
    return made
