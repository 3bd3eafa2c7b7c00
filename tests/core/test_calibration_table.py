"""The file a calibration is kept in, and what is refused of one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest

from post_mortem.core.calibration import Curve
from post_mortem.core.calibration_table import (
    NAMED_CAUSES,
    SHIPPED,
    Figures,
    parse_table,
    read_table,
    table_as_json,
)
from trading.core.errors import UserError


@pytest.fixture
def data() -> dict[str, Any]:
    return copy.deepcopy(table_as_json(SHIPPED))


def test_the_shipped_file_is_what_is_used() -> None:
    text = (resources.files("post_mortem.core") / "tables" / "calibration.json").read_text()
    assert table_as_json(SHIPPED) == json.loads(text)
    assert set(SHIPPED.calibration.curves) == set(NAMED_CAUSES)


def test_a_table_comes_back_as_it_went(data: dict[str, Any]) -> None:
    table = replace(SHIPPED, before=Figures(0.1, 0.2), after=Figures(0.05, 0.15, 0.8))
    assert read_table(json.dumps(table_as_json(table))) == table


def test_the_hash_is_of_what_decides() -> None:
    renamed = replace(SHIPPED, calibration=replace(SHIPPED.calibration, version="other"))
    assert renamed.sha256 == SHIPPED.sha256
    curves = {**SHIPPED.calibration.curves, "news_shock": Curve(-1.8, 5.6)}
    assert (
        replace(SHIPPED, calibration=replace(SHIPPED.calibration, curves=curves)).sha256
        != SHIPPED.sha256
    )
    for change in ({"sure": 0.8}, {"unknown": (1.3, -7.5, 1.1)}):
        other = replace(SHIPPED, calibration=replace(SHIPPED.calibration, **change))
        assert other.sha256 != SHIPPED.sha256


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("schema", lambda d: d.update(schema="inquest.calibration/2")),
        ("version", lambda d: d.update(version="")),
        ("version", lambda d: d.update(version="x" * 61)),
        ("sha256", lambda d: d["curves"]["news_shock"].update(slope=5.6)),
        ("sha256", lambda d: d.update(sha256=None)),
        ("curves.news_shock", lambda d: d["curves"].pop("news_shock")),
        ("curves.bad_luck", lambda d: d["curves"].update(bad_luck={})),
        ("curves.news_shock.slope", lambda d: d["curves"]["news_shock"].update(slope=-1)),
        ("curves.news_shock.slope", lambda d: d["curves"]["news_shock"].update(slope="5")),
        ("curves.news_shock.slope", lambda d: d["curves"]["news_shock"].update(slope=True)),
        ("curves.news_shock.intercept", lambda d: d["curves"]["news_shock"].pop("intercept")),
        (
            "curves.news_shock.intercept",
            lambda d: d["curves"]["news_shock"].update(intercept=1e9),
        ),
        ("unknown", lambda d: d.update(unknown=[1, 2, 3])),
        ("unknown.best", lambda d: d["unknown"].update(best=None)),
        ("sure", lambda d: d.update(sure=1.5)),
        (
            "figures.after.ece",
            lambda d: d["figures"].update(after={"ece": 2, "brier": 0, "ac1": 0}),
        ),
        ("fitted_on.cases", lambda d: d["fitted_on"].update(cases=-1)),
        ("fitted_on.date", lambda d: d["fitted_on"].update(date="yesterday")),
        ("fitted_on.counts", lambda d: d["fitted_on"].update(counts={"bad_luck": 3})),
        ("fitted_on.counts.unknown", lambda d: d["fitted_on"].update(counts={"unknown": 0.5})),
        ("note", lambda d: d.update(note="hi")),
        ("sure", lambda d: d.pop("sure")),
    ],
)
def test_a_bad_table_is_refused_by_field(data: dict[str, Any], field: str, change: Change) -> None:
    change(data)
    with pytest.raises(UserError) as refused:
        parse_table(data)
    assert refused.value.code == "calibration_table"
    assert refused.value.field == field
    assert field in refused.value.detail


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[]", "bad_json"),
        ("{", "bad_json"),
        ('{"sure": NaN}', "not_finite"),
        ('{"sure": 1, "sure": 1}', "duplicate_key"),
    ],
)
def test_what_is_no_object_is_refused(text: str, code: str) -> None:
    with pytest.raises(UserError) as refused:
        read_table(text)
    assert refused.value.code == code
