"""Executions to round trips: a table to check by hand, and what must hold for any fills."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.core.errors import UserError
from trading.core.exact import DERIVED_PLACES, difference, product, quotient, stored, total
from trading.core.round_trips import Fill, RoundTrip, round_trips

D = Decimal


def fills(text: str) -> list[Fill]:
    """`B 2 @ 10, S 1 @ 11 c -3`: buys and sells a minute apart, c is the commission."""
    result = []
    for number, word in enumerate(text.split(", ")):
        side, quantity, _, price, *rest = word.split()
        result.append(
            Fill(
                id=f"f{number}",
                time=number * 60,
                side={"B": 1, "S": -1}[side],
                quantity=D(quantity),
                price=D(price),
                commission=D(rest[1]) if rest else None,
            )
        )
    return result


def shown(trip: RoundTrip) -> str:
    side = "long" if trip.side > 0 else "short"
    end = "open" if trip.closed_at is None else f"to {trip.closed_at // 60}"
    return (
        f"{side} {trip.quantity} from {trip.opened_at // 60} {end}: "
        f"{trip.average_entry} -> {trip.average_exit} = {trip.gross_pnl}"
    )


@pytest.mark.parametrize(
    ("given_fills", "expected"),
    [
        ("B 1 @ 10, S 1 @ 12", ["long 1 from 0 to 1: 10 -> 12 = 2"]),
        ("S 1 @ 10, B 1 @ 12", ["short 1 from 0 to 1: 10 -> 12 = -2"]),
        # Scale in: (1*10 + 3*14) / 4 = 13.
        ("B 1 @ 10, B 3 @ 14, S 4 @ 15", ["long 4 from 0 to 2: 13 -> 15 = 8"]),
        # Scale out: (1*11 + 1*13) / 2 = 12.
        ("B 2 @ 10, S 1 @ 11, S 1 @ 13", ["long 2 from 0 to 2: 10 -> 12 = 4"]),
        # In, partly out, in again, out: entered 1 + 1 = 2.
        (
            "S 1 @ 10, B 0.5 @ 9, S 1 @ 8, B 1.5 @ 7",
            ["short 2 from 0 to 3: 9 -> 7.5 = 3.0"],
        ),
        # A flip: two close, three open the other way.
        (
            "B 2 @ 10, S 5 @ 12, B 3 @ 11",
            ["long 2 from 0 to 1: 10 -> 12 = 4", "short 3 from 1 to 2: 12 -> 11 = 3"],
        ),
        # Two flips in a row, the last one left open.
        (
            "B 1 @ 10, S 2 @ 11, B 3 @ 9",
            [
                "long 1 from 0 to 1: 10 -> 11 = 1",
                "short 1 from 1 to 2: 11 -> 9 = 2",
                "long 2 from 2 open: 9 -> None = 0",
            ],
        ),
        # Partly closed and still open: FIFO realises the lot bought at 10 first.
        ("B 1 @ 10, B 1 @ 20, S 1 @ 15", ["long 2 from 0 open: 15 -> 15 = 5"]),
        ("", []),
    ],
)
def test_round_trips_by_hand(given_fills: str, expected: list[str]) -> None:
    given_list = fills(given_fills) if given_fills else []
    assert [shown(trip) for trip in round_trips(given_list)] == expected


def test_a_flip_splits_the_commission_without_losing_a_digit() -> None:
    closing, opening = round_trips(fills("B 1 @ 10 c -1, S 3 @ 12 c -1"))
    assert closing.commission == D("-1.33333333333333333333")
    assert opening.commission == D("-0.66666666666666666667")
    assert [part.piece for part in (closing.parts[-1], opening.parts[0])] == [0, 1]


def test_an_unknown_commission_makes_the_whole_unknown() -> None:
    (trip,) = round_trips(fills("B 1 @ 10 c -1, S 1 @ 12"))
    assert trip.commission is None


def test_a_single_price_stays_as_it_was_given() -> None:
    price = "0.000032859000000000005"
    (trip,) = round_trips(fills(f"B 1 @ {price}, B 2 @ {price}, S 3 @ 1"))
    assert str(trip.average_entry) == price


def test_fills_of_one_moment_go_by_sequence_whatever_their_ids() -> None:
    buy = Fill(id="z", time=0, sequence=1, side=1, quantity=D(1), price=D(10))
    sell = Fill(id="a", time=0, sequence=2, side=-1, quantity=D(1), price=D(11))
    (trip,) = round_trips([sell, buy])
    assert (trip.side, trip.gross_pnl) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": D(0)}, "quantity"),
        ({"quantity": D(-1)}, "quantity"),
        ({"quantity": D("NaN")}, "quantity"),
        ({"side": 0}, "choice"),
        ({"id": "f0"}, "duplicate"),
    ],
)
def test_a_fill_that_is_none_is_refused(changes: dict[str, object], code: str) -> None:
    values = {"id": "x", "time": 9, "side": 1, "quantity": D(1), "price": D(1)} | changes
    with pytest.raises(UserError) as caught:
        round_trips([*fills("B 1 @ 10"), Fill(**values)])  # type: ignore[arg-type]
    assert caught.value.code == code


def test_figures_round_only_beyond_twenty_places() -> None:
    fine = D("0.12345678901234567890")
    assert str(stored(fine)) == str(fine)
    assert stored(D("0.123456789012345678905")) == D("0.12345678901234567890")  # half to even
    assert quotient(D(1), D(8)) == D("0.125")
    assert quotient(D(2), D(3)) == D("0.66666666666666666667")
    long = D("1." + "3" * 60)
    assert Fraction(product(long, long)) == Fraction(long) ** 2
    assert total([long, D("1e-40")]) == D("1." + "3" * 39 + "4" + "3" * 20)


# --- What holds for any fills ---------------------------------------------------------------------
_quantities = st.decimals("0.00000001", "1000", places=8)
_prices = st.decimals("-50", "100000", places=12)
_commissions = st.none() | st.decimals("-100", "10", places=6)
_some_fills = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from((1, -1)), _quantities, _prices, _commissions),
    max_size=25,
).map(
    lambda rows: [
        Fill(id=f"{i}", sequence=i, time=t, side=s, quantity=q, price=p, commission=c)
        for i, (t, s, q, p, c) in enumerate(rows)
    ]
)


@given(_some_fills)
def test_no_fill_is_lost_or_used_twice(given_fills: list[Fill]) -> None:
    trips = round_trips(given_fills)
    used: dict[str, list[tuple[int, Decimal, Decimal | None]]] = {}
    for trip in trips:
        for part in trip.parts:
            used.setdefault(part.fill.id, []).append((part.piece, part.quantity, part.commission))
    assert set(used) == {fill.id for fill in given_fills}
    for fill in given_fills:
        parts = used[fill.id]
        assert [piece for piece, _, _ in parts] in ([0], [0, 1])
        assert total(quantity for _, quantity, _ in parts) == fill.quantity
        if fill.commission is None:
            assert all(commission is None for _, _, commission in parts)
        else:
            assert total(c for _, _, c in parts if c is not None) == fill.commission


@given(_some_fills)
def test_positions_are_conserved(given_fills: list[Fill]) -> None:
    trips = round_trips(given_fills)
    net = total(product(Decimal(fill.side), fill.quantity) for fill in given_fills)
    assert total(product(Decimal(trip.side), trip.open_quantity) for trip in trips) == net
    assert all(trip.open_quantity == 0 for trip in trips[:-1])
    for trip in trips:
        assert trip.open_quantity >= 0
        assert total(m.quantity for m in trip.matches) == total(p.quantity for p in trip.exits)
    for earlier, later in zip(trips, trips[1:], strict=False):
        assert earlier.closed_at is not None
        assert earlier.closed_at <= later.opened_at


@given(_some_fills)
def test_profit_is_the_cash_flow_and_the_open_lots(given_fills: list[Fill]) -> None:
    trips = round_trips(given_fills)
    cash = total(product(Decimal(-f.side), f.quantity, f.price) for f in given_fills)
    realised = total(trip.gross_pnl for trip in trips)
    at_cost = Decimal(0)
    for trip in trips:
        closed = total(product(m.quantity, m.entry_price) for m in trip.matches)
        entered = total(part.value for part in trip.entries)
        at_cost = total((at_cost, product(Decimal(trip.side), difference(entered, closed))))
    assert realised == total((cash, at_cost))


@given(_some_fills, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(given_fills: list[Fill], chance: object) -> None:
    shuffled = list(given_fills)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert round_trips(shuffled) == round_trips(given_fills)


@settings(max_examples=50)
@given(_some_fills)
def test_averages_give_the_profit_of_what_is_closed(given_fills: list[Fill]) -> None:
    for trip in round_trips(given_fills):
        if trip.is_open or trip.average_exit is None:
            continue
        move = Fraction(trip.average_exit) - Fraction(trip.average_entry)
        error = abs(trip.side * move * Fraction(trip.quantity) - Fraction(trip.gross_pnl))
        assert error <= Fraction(trip.quantity) * Fraction(1, 10**DERIVED_PLACES)
