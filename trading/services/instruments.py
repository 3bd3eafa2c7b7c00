"""Instruments: find one by any of its names, or describe a new one by convention."""

from __future__ import annotations

from django.db import transaction

from trading.core.instruments import MAX_DECIMALS, canonical_symbol, clean_symbol, describe
from trading.models import CandleSeries, Instrument, InstrumentAlias

_HAS_CONVENTION = ("fx", "metal")


def find_instrument(symbol: str) -> Instrument | None:
    """The instrument with this symbol or alias, in any spelling; None when there is none.

    Something that is no symbol at all is a UserError `bad_symbol`.
    """
    spelled = clean_symbol(symbol)
    alias = InstrumentAlias.objects.filter(alias=spelled).select_related("instrument").first()
    if alias is not None:
        return alias.instrument
    return Instrument.objects.filter(symbol=canonical_symbol(spelled)).first()


@transaction.atomic
def ensure_instrument(
    *, symbol: str, decimals: int | None = None, refine: bool = False
) -> Instrument:
    """The instrument of this name, created by convention when it is new.

    `decimals` is how many decimals its prices are seen with (more than 8 count as 8); it sets the
    point where no convention does. Fills of a trade show only some decimals, candles show all:
    a caller that knows candles passes `refine`, which corrects the point of an instrument without
    convention as long as no series is stored in it.
    """
    seen = None if decimals is None else min(decimals, MAX_DECIMALS)
    found = find_instrument(symbol)
    if found is None:
        spec = describe(canonical_symbol(symbol), decimals=seen)
        fields = {name: getattr(spec, name) for name in spec.__slots__ if name != "symbol"}
        found, _ = Instrument.objects.get_or_create(symbol=spec.symbol, defaults=fields)
        return found
    if refine and seen is not None and _may_refine(found):
        spec = describe(found.symbol, decimals=seen)
        if spec.point != found.point:
            found.point, found.pip, found.tick = spec.point, spec.pip, spec.tick
            found.save(update_fields=["point", "pip", "tick"])
    return found


def _may_refine(instrument: Instrument) -> bool:
    by_convention = instrument.kind in _HAS_CONVENTION
    # A point set by hand differs from the pip or the tick; it stays.
    untouched = instrument.point == instrument.pip == instrument.tick
    stored = CandleSeries.objects.filter(instrument=instrument).exists()
    return untouched and not by_convention and not stored
