#!/usr/bin/env python
"""Inquest's command line; `python manage.py help` lists the commands."""

import os
import sys

from config.env import BadSetting

FAILED = 1
BAD_INPUT = 2


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        # Before a command began its work, or after: within it the command says what was kept.
        sys.stderr.write("Stopped.\n")
        sys.exit(FAILED)
    except BadSetting as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
