"""Among which trades the neighbours of one are looked for: the filter's, the account's, or all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from post_mortem.selectors.filters import TradeFilter
from post_mortem.selectors.viewer import Viewer
from trading.core.errors import UserError
from trading.models import Trade

_WORDS: Mapping[str, str] = {"filtered": "filtered", "all": "all", "account": "this account"}


@dataclass(frozen=True, slots=True)
class Scope:
    """The chosen scope as a filter; `following` is the one that comes after it, '' if there is no
    other."""

    word: str
    wanted: TradeFilter
    following: str


def scope_of(asked: str, wanted: TradeFilter, viewer: Viewer, trade: Trade) -> Scope:
    """The scope in a URL, else the filter's. Only those that can differ are offered."""
    if asked and asked not in _WORDS:
        raise UserError("scope", f"one of {', '.join(_WORDS)}", field="scope")
    offered = ["filtered"] if wanted else []
    offered += ["all", *(["account"] if viewer.has_several else [])]
    chosen = asked if asked in offered else offered[0]
    following = offered[(offered.index(chosen) + 1) % len(offered)]
    own = TradeFilter(account=str(trade.account_id))
    return Scope(
        word=_WORDS[chosen] if len(offered) > 1 else "",
        wanted={"filtered": wanted, "all": TradeFilter(), "account": own}[chosen],
        following="" if following == chosen else following,
    )
