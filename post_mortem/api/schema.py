"""What the OpenAPI document says beyond what the code shows by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from .idempotency import HEADER, MAX_LENGTH


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "post_mortem.api.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error has this shape."""

    code = serializers.CharField(help_text="Stable, for programs")
    detail = serializers.CharField(help_text="For people")
    field = serializers.CharField(required=False)
    row = serializers.IntegerField(required=False)


_MEANING: Mapping[int, str] = {
    400: "Malformed, or a field or parameter that is not known",
    401: "No valid token or session",
    403: "A token that may only read, or a row that you may only read",
    404: "Absent, or not yours",
    409: "Another request with this key is at work, or somebody else was first",
    412: "Changed since it was read",
    413: "More than one request may carry",
    415: "Not application/json",
    422: "Understood, and not possible",
    428: "The version that was read is missing",
    503: "Try again after Retry-After seconds",
}

IDEMPOTENCY = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description=f"At most {MAX_LENGTH} characters, kept for 24 hours: the request repeated with "
    "the same key gets the first answer again, with `Idempotent-Replayed: true`.",
)


def answers(success: Mapping[int, Any], *errors: int) -> dict[int, Any]:
    """The responses of one operation: `success` as given, and errors by status."""
    statuses = sorted({400, 401, 503, *errors})
    return {
        **success,
        **{s: OpenApiResponse(ErrorSerializer, description=_MEANING[s]) for s in statuses},
    }
