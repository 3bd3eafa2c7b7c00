"""freqtrade backtest results: `backtest-result*.json`, or the `.zip` that holds one.

`{"strategy": {name: {"trades": [...], "timeframe": ...}}}` with one or several strategies; older
releases say `sell_reason` and `buy_tag` for `exit_reason` and `enter_tag`. All times are UTC.

What is taken from a trade, and what is not:

- numbers are the decimal text of the file; nothing passes through a binary float;
- `initial_stop_loss_abs` is the stop at the entry, so it is proved; `stop_loss_abs` the last one;
- the commission is -(fee_open * amount * open_rate + fee_close * amount * close_rate), the fees
  being ratios, rounded half-even at 20 places;
- `exit_reason` is `sl` for `stop_loss` and `stoploss_on_exchange` while the stop was never moved.
  Every other exit is `manual`, with the file's word kept as text: `roi` is a target that moves
  with the age of the trade, a trailing stop is not the stop the risk was measured from, and
  signals, forced exits and liquidations are no level at all;
- `min_rate`, `max_rate` are extremes of the opening and closing rates only and are not read;
  `profit_abs` is only compared with what fills and fees give.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from trading.core.errors import UserError
from trading.core.exact import difference, product, stored, total
from trading.core.instruments import clean_symbol
from trading.core.types import timeframe_ns

from .contract import ProblemLog, refuse
from .sources import as_stream, is_zip, zip_members
from .trades_contract import (
    MAX_ROWS,
    Layout,
    ParsedTrades,
    RowLog,
    TradeOptions,
    TripRow,
)
from .values import NS_PER_MS, as_decimal, in_range, keepable, positive, read_time

FORMAT: Final = "freqtrade"
MAX_JSON_BYTES: Final = 128 * 1024 * 1024
_STOP_EXITS: Final = frozenset(("stop_loss", "stoploss", "stoploss_on_exchange"))
_TEXT_LENGTH: Final = 60
# Relative; the file's own figure went through binary floats.
_PROFIT_TOLERANCE: Final = Decimal("0.001")


def json_of_zip(data: bytes, file: str) -> bytes:
    """The backtest result inside a zip: its one member with a `strategy` object."""
    archive, members = zip_members(as_stream(data), file)
    found: list[bytes] = []
    with archive:
        for member in members:
            if not member.name.lower().endswith(".json"):
                continue
            if member.size > MAX_JSON_BYTES:
                limit = MAX_JSON_BYTES // 2**20
                raise refuse(file, "decompressed_limit", f"{member.name} is over {limit} MB")
            with archive.open(member.name) as stream:
                content = stream.read(MAX_JSON_BYTES + 1)
            if b'"strategy"' in content and b'"trades"' in content:
                found.append(content)
    if len(found) != 1:
        raise refuse(
            file,
            "unknown_format",
            f"{len(found)} backtest results in the archive, expected one"
            if found
            else "no backtest result in the archive",
        )
    return found[0]


def parse(data: bytes, file: str, options: TradeOptions) -> ParsedTrades:
    """The trades of a backtest result. Raises `FileError` with everything that is wrong."""
    document = load_json(json_of_zip(data, file) if is_zip(data) else data, file)
    strategies = document.get("strategy") if isinstance(document, dict) else None
    if not isinstance(strategies, dict) or not strategies:
        raise refuse(file, "unknown_format", "no object `strategy` with a result for each strategy")
    log = ProblemLog(file)
    rows = RowLog(log, options.partial)
    trips: list[TripRow] = []
    n = differing = 0
    for name, result, raw in _trades(strategies, file):
        n += 1
        if n > MAX_ROWS:
            raise refuse(file, "row_limit", f"more than {MAX_ROWS:,} trades")
        try:
            trip = _trip(raw, n, name, result, options, log)
        except UserError as error:
            detail = f"trade {n} ({name}): {error.detail}"
            rows.bad(n, UserError(error.code, detail, field=error.field))
            continue
        trips.append(trip)
        differing += _profit_differs(trip, raw)
    if not n:
        raise refuse(file, "no_rows", "the result holds no trades")
    log.raise_if_fatal()
    if differing:
        _warn_of_profit(differing, n, log)
    return ParsedTrades(
        file=file,
        format=FORMAT,
        layout=Layout.ROUND_TRIPS,
        trips=tuple(trips),
        skipped=tuple(rows.skipped),
        problems=log.problems,
        notes=(f"strategies: {', '.join(map(str, strategies))}",),
    )


def _warn_of_profit(differing: int, n: int, log: ProblemLog) -> None:
    log.add(
        "pnl_differs",
        f"profit_abs is not what fills and fees give, in {differing} of {n} trades: "
        "fills and fees are used",
        fatal=False,
        count=differing,
    )


def load_json(data: bytes, file: str) -> Any:
    """A JSON document with exact decimals; no NaN, no key twice."""
    if len(data) > MAX_JSON_BYTES:
        raise refuse(file, "file_too_large", f"over {MAX_JSON_BYTES // 2**20} MB of JSON")
    try:
        text = data.decode("utf-8-sig")
        return json.loads(
            text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_unique
        )
    except UnicodeDecodeError:
        raise refuse(file, "encoding", "the file is not UTF-8") from None
    except RecursionError:
        raise refuse(file, "malformed_json", "the file is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise refuse(file, "malformed_json", f"not JSON: {error.msg}", row=error.lineno) from None
    except UserError as error:
        raise refuse(file, error.code, error.detail) from None
    except ValueError:
        raise refuse(file, "bad_number", "a number has too many digits") from None


def _no_constant(name: str) -> NoReturn:
    raise UserError("not_finite", f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise UserError("malformed_json", f"the key {twice[:60]!a} occurs twice in one object")
    return result


def _trades(
    strategies: Mapping[str, Any], file: str
) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    for name, result in strategies.items():
        trades = result.get("trades") if isinstance(result, dict) else None
        if not isinstance(trades, list):
            raise refuse(file, "unknown_format", f"strategy {name[:60]!a} has no list `trades`")
        for raw in trades:
            yield name, result, raw


def _trip(
    raw: Any,
    line: int,
    strategy: str,
    result: Mapping[str, Any],
    options: TradeOptions,
    log: ProblemLog,
) -> TripRow:
    symbol = _symbol(raw)
    quantity = positive(_number(raw, "amount"), "amount", "quantity")
    entry = positive(_number(raw, "open_rate"), "open_rate", "non_positive_price")
    opened = _time(raw, "open")
    is_open = _flag(raw, "is_open")
    closed, leaving = (None, None) if is_open else _exit(raw, opened)
    initial, final = _level(raw, "initial_stop_loss_abs"), _level(raw, "stop_loss_abs")
    text = "" if is_open else _text(raw, "exit_reason", "sell_reason")
    if len(text) > _TEXT_LENGTH:
        detail = f"an exit reason is cut to {_TEXT_LENGTH} characters"
        log.add("text_shortened", detail, rows=[line], column="exit_reason", fatal=False)
    tag = _text(raw, "enter_tag", "buy_tag")
    return TripRow(
        line=line,
        symbol=symbol,
        side=-1 if _flag(raw, "is_short") else 1,
        quantity=quantity,
        opened_at=opened,
        entry_price=entry,
        closed_at=closed,
        exit_price=leaving,
        stop_initial=initial,
        stop_final=final,
        commission=_commission(raw, quantity, entry, leaving),
        swap=_optional(raw, "funding_fees"),
        exit_reason="" if is_open else exit_reason(text, moved=final not in (None, initial)),
        exit_reason_text=text[:_TEXT_LENGTH],
        strategy=strategy,
        timeframe=options.timeframe or _timeframe(result, log),
        tags=(tag,) if tag else (),
    )


def _symbol(raw: Any) -> str:
    if not isinstance(raw, dict):
        raise UserError("malformed_json", "not an object")
    pair = raw.get("pair")
    if not isinstance(pair, str):
        raise UserError("missing", "no pair", field="pair")
    return clean_symbol(pair)


def _exit(raw: Mapping[str, Any], opened: int) -> tuple[int, Decimal]:
    price = positive(_number(raw, "close_rate"), "close_rate", "non_positive_price")
    closed = _time(raw, "close")
    if closed < opened:
        raise UserError("time_order", "closed before it was opened", field="close_date")
    return closed, price


def exit_reason(text: str, *, moved: bool) -> str:
    """`sl` where the stop that was hit is the initial one, else `manual`."""
    return "sl" if text in _STOP_EXITS and not moved else "manual"


def _commission(
    raw: Mapping[str, Any], quantity: Decimal, entry: Decimal, leaving: Decimal | None
) -> Decimal | None:
    rates = [(_optional(raw, "fee_open"), entry)]
    if leaving is not None:
        rates.append((_optional(raw, "fee_close"), leaving))
    paid = [product(fee, quantity, price) for fee, price in rates if fee is not None]
    if len(paid) < len(rates):
        return None
    return keepable(stored(product(Decimal(-1), total(paid))), "fee_open")


def _profit_differs(trip: TripRow, raw: Mapping[str, Any]) -> bool:
    given = _optional(raw, "profit_abs")
    if given is None or trip.exit_price is None:
        return False
    move = difference(trip.exit_price, trip.entry_price)
    gross = product(Decimal(trip.side), trip.quantity, move)
    net = total((gross, trip.commission or Decimal(0), trip.swap or Decimal(0)))
    return abs(net - given) > _PROFIT_TOLERANCE * max(abs(net), abs(given))


def _number(raw: Mapping[str, Any], key: str) -> Decimal:
    if raw.get(key) is None:
        raise UserError("missing", f"no {key}", field=key)
    return as_decimal(raw[key], key)


def _optional(raw: Mapping[str, Any], key: str) -> Decimal | None:
    return None if raw.get(key) is None else as_decimal(raw[key], key)


def _level(raw: Mapping[str, Any], key: str) -> Decimal | None:
    """A price level; zero stands for none."""
    value = _optional(raw, key)
    return value if value is not None and value > 0 else None


def _flag(raw: Mapping[str, Any], key: str) -> bool:
    value = raw.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise UserError("choice", f"{key} is neither true nor false", field=key)
    return value


def _text(raw: Mapping[str, Any], key: str, older: str) -> str:
    value = raw.get(key, raw.get(older))
    return "" if value is None else str(value).strip()


def _time(raw: Mapping[str, Any], which: str) -> int:
    """ns UTC of the open or close; the text and the timestamp must agree where both are given."""
    text, stamp = raw.get(f"{which}_date"), raw.get(f"{which}_timestamp")
    from_stamp = None
    if stamp is not None:
        ms = as_decimal(stamp, f"{which}_timestamp")
        if ms != ms.to_integral_value():
            raise UserError(
                "bad_time",
                f"{which}_timestamp is {ms}, not whole milliseconds",
                field=f"{which}_timestamp",
            )
        from_stamp = in_range(int(ms) * NS_PER_MS, str(ms), f"{which}_timestamp")
    if text is None:
        if from_stamp is None:
            raise UserError("missing", f"no {which}_date", field=f"{which}_date")
        return from_stamp
    ns = read_time(str(text), f"{which}_date").ns
    if from_stamp is not None and from_stamp != ns:
        raise UserError(
            "time_conflict", f"{which}_date and {which}_timestamp differ", field=f"{which}_date"
        )
    return ns


def _timeframe(result: Mapping[str, Any], log: ProblemLog) -> str:
    name = result.get("timeframe", result.get("ticker_interval"))
    if not name:
        return ""
    try:
        timeframe_ns(str(name))
    except UserError as error:
        log.add("timeframe", f"{error.detail}; left empty", fatal=False)
        return ""
    return str(name)
