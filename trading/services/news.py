"""Import economic calendars: releases once, corrected where a later file knows more."""

from __future__ import annotations

import hashlib
import json
import zlib
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from trading.core.errors import ConflictError, UserError
from trading.core.types import NS_PER_SECOND
from trading.importers.contract import blamed_on
from trading.importers.news import NewsOptions, NewsRow, ParsedNews, parse_news
from trading.importers.sources import InputFile, check_text, read_head, text_blocks
from trading.models import Desk, ImportBatch, NewsEvent, NewsFeed

_FILE_NAME_LENGTH = 255
_BATCH = 500
_FIGURES = ("impact", "actual", "forecast", "surprise_z")


def import_news(
    *,
    file: InputFile,
    options: NewsOptions,
    desk: Desk | None = None,
    user: Any = None,
    dry_run: bool = False,
) -> dict[str, object]:
    """Import one calendar; says what was read, inserted, updated, unchanged and skipped.

    The same release (time, currency, title) is stored once; figures that a later file adds or
    corrects replace the old ones, an empty figure replaces nothing.
    """
    with file.open() as stream, blamed_on(file.name):
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        stream.seek(0)
        check_text(read_head(stream), file.name, options.encoding)
        parsed = parse_news(text_blocks(stream, file.name, options.encoding), file.name, options)
    with transaction.atomic():
        result = _store(parsed, digest, desk, user)
        if dry_run:
            transaction.set_rollback(True)
    return result | {"dry_run": dry_run} | ({"import_id": None} if dry_run else {})


def _store(parsed: ParsedNews, digest: str, desk: Desk | None, user: Any) -> dict[str, object]:
    batch = ImportBatch.objects.create(
        kind=ImportBatch.Kind.NEWS,
        desk=desk,
        file_name=parsed.file[:_FILE_NAME_LENGTH],
        file_sha256=digest,
        format="csv",
        time_zone=parsed.tz_of_origin,
        problems=[problem.as_dict() for problem in parsed.problems],
        created_by=user,
    )
    feed = NewsFeed.objects.create(
        desk=desk,
        name=parsed.file[:_FILE_NAME_LENGTH],
        covers_from=_moment(parsed.covers_from),
        covers_to=_moment(parsed.covers_to),
        currencies=sorted({row.currency for row in parsed.rows}),
        import_batch=batch,
    )
    inserted, before, unchanged = _merge(parsed, feed)
    counts = {
        "read": parsed.rows_read,
        "inserted": inserted,
        "updated": len(before),
        "unchanged": unchanged,
        "skipped": parsed.skipped,
        "duplicates": parsed.duplicates,
    }
    kept = inserted or before or not _covered(feed)
    if kept:
        batch.counts = counts
        batch.undo_data = zlib.compress(json.dumps(before).encode())
        batch.save(update_fields=["counts", "undo_data"])
    summary = _summary(parsed, feed, counts, batch.pk if kept else None)
    if not kept:
        batch.delete()
    return summary


def _summary(
    parsed: ParsedNews, feed: NewsFeed, counts: dict[str, int], import_id: int | None
) -> dict[str, object]:
    return {
        "file": parsed.file,
        "time_zone": parsed.tz_of_origin,
        **counts,
        "covers_from": feed.covers_from.isoformat(),
        "covers_to": feed.covers_to.isoformat(),
        "currencies": feed.currencies,
        "warnings": [problem.as_dict() for problem in parsed.problems],
        "import_id": import_id,
        "preview": [
            {"time": _moment(r.time).isoformat(), "currency": r.currency, "title": r.title}
            for r in parsed.rows[:5]
        ],
    }


def _merge(parsed: ParsedNews, feed: NewsFeed) -> tuple[int, list[dict[str, Any]], int]:
    """(inserted, the old figures of updated events, unchanged)."""
    keyed = {event_key(feed.desk_id, row): row for row in parsed.rows}
    stored: dict[str, NewsEvent] = {}
    keys = list(keyed)
    for first in range(0, len(keys), _BATCH):
        part = NewsEvent.objects.filter(dedupe_key__in=keys[first : first + _BATCH])
        stored.update({event.dedupe_key: event for event in part})
    new = [_event(row, key, feed) for key, row in keyed.items() if key not in stored]
    before, changed = [], []
    for key, event in stored.items():
        old = {name: getattr(event, name) for name in _FIGURES}
        if _correct(event, keyed[key]):
            before.append({"id": event.pk, **old})
            changed.append(event)
    NewsEvent.objects.bulk_create(new, batch_size=_BATCH)
    NewsEvent.objects.bulk_update(changed, _FIGURES, batch_size=_BATCH)
    return len(new), before, len(stored) - len(changed)


def event_key(desk_id: int | None, row: NewsRow) -> str:
    """Natural key of a release: desk, time, currency, title."""
    text = f"{desk_id or ''}|{row.time}|{row.currency}|{row.title}"
    return hashlib.sha256(text.encode()).hexdigest()


def _event(row: NewsRow, key: str, feed: NewsFeed) -> NewsEvent:
    return NewsEvent(
        feed=feed,
        desk=feed.desk,
        time=_moment(row.time),
        currency=row.currency,
        title=row.title,
        impact=row.impact,
        actual=row.actual,
        forecast=row.forecast,
        surprise_z=row.surprise_z,
        dedupe_key=key,
    )


def _correct(event: NewsEvent, row: NewsRow) -> bool:
    """Take over the figures of a later file; True when one differs."""
    changed = False
    for name in _FIGURES:
        new = getattr(row, name)
        if new not in ("", None) and new != getattr(event, name):
            setattr(event, name, new)
            changed = True
    return changed


def _covered(feed: NewsFeed) -> bool:
    """Whether another feed of the same desk covers this one's span and currencies."""
    wider = NewsFeed.objects.filter(
        desk=feed.desk, covers_from__lte=feed.covers_from, covers_to__gte=feed.covers_to
    ).exclude(pk=feed.pk)
    return any(not f.currencies or set(feed.currencies) <= set(f.currencies) for f in wider)


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS_PER_SECOND, UTC)


@transaction.atomic
def undo_news(*, batch: ImportBatch) -> ImportBatch:
    """Remove the releases an import brought and put back the figures it replaced."""
    batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if batch.kind != ImportBatch.Kind.NEWS:
        raise UserError("not_news", f"import {batch.pk} holds no news")
    if batch.status == ImportBatch.Status.UNDONE:
        raise ConflictError("already_undone", f"import {batch.pk} was undone before")
    NewsFeed.objects.filter(import_batch=batch).delete()
    for old in json.loads(zlib.decompress(bytes(batch.undo_data or zlib.compress(b"[]")))):
        NewsEvent.objects.filter(pk=old.pop("id")).update(**old)
    batch.status = ImportBatch.Status.UNDONE
    batch.undone_at = timezone.now()
    batch.undo_data = None
    batch.save(update_fields=["status", "undone_at", "undo_data"])
    return batch
