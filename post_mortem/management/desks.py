"""A desk by what a command line calls it."""

from __future__ import annotations

from trading.core.errors import NotFoundError, UserError
from trading.models import Desk


def desk_named(name: str) -> Desk:
    """The one desk of this name, or of this id. Raises NotFoundError, UserError
    `desk_ambiguous`."""
    found = list(Desk.objects.filter(name=name).order_by("pk")[:2])
    if len(found) > 1:
        ids = ", ".join(str(desk.pk) for desk in found)
        raise UserError(
            "desk_ambiguous", f"several desks are called {name!r}; use an id: {ids}", field="desk"
        )
    if not found and name.isascii() and name.isdecimal() and len(name) < 18:
        found = list(Desk.objects.filter(pk=int(name)))
    if not found:
        raise NotFoundError("no_such_desk", f"there is no desk {name!r}", field="desk")
    return found[0]
