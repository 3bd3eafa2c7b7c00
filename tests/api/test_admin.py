"""The admin opens for those who may, shows what they may see, and edits only what may be edited."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from post_mortem.models import ApiToken, AutopsyJob, InsightAudit, LabelingRule
from post_mortem.services import rules
from tests.api.world import World
from trading.core.errors import UserError
from trading.models import Account, Membership, Role

pytestmark = pytest.mark.django_db

OURS = [
    model for model in admin.site._registry if model._meta.app_label in ("trading", "post_mortem")
]
EDITABLE = {"labelingrule", "desk", "account", "instrument", "outage"}


def url(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def root(world: World, django_user_model: Any) -> Client:
    user = django_user_model.objects.create_superuser("root", password="a long password")
    client = Client()
    client.force_login(user)
    LabelingRule.objects.create(strategy="breakout", neutral_band_r=0.1)
    return client


@pytest.fixture
def staff(world: World) -> Client:
    """The reviewer of the owner's desk, as staff with every permission but superuser."""
    world.reviewer.is_staff = True
    world.reviewer.save()
    world.reviewer.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(world.reviewer)
    return client


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_page_opens(root: Client, model: Any) -> None:
    assert root.get(url(model, "changelist")).status_code == 200
    assert root.get(url(model, "changelist"), {"q": "x"}).status_code == 200
    row = model._default_manager.first()
    if row is not None:
        assert root.get(url(model, "change", row.pk)).status_code == 200
    expected = 200 if model._meta.model_name in EDITABLE else 403
    assert root.get(url(model, "add")).status_code == expected


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_what_is_read_only_stays_as_it_is(root: Client, model: Any) -> None:
    row = model._default_manager.first()
    if row is None or model._meta.model_name in EDITABLE:
        return
    assert root.post(url(model, "change", row.pk), {}).status_code == 403
    assert root.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_staff_see_their_desks_only(staff: Client, world: World, model: Any) -> None:
    page = staff.get(url(model, "changelist"))
    assert page.status_code == 200
    shown = {row.pk for row in page.context["cl"].result_list}
    theirs = world.stranger_desk
    foreign = {
        row.pk
        for row in (theirs.account, theirs.trade, theirs.audit, theirs.recommendation, theirs.job)
        if isinstance(row, model)
    }
    assert shown.isdisjoint(foreign)
    for pk in foreign:
        assert staff.get(url(model, "change", pk)).status_code == 302
    if foreign:
        assert shown


def test_staff_cannot_make_themselves_lead(staff: Client, world: World) -> None:
    desk = world.mine.account.desk
    membership = Membership.objects.get(user=world.reviewer, desk=desk)
    sent = {
        "name": desk.name,
        "source_order": "[]",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": membership.pk,
        "memberships-0-desk": desk.pk,
        "memberships-0-user": world.reviewer.pk,
        "memberships-0-role": Role.ADMIN,
    }
    desk_page = reverse("admin:trading_desk_change", args=[desk.pk])
    assert staff.post(desk_page, sent).status_code == 403
    membership.refresh_from_db()
    assert membership.role == Role.REVIEWER


def test_strangers_are_sent_to_sign_in(world: World) -> None:
    client = Client()
    page = url(Account, "changelist")
    assert client.get(page).status_code == 302
    client.force_login(world.owner)
    assert client.get(page).status_code == 302


def test_revoke(root: Client, world: World) -> None:
    token = ApiToken.objects.get(name="owner")
    sent = {"action": "revoke", "_selected_action": [token.pk]}
    assert root.post(url(ApiToken, "changelist"), sent).status_code == 302
    assert world.client("owner").get(reverse("api-audits")).status_code == 401
    assert token.sha256 not in root.get(url(ApiToken, "change", token.pk)).content.decode()


def test_cancel(root: Client, staff: Client, world: World) -> None:
    sent = {"action": "cancel", "_selected_action": [world.mine.job.pk]}
    for client, status in ((staff, "pending"), (root, "cancelled")):
        client.post(url(AutopsyJob, "changelist"), sent)
        world.mine.job.refresh_from_db()
        assert world.mine.job.status == status


class TestRules:
    def stale(self) -> list[int]:
        return list(InsightAudit.objects.filter(is_stale=True).values_list("pk", flat=True))

    def test_a_change_in_the_admin_marks_audits(self, root: Client, world: World) -> None:
        rule = LabelingRule.objects.get(strategy="breakout")
        world.mine.audit.rule = rule
        world.mine.audit.save()
        sent = {"strategy": "breakout", "neutral_band_r": "0.2", "priority": "0", "is_active": "on"}
        assert root.post(url(LabelingRule, "change", rule.pk), sent).status_code == 302
        rule.refresh_from_db()
        assert rule.neutral_band_r == 0.2
        assert self.stale() == [world.mine.audit.pk]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("success_tp_pips", "0"),
            ("success_tp_pips", "-1"),
            ("success_rr_ratio", "nan"),
            ("fail_sl_pips", "inf"),
            ("fail_adverse_pct", "100"),
            ("neutral_band_r", "-0.1"),
            ("min_score", "101"),
            ("symbol", "EURUSDX"),
            ("timeframe", "5 minutes"),
            ("horizon", "1h"),
        ],
    )
    def test_what_the_engine_could_not_use_is_refused(
        self, root: Client, field: str, value: str
    ) -> None:
        before = LabelingRule.objects.count()
        sent = {"strategy": "x", "priority": "0", "is_active": "on", field: value}
        page = root.post(url(LabelingRule, "add"), sent)
        assert page.status_code == 200
        assert list(page.context["adminform"].form.errors) == [field]
        assert LabelingRule.objects.count() == before

    def test_made_by_whom(self, root: Client) -> None:
        sent = {"strategy": "x", "priority": "1", "is_active": "on", "neutral_band_r": "0"}
        assert root.post(url(LabelingRule, "add"), sent).status_code == 302
        assert LabelingRule.objects.get(strategy="x").created_by.username == "root"

    @pytest.mark.parametrize(
        ("scope", "marked"),
        [
            ({}, True),
            ({"strategy": "owner breakout", "symbol": "EURUSD", "timeframe": "1m"}, True),
            ({"horizon": "TRADE"}, True),
            ({"horizon": "4H"}, False),
            ({"strategy": "another"}, False),
        ],
    )
    def test_a_new_rule_marks_its_scope(
        self, world: World, scope: dict[str, str], marked: bool
    ) -> None:
        rule = LabelingRule(desk=world.mine.account.desk, neutral_band_r=0.3, **scope)
        assert rules.save_rule(rule=rule) == int(marked)
        assert self.stale() == [world.mine.audit.pk] * marked

    def test_leaving_a_scope_marks_it_too(self, world: World) -> None:
        rule = LabelingRule(strategy="owner breakout", neutral_band_r=0.3)
        rules.save_rule(rule=rule)
        InsightAudit.objects.update(is_stale=False)
        rule.strategy = "another"
        assert rules.save_rule(rule=rule) == 1
        InsightAudit.objects.update(is_stale=False)
        assert rules.delete_rule(rule=rule) == 0

    def test_a_refused_rule_changes_nothing(self, world: World) -> None:
        before = LabelingRule.objects.count()
        with pytest.raises(UserError):
            rules.save_rule(rule=LabelingRule(neutral_band_r=float("nan")))
        assert LabelingRule.objects.count() == before
        assert self.stale() == []
