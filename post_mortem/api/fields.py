"""Fields and serializers that take a value as it is or refuse it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from trading.core.errors import UserError

MAX_ID: Final = 2**63 - 1
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses what it does not know: a misspelt field must not be a silent default."""

    unknown_code = "unknown_field"

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = {name for name, field in self.fields.items() if not field.read_only}
            for name in data:
                if name not in writable:
                    known = ", ".join(sorted(writable)) or "none"
                    detail = f"Unknown: this takes {known}."
                    raise serializers.ValidationError({name: [detail]}, code=self.unknown_code)
        return super().to_internal_value(data)


class Query(StrictSerializer):
    """The parameters of an address."""

    unknown_code = "unknown_parameter"


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: no text, no fraction, no boolean."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class StrictNumberField(serializers.FloatField):
    """A finite JSON number: no text, no boolean."""

    def to_internal_value(self, data: Any) -> float:
        if type(data) not in (int, float) or not math.isfinite(data):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class IdField(StrictIntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **kwargs)


class StrictTextField(serializers.CharField):
    """A JSON string, kept as it is."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class IdListField(serializers.ListField):
    """Distinct ids in given order. More than `limit` is refused before any is looked at."""

    child = IdField()

    def __init__(self, *, limit: int, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(allow_empty=False, **kwargs)

    def to_internal_value(self, data: Any) -> list[int]:
        if isinstance(data, Sequence) and len(data) > self.limit:
            detail = f"At most {self.limit:,} ids in one request."
            raise UserError("too_many_ids", detail, field=self.field_name)
        return list(dict.fromkeys(super().to_internal_value(data)))


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[datetime, str, str, Any]):
    """A day (UTC) or a time with its zone. A day as an end includes that day."""

    default_error_messages = {
        "invalid": "A day like 2024-05-31 or a time with its zone like 2024-05-31T14:00:00Z.",
        "naive": "A time needs its zone, as in 2024-05-31T14:00:00Z.",
        "range": "A time from 1990 to 2099.",
    }

    def __init__(self, *, is_end: bool = False, **kwargs: Any) -> None:
        self.is_end = is_end
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> datetime:
        moment = self._parsed(data)
        if not _EARLIEST <= moment <= _LATEST:
            self.fail("range")
        return moment

    def _parsed(self, data: Any) -> datetime:
        if not isinstance(data, str) or not data.isascii() or len(data) > 40:
            self.fail("invalid")
        try:
            if len(data) == len("2024-05-31"):
                moment = datetime.combine(date.fromisoformat(data), time(), tzinfo=UTC)
                return moment + timedelta(days=1) if self.is_end else moment
            moment = datetime.fromisoformat(data)
            if moment.tzinfo is None:
                self.fail("naive")
            return moment.astimezone(UTC)
        except OverflowError:
            self.fail("range")
        except ValueError:
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()
