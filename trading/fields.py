"""A decimal that is stored exactly as it was written."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

# A binary float printed in full has up to 17 digits, after any number of leading zeros:
# 0.000032859000000000005 has 21 places.
MAX_PLACES = 40
MAX_LENGTH = 64


def decimal_text(value: Decimal) -> str:
    """Plain notation without exponent, keeping the digits as given."""
    return format(value, "f")


class ExactDecimalField(models.Field):  # type: ignore[type-arg]
    """Decimal kept as text: SQLite would turn a numeric column into a binary float.

    Not for sorting or arithmetic in SQL; derived figures have float columns of their own.
    """

    description = "Exact decimal, up to 40 places"

    def db_type(self, connection: Any) -> str:
        return f"varchar({MAX_LENGTH})"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or isinstance(value, Decimal):
            return value
        try:
            return Decimal(str(value))
        except InvalidOperation:
            raise ValidationError(f"{value!r} is not a decimal number") from None

    def get_prep_value(self, value: Any) -> str | None:
        number = self.to_python(value)
        if number is None:
            return None
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or not number.is_finite():
            raise ValidationError(f"{value!r} is not a finite decimal number")
        text = decimal_text(number)
        if -exponent > MAX_PLACES or len(text) > MAX_LENGTH:
            raise ValidationError(f"{value!r} has more than {MAX_PLACES} decimal places")
        return text
