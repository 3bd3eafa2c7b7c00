"""Numbers, times and glyphs of the pages: text from `core.display`, colour and titles from here."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.http import QueryDict
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html

from post_mortem.core import display
from post_mortem.core.evidence import Fact, posterior_word
from post_mortem.models import RecommendationHistory
from post_mortem.models.audits import CAUSE_LABELS
from post_mortem.pages import formats, verdicts
from post_mortem.pages.ribbon import Ribbon, draw
from post_mortem.pages.units import Unit
from post_mortem.selectors.reviews import REASONS

register = template.Library()


def _tone(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else ""


def _known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


@register.simple_tag
def unknown(reason: str) -> str:
    """A dash that says why; never a zero."""
    return format_html(
        '<span class="unknown" title="{}">{}<span class="visually-hidden"> ({})</span></span>',
        reason,
        formats.DASH,
        reason,
    )


@register.simple_tag
def r(value: float | None, why: str = "no initial stop", plain: bool = False) -> str:
    """A result in R, coloured by its sign unless `plain`."""
    if not _known(value):
        return unknown(why)
    return format_html(
        '<span class="nowrap {}">{}</span>',
        "" if plain else _tone(float(value)),  # type: ignore[arg-type]
        display.r_multiple(float(value)),  # type: ignore[arg-type]
    )


@register.simple_tag
def r_size(value: float | None, why: str = "not measured") -> str:
    """A size in R, such as MAE: no sign, no colour."""
    if not _known(value):
        return unknown(why)
    return format_html("<span>{}</span>", display.fixed(float(value), 2))  # type: ignore[arg-type]


@register.simple_tag
def r_total(value: float | None, why: str = "no trade has an initial stop") -> str:
    if not _known(value):
        return unknown(why)
    return format_html(
        '<span class="nowrap {}">{}</span>',
        _tone(float(value)),  # type: ignore[arg-type]
        formats.total_r(float(value)),  # type: ignore[arg-type]
    )


@register.simple_tag
def money(value: Decimal | float | None, currency: str = "", why: str = "not in the file") -> str:
    """A signed amount; the amount alone is what privacy masks."""
    if not _known(value):
        return unknown(why)
    return format_html(
        '<span class="nowrap {}"><span class="money-value">{}</span> {}</span>',
        _tone(float(value)),  # type: ignore[arg-type]
        formats.amount(value),  # type: ignore[arg-type]
        currency,
    )


@register.simple_tag
def price(value: Decimal | float | None, point: Decimal, why: str = "not in the file") -> str:
    """A price at the instrument's point; what was written is in the title where it says more."""
    if not _known(value):
        return unknown(why)
    shown = display.price(float(value), point)  # type: ignore[arg-type]
    written = formats.exact(value) if isinstance(value, Decimal) else shown
    if written.rstrip("0").rstrip(".") == shown.rstrip("0").rstrip("."):
        return format_html("<span>{}</span>", shown)
    return format_html('<span title="{}">{}</span>', written, shown)


@register.simple_tag
def moment(value: datetime | None, form: str = "full", why: str = "not known") -> str:
    """A time in the reader's zone; UTC in the title. `form`: full, seconds, list, day
    or clock."""
    if value is None:
        return unknown(why)
    local = timezone.localtime(value)
    year = local.year != timezone.localtime().year
    text = {
        "full": lambda: formats.moment(local, year=year),
        "seconds": lambda: formats.moment(local, year=year, seconds=True),
        "day": lambda: formats.day(local, year=year),
        "list": lambda: formats.listed(local, year=year),
        "clock": lambda: formats.clock(local),
    }[form]()
    utc = value.astimezone(UTC)
    return format_html(
        '<time class="nowrap" datetime="{}" title="{} UTC">{}</time>',
        utc.isoformat(),
        f"{utc:%Y-%m-%d %H:%M:%S}",
        text,
    )


@register.filter
def plural(n: int, words: str) -> str:
    """`3|plural:"trade"` or `2|plural:"analysis,analyses"`."""
    return formats.plural(n, *words.split(",", 1))


@register.filter
def number(value: float, places: int = 0) -> str:
    return display.fixed(float(value), places)


@register.filter
def exact(value: Decimal | None) -> str:
    return formats.DASH if value is None else formats.exact(value)


@register.filter
def quantity(value: Decimal) -> str:
    """A quantity without the zeros that only its file needs."""
    return format(value.normalize() + Decimal(0), ",f").replace("-", display.MINUS)


@register.simple_tag
def fact_text(fact: Fact) -> str:
    """A fact's text, with an amount of money in it apart, so that it can be masked."""
    amount = fact.slots.get("money", "")
    if not amount or amount not in fact.text:
        return fact.text
    before, after = fact.text.split(amount, 1)
    return format_html('{}<span class="money-value">{}</span>{}', before, amount, after)


@register.filter
def word(posterior: float) -> str:
    return posterior_word(posterior)


@register.filter
def cause_label(cause: str) -> str:
    return CAUSE_LABELS.get(cause, cause)


@register.filter
def review_reason(reason: str) -> str:
    return REASONS[reason]


@register.filter
def setup_label(name: str) -> str:
    """Setups read as traders write them."""
    short = {"bos": "BOS", "choch": "CHoCH", "fvg": "FVG"}
    return short.get(name, name.replace("_", " "))


@register.inclusion_tag("post_mortem/_ribbon.html")
def ribbon(
    r: float | None = None,
    mae: float | None = None,
    mfe: float | None = None,
    target: float | None = None,
    wide: bool = False,
    why: str = "not judged, or no initial stop",
) -> dict[str, Ribbon | str | None]:
    """One trade as a line from its worst to its best, in R; `why` where there is none."""
    return {"ribbon": draw(r=r, mae=mae, mfe=mfe, target=target, wide=wide), "why": why}


@register.simple_tag(takes_context=True)
def link(context: dict[str, Any], **changes: object) -> str:
    """This page's query with some keys changed; an empty value drops its key, and so does the
    page number, which belongs to the old list."""
    query: QueryDict = context["request"].GET.copy()
    query.pop("page", None)
    for key, value in changes.items():
        query.pop(key, None)
        if value not in ("", None):
            query[key] = str(value)
    return f"?{query.urlencode()}"


@register.simple_tag
def chart_script() -> str:
    """Address of the chart library, which a wheel carries."""
    return static(settings.CHART_SCRIPT)


@register.filter
def signed(value: float, places: int = 2) -> str:
    return display.fixed(float(value), places, signed=True)


@register.filter
def outcome_label(outcome: str) -> str:
    return outcome.replace("_", " ")


@register.simple_tag(takes_context=True)
def link_without(context: dict[str, Any], key: str) -> str:
    return link(context, **{key: ""})


@register.simple_tag
def result(value: float | None, unit: Unit, total: bool = False) -> str:
    """A result in the page's unit, coloured by its sign; money can be masked."""
    if not _known(value):
        return unknown(unit.why)
    shown = unit.write(float(value), total=total)  # type: ignore[arg-type]
    if unit.kind == "money":
        return money(float(value), unit.name)  # type: ignore[arg-type]
    return format_html('<span class="nowrap {}">{}</span>', _tone(float(value)), shown)  # type: ignore[arg-type]


@register.simple_tag
def bare(value: float, unit: Unit, total: bool = False) -> str:
    """The same without colour, for ends of an interval and for labels."""
    shown = unit.write(value, total=total)
    if unit.kind == "money":
        return format_html('<span class="money-value">{}</span>', shown)
    return shown


@register.simple_tag
def short(value: float, unit: Unit) -> str:
    """A result where space is short: no unit, one decimal."""
    if unit.kind == "money":
        text = display.fixed(value, 0, signed=True)
        return format_html('<span class="money-value">{}</span>', text)
    scale = 100 if unit.kind == "percent" else 1
    return display.fixed(value * scale, 1, signed=True)


@register.simple_tag
def axis(value: float, unit: Unit) -> str:
    """A round value beside an axis."""
    if unit.kind == "percent":
        return f"{display.fixed(value * 100, 1)} %"
    places = 0 if float(value).is_integer() else 1 if float(value * 10).is_integer() else 2
    return display.fixed(value, places)


@register.inclusion_tag("post_mortem/_bar.html")
def bar(share: float, tone: str) -> dict[str, object]:
    """A bar of `share` of its width, solid: it happened."""
    return {"width": round(max(share, 0.01) * 100, 1), "tone": tone}


@register.simple_tag(takes_context=True)
def link_key(context: dict[str, Any], key: str, value: str) -> str:
    return link(context, **{key: value, "month": ""})


@register.filter
def percent(fraction: float) -> str:
    return display.percent(fraction)


@register.filter
def size(value: float) -> float:
    return abs(value)


@register.filter
def add_float(value: float, step: float) -> float:
    return round(value + float(step), 1)


@register.filter
def words(text: str) -> list[str]:
    return text.split()


@register.filter
def reason(code: str) -> str:
    return {"no_losses": "no losing trade", "no_wins": "no winning trade"}.get(
        code, code.replace("_", " ")
    )


@register.filter
def import_new(counts: dict[str, int]) -> str:
    names = ("inserted", "trades_new", "signals_new")
    return f"{next((counts[name] for name in names if name in counts), 0):,}"


@register.filter
def import_changed(counts: dict[str, int]) -> str:
    return f"{counts.get('updated', counts.get('trades_updated', 0)):,}"


@register.filter
def decimal(text: str) -> Decimal:
    return Decimal(text)


@register.filter
def at(values: list[Any], place: int) -> Any:
    """The value at a place of a list."""
    return values[place]


@register.filter
def verdict_name(word: str) -> str:
    return verdicts.NAMES.get(word, word)


@register.filter
def change_words(change: RecommendationHistory) -> str:
    """What one change of a recommendation did: 'pending to implemented, owner, notes'."""
    said = []
    if change.from_status != change.to_status:
        said.append(f"{change.from_status.lower()} to {change.to_status.lower()}")
    said += [name for key, name in _CHANGED.items() if key in change.changes]
    return ", ".join(said) or "no change"


_CHANGED = {
    "notes": "notes",
    "owner_id": "owner",
    "due_date": "due date",
    "effort_hours": "hours",
    "claimed_effect_r": "claim",
    "scope": "scope",
    "merged_into_id": "merging",
}
