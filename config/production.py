"""A site that others can reach does not start while it is unsafe."""

from django.conf import settings
from django.core.management import call_command


def refuse_unsafe_start() -> None:
    """Raise what `check --deploy` would warn about, where others can reach the site."""
    if settings.PRODUCTION:
        call_command("check", deploy=True, fail_level="WARNING")
