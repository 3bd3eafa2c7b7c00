"""What a trader writes beside a trade: read, tags, mistakes, stars, notes. Never an input of the
engine's verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from post_mortem.selectors.access import writable
from trading.core.errors import UserError
from trading.models import Trade

MAX_NOTES: Final = 5_000
MAX_WORDS: Final = 20
MAX_WORD: Final = 40
STARS: Final = range(1, 6)


@transaction.atomic
def mark_reviewed(*, trade_id: int, reviewed: bool, user: Any, now: datetime) -> Trade:
    """Mark a trade as read, or as unread again. Marking twice keeps the first time.

    Raises `NotFoundError`, `UserError` `not_permitted`.
    """
    trade: Trade = writable(Trade.objects.all(), user=user, pk=trade_id)
    if reviewed != (trade.reviewed_at is not None):
        trade.reviewed_at = now if reviewed else None
        trade.save(update_fields=["reviewed_at"])
    return trade


@transaction.atomic
def write_journal(
    *,
    trade_id: int,
    tags: Sequence[str],
    mistakes: Sequence[str],
    stars: int | None,
    notes: str,
    user: Any,
) -> Trade:
    """Replace what stands beside a trade. Words are trimmed, kept once and in order.

    Raises `NotFoundError`, `UserError` `not_permitted`, `bad_word`, `bad_stars`, `bad_notes`.
    """
    trade: Trade = writable(Trade.objects.all(), user=user, pk=trade_id)
    if stars is not None and stars not in STARS:
        raise UserError("bad_stars", "Stars are 1 to 5, or none.", field="stars")
    if len(notes) > MAX_NOTES:
        raise UserError("bad_notes", f"Notes are at most {MAX_NOTES} characters.", field="notes")
    trade.tags = _words(tags, "tags")
    trade.mistakes = _words(mistakes, "mistakes")
    trade.stars = stars
    trade.notes = notes
    trade.save(update_fields=["tags", "mistakes", "stars", "notes"])
    return trade


def _words(words: Sequence[str], field: str) -> list[str]:
    kept = list(dict.fromkeys(word for raw in words if (word := " ".join(raw.split()))))
    if len(kept) > MAX_WORDS:
        raise UserError("bad_word", f"At most {MAX_WORDS} {field} on a trade.", field=field)
    for word in kept:
        if len(word) > MAX_WORD or not word.isprintable():
            raise UserError(
                "bad_word", f"A word of {field} has at most {MAX_WORD} letters.", field=field
            )
    return kept
