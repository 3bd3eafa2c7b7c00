"""What the post-mortem does, for callers in Python: `PostMortemService`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analyst import PostMortemService

__all__ = ["PostMortemService"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: a command that reads a file needs none of the statistics."""
    if name == "PostMortemService":
        from .analyst import PostMortemService

        return PostMortemService
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
