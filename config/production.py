"""A site that others can reach does not start while it is unsafe."""

from django.conf import settings
from django.core.checks import WARNING
from django.core.management.base import BaseCommand


def refuse_unsafe_start() -> None:
    """Raise what `check --deploy` would warn about, where others can reach the site."""
    if settings.PRODUCTION:
        BaseCommand().check(include_deployment_checks=True, fail_level=WARNING)
