"""The walk of `blocks.py` as a loop over cases, compiled by numba where that is installed.

The same answers to the last bit, several times faster on large batches. Only `blocks.walk` imports
this module, and only for a batch that is worth it: loading numba takes longer than a small batch
takes without it, and the first call on a machine compiles (then the machine code is cached beside
this file, or in the user's cache folder where this one cannot be written to).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_BEYOND = 2**62  # larger than any price, and differences with one still fit 64 bits


def _walk_cases(
    high: Any,
    low: Any,
    fall: Any,
    offset: Any,
    fan_bits: int,
    first: Any,
    end: Any,
    stop: Any,
    target: Any,
    bar: Any,
    hit: Any,
    top: Any,
    bottom: Any,
    deepest: Any,
    top_bar: Any,
    bottom_bar: Any,
) -> None:
    """Fill the last seven arrays, the columns of `blocks.Walk`, where first < end."""
    levels = offset.size - 1
    for i in range(first.size):
        at, until = first[i], end[i]
        if at >= until:
            continue
        level = best_node = worst_node = drop = 0
        best, worst = -_BEYOND, _BEYOND
        while at < until:
            level = _largest_group(at, until, level, levels, fan_bits)
            # The largest group that touches nothing, or the bar that touches.
            while True:
                node = offset[level] + (at >> (fan_bits * level))
                highest, lowest = int(high[node]), int(low[node])
                stopped, reached = lowest <= stop[i], highest >= target[i]
                if level == 0 or not (stopped or reached):
                    break
                level -= 1
            drop = max(drop, best - lowest, int(fall[node]))
            if highest > best:
                best, best_node = highest, node
            if lowest < worst:
                worst, worst_node = lowest, node
            at += 1 << (fan_bits * level)
            if stopped or reached:
                bar[i], hit[i] = at - 1, stopped + 2 * reached
                break
        top[i], bottom[i], deepest[i] = best, worst, drop
        top_bar[i] = _first_bar(high, offset, fan_bits, best_node, best)
        bottom_bar[i] = _first_bar(low, offset, fan_bits, worst_node, worst)


def _climb(at: int, until: int, level: int, levels: int, fan_bits: int) -> int:
    """The level of the largest group that starts at a bar and ends inside the window."""
    while level < levels:
        size = 1 << (fan_bits * (level + 1))
        if at & (size - 1) or at + size > until:
            break
        level += 1
    while at + (1 << (fan_bits * level)) > until:
        level -= 1
    return level


def _find_first_bar(column: Any, offset: Any, fan_bits: int, node: int, value: int) -> int:
    """The first bar below a node that has the node's value."""
    level = offset.size - 1
    while node < offset[level]:
        level -= 1
    while level:
        node = offset[level - 1] + ((node - offset[level]) << fan_bits)
        while column[node] != value:
            node += 1
        level -= 1
    return node


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of a function that holds no lock while it runs."""
    try:
        compiled: Callable[..., Any] = numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # numba's word for "there is no folder to keep it in"
        compiled = numba.njit(function, nogil=True)
    return compiled


_largest_group = _compile(_climb)
_first_bar = _compile(_find_first_bar)
walk_cases = _compile(_walk_cases)
