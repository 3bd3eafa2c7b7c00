"""What an import did, or would do, in the same shape for every kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .formats import plural

_NOUNS: Mapping[str, str] = {
    "trades": "trade",
    "candles": "bar",
    "news": "release",
    "signals": "signal",
}
_PREVIEW_ROWS = 5


@dataclass(frozen=True, slots=True)
class Report:
    """`head` and `rows` are the preview, `facts` label and value of what was understood.

    `action` says what importing would do; empty when there is nothing new.
    """

    kind: str
    dry_run: bool
    sentence: str
    action: str
    facts: tuple[tuple[str, str], ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    pnl: Mapping[str, Mapping[str, str]]
    skipped: tuple[Mapping[str, Any], ...]
    warnings: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def report_of(kind: str, summary: Mapping[str, Any], worded: Callable[[str], str]) -> Report:
    """From the importer's own summary; candles come as a list of one file. `worded` puts its
    messages into the words of the page."""
    s = summary | summary["files"][0] if kind == "candles" else summary
    new, changed, known, skipped = _counts(kind, s)
    noun, dry_run = _NOUNS[kind], bool(s["dry_run"])
    head, rows = _preview(s.get("preview", ()))
    what = plural(new + changed, noun)
    return Report(
        kind=kind,
        dry_run=dry_run,
        sentence=_sentence(s, new, changed, known, skipped, noun),
        action=f"Import {what}" if dry_run and new + changed else "",
        facts=tuple(_facts(s)),
        head=head,
        rows=rows,
        pnl=s.get("pnl", {}),
        skipped=tuple(s["skipped"]) if isinstance(s.get("skipped"), list) else (),
        warnings=tuple({**w, "detail": worded(w["detail"])} for w in s.get("warnings", ())),
        notes=tuple(s.get("notes", ())),
    )


def _counts(kind: str, s: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """New, changed, known before, skipped."""
    if kind == "trades":
        known = s["trades_duplicate"] + s["executions_duplicate"]
        return s["trades_new"], s["trades_updated"], known, s["rows_skipped"]
    if kind == "signals":
        return s["signals_new"], 0, s["signals_duplicate"], s["rows_skipped"]
    skipped = s.get("skipped", 0)
    return s["inserted"], s["updated"], s["unchanged"], skipped if isinstance(skipped, int) else 0


def _sentence(
    s: Mapping[str, Any], new: int, changed: int, known: int, skipped: int, noun: str
) -> str:
    read = s.get("rows_read", s.get("read", 0))
    parts = [f"{plural(new, noun)} new"]
    parts += [f"{changed:,} changed"] if changed else []
    parts += [f"{known:,} known before"] if known else []
    parts += [f"{skipped:,} skipped"] if skipped else []
    start = "Would import" if s["dry_run"] else "Imported"
    return f"{start}: {', '.join(parts)}, from {plural(read, 'row')}."


def _facts(s: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    named = (
        ("File", s.get("file")),
        ("Format", s.get("format")),
        ("Account", s.get("account")),
        ("Symbol", _from(s, "symbol")),
        ("Timeframe", _from(s, "timeframe")),
        ("Times in", s.get("time_zone") or "UTC"),
        ("From", s.get("first") or s.get("covers_from")),
        ("To", s.get("last") or s.get("covers_to")),
        ("New instruments", ", ".join(s.get("instruments_new", ()))),
        ("Open trades", s.get("open_trades")),
        ("Missing bars", s.get("missing")),
    )
    return [(name, str(value)) for name, value in named if value not in (None, "", [], 0)]


def _from(s: Mapping[str, Any], name: str) -> str:
    value, origin = s.get(name), s.get(f"{name}_from")
    return f"{value} (from the {origin})" if value and origin else str(value or "")


def _preview(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Five rows; a column that is empty in all of them is left out."""
    shown = rows[:_PREVIEW_ROWS]
    names = [
        n for n in (shown[0] if shown else ()) if any(r.get(n) not in (None, "") for r in shown)
    ]
    cells = tuple(tuple(_cell(row.get(name)) for name in names) for row in shown)
    return tuple(name.replace("_", " ") for name in names), cells


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("T", " ").replace("+00:00", " UTC")
