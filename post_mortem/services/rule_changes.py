"""A desk's rules changed by its leads: checked, previewed, kept as history, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.db import transaction

from post_mortem.models import LabelingRule, RuleChange
from post_mortem.selectors.cases import rule_of
from post_mortem.selectors.rule_preview import Preview, preview_of
from post_mortem.services.rules import check_rule, delete_rule, save_rule, touched_by
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Desk, Membership, Role

SCOPE: Final = ("strategy", "symbol", "timeframe", "horizon")
NUMBERS: Final = (
    *("success_tp_pips", "success_rr_ratio", "fail_sl_pips", "fail_adverse_pct"),
    *("neutral_band_pips", "neutral_band_r", "min_score"),
)
_LAST: Final = 2**62
FIELDS: Final = (*SCOPE, *NUMBERS, "priority", "is_active", "notes")


def led_desks(user: Any) -> list[Desk]:
    """Desks whose rules this user may change, in order of their ids."""
    led = Membership.objects.filter(user=user, role__gte=Role.LEAD).values("desk")
    return list(Desk.objects.filter(pk__in=led).order_by("pk"))


def state_of(rule: LabelingRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in FIELDS}


def preview_rule(
    *, desk_id: int, rule_id: int | None, values: Mapping[str, Any], user: Any
) -> Preview:
    """How many audits of the desk would get another label. Writes nothing; raises as `put_rule`."""
    desk = _desk(desk_id, user)
    current = _rule(desk, rule_id)
    rule = _changed(desk, current, values)
    audits = touched_by(rule)
    if current is not None:
        audits = audits | touched_by(current)
    audits = audits.filter(account__desk=desk).distinct()
    # An id that no rule has yet: a new rule comes last among equals.
    used = replace(rule_of(rule), id=rule.pk or _LAST) if rule.is_active else None
    return preview_of(audits, desk, used, replaces=rule_id)


@transaction.atomic
def put_rule(
    *, desk_id: int, rule_id: int | None, values: Mapping[str, Any], user: Any
) -> RuleChange:
    """Make (`rule_id` None) or change a rule of a desk; the audits it may change become stale.

    Raises `NotFoundError` (a desk that is not the user's, a rule that is not the desk's),
    `UserError` `not_permitted`, `bad_rule`, `nothing_changed`.
    """
    desk = _desk(desk_id, user)
    current = _rule(desk, rule_id)
    before = None if current is None else state_of(current)
    rule = _changed(desk, current, values)
    if before == state_of(rule):
        raise UserError("nothing_changed", "The rule is like this already.")
    if current is None:
        rule.created_by = user
    save_rule(rule=rule)
    return _kept(desk, rule.pk, before, state_of(rule), user)


@transaction.atomic
def remove_rule(*, desk_id: int, rule_id: int, user: Any) -> RuleChange:
    """Delete a rule of a desk. Raises as `put_rule`."""
    desk = _desk(desk_id, user)
    rule = LabelingRule.objects.filter(desk=desk, pk=rule_id).first()
    if rule is None:
        raise NotFoundError("not_found", "Not found.")
    before = state_of(rule)
    delete_rule(rule=rule)
    return _kept(desk, rule_id, before, None, user)


@transaction.atomic
def undo_change(*, change_id: int, user: Any) -> RuleChange:
    """Make a rule what it was before a change. Raises `NotFoundError`, `UserError`
    `not_permitted`, `ConflictError` `changed_since` when it was changed again since."""
    change = RuleChange.objects.visible_to(user).filter(pk=change_id).first()
    if change is None:
        raise NotFoundError("not_found", "Not found.")
    desk = _desk(change.desk_id, user)
    rule = LabelingRule.objects.filter(desk=desk, pk=change.rule_id).first()
    now = None if rule is None else state_of(rule)
    if now != change.after:
        raise ConflictError("changed_since", "This rule was changed again since.")
    if change.before is None:
        if rule is not None:
            delete_rule(rule=rule)
    else:
        rule = rule or LabelingRule(pk=change.rule_id, desk=desk, created_by=user)
        for name, value in change.before.items():
            setattr(rule, name, value)
        save_rule(rule=rule)
    return _kept(desk, change.rule_id, now, change.before, user, undoes=change)


def _desk(desk_id: int, user: Any) -> Desk:
    desk = Desk.objects.filter(pk=desk_id, memberships__user=user).first()
    if desk is None:
        raise NotFoundError("not_found", "Not found.")
    if desk not in led_desks(user):
        raise UserError("not_permitted", "Only a lead of the desk changes its rules.")
    return desk


def _rule(desk: Desk, rule_id: int | None) -> LabelingRule | None:
    if rule_id is None:
        return None
    rule: LabelingRule | None = LabelingRule.objects.filter(desk=desk, pk=rule_id).first()
    if rule is None:
        raise NotFoundError("not_found", "Not found.")
    return rule


def _changed(desk: Desk, current: LabelingRule | None, values: Mapping[str, Any]) -> LabelingRule:
    """Another instance with the values; the current one is left alone."""
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise UserError("bad_rule", f"A rule has no {unknown[0]}.", field=unknown[0])
    rule = LabelingRule(desk=desk)
    if current is not None:
        rule = LabelingRule.objects.get(pk=current.pk)
    for name, value in values.items():
        setattr(rule, name, value)
    check_rule(rule)
    return rule


def _kept(
    desk: Desk,
    rule_id: int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    user: Any,
    *,
    undoes: RuleChange | None = None,
) -> RuleChange:
    return RuleChange.objects.create(
        desk=desk, rule_id=rule_id, before=before, after=after, user=user, undoes=undoes
    )
