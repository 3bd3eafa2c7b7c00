"""What the pages of a review write from the JSON of its sheet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django import template

from post_mortem.core import display
from post_mortem.pages import minutes

register = template.Library()

# What the score's table compares; a rate only where both sides have the trades for one.
_RATES = (("Won", "win_rate"), ("Expectancy", "expectancy_r"), ("Profit factor", "profit_factor"))


@register.filter
def iso_day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day:%a} {day.day} {day:%b} {day.year}"


@register.filter
def iso_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@register.filter
def decision_kind(kind: str) -> str:
    return minutes.KINDS[kind]


@register.filter
def came(what: Mapping[str, Any] | None) -> str:
    return minutes.came(what)


@register.filter
def kept(action: Mapping[str, Any]) -> str:
    return minutes.kept(action)


@register.filter
def between(first: str, last: str) -> str:
    return minutes.between(date.fromisoformat(first), date.fromisoformat(last))


@register.filter
def rates(score: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rates of a period with enough trades for them, beside the prior period's where that has
    enough as well, and then with the change and its arrow."""
    now, prior = score["now"], score["prior"] or {}
    told = []
    for name, key in _RATES:
        here, there = now[key], prior.get(key)
        if here is None:
            continue
        row = {"name": name, "now": _written(key, here), "prior": "", "change": "", "arrow": ""}
        if there is not None:
            row["prior"] = _written(key, there)
            row["change"] = _written(key, here - there, signed=True)
            row["arrow"] = "▲" if here > there else "▼" if here < there else ""
        told.append(row)
    return told


def _written(key: str, value: float, *, signed: bool = False) -> str:
    if key == "win_rate":
        return display.percent(value, signed=signed)
    if key == "expectancy_r":
        return display.r_multiple(value)
    return display.fixed(value, 2, signed=signed)
