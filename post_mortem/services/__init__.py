"""Services: every write, and the post-mortem for callers in Python."""

from .analyst import PostMortemService

__all__ = ["PostMortemService"]
