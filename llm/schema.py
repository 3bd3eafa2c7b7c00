"""The part of JSON Schema that every provider understands, made from a pydantic model.

OpenAI's strict mode, Anthropic, xgrammar and llama.cpp's grammars each refuse other keywords, some
silently. What all take: objects whose keys are all required and no others allowed, arrays, plain
types, enums, null as a second type. Lengths, ranges and patterns stay out of the schema that is
sent; pydantic enforces them on what comes back.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

DEEPEST: Final = 5
_KEPT: Final = frozenset({"type", "enum", "description"})
_DROPPED: Final = frozenset(
    {
        "$defs", "additionalProperties", "default", "examples", "exclusiveMaximum",
        "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum", "minItems",
        "minLength", "minimum", "multipleOf", "pattern", "properties", "required", "title",
        "uniqueItems",
    }
)  # fmt: skip


@functools.cache
def strict_schema(shape: type[BaseModel]) -> dict[str, Any]:
    """The schema to send for `shape`. Raises TypeError for a shape that cannot be expressed:
    a union other than with None, free keys, recursion, or more than five objects in each other."""
    schema = shape.model_json_schema()
    return _portable(schema, schema.get("$defs", {}), (), 0)


def _portable(
    node: Mapping[str, Any], defs: Mapping[str, Any], inside: tuple[str, ...], depth: int
) -> dict[str, Any]:
    if "$ref" in node:
        return _referred(node, defs, inside, depth)
    if "anyOf" in node:
        return _nullable(node, defs, inside, depth)
    if "const" in node:
        node = {**{k: v for k, v in node.items() if k != "const"}, "enum": [node["const"]]}
    if unknown := node.keys() - _KEPT - _DROPPED:
        raise TypeError(f"no provider-independent schema has {sorted(unknown)}")
    made = {key: node[key] for key in ("description", "type", "enum") if key in node}
    if node.get("type") == "object":
        return made | _object(node, defs, inside, depth + 1)
    if node.get("type") == "array":
        return made | {"items": _portable(node.get("items", {}), defs, inside, depth)}
    if "type" not in node:
        raise TypeError("every value of the schema needs one type")
    return made


def _referred(
    node: Mapping[str, Any], defs: Mapping[str, Any], inside: tuple[str, ...], depth: int
) -> dict[str, Any]:
    name = str(node["$ref"]).rpartition("/")[2]
    if name in inside:
        raise TypeError(f"{name} contains itself")
    return _portable({**defs[name], **_described(node)}, defs, (*inside, name), depth)


def _nullable(
    node: Mapping[str, Any], defs: Mapping[str, Any], inside: tuple[str, ...], depth: int
) -> dict[str, Any]:
    options = [option for option in node["anyOf"] if option != {"type": "null"}]
    if len(options) != 1 or len(node["anyOf"]) != 2:
        raise TypeError("the only union a schema may have is with None")
    made = _portable({**options[0], **_described(node)}, defs, inside, depth)
    made["type"] = [made["type"], "null"]
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    return made


def _object(
    node: Mapping[str, Any], defs: Mapping[str, Any], inside: tuple[str, ...], depth: int
) -> dict[str, Any]:
    if node.get("additionalProperties"):
        raise TypeError("an object with free keys has no strict schema")
    if depth > DEEPEST:
        raise TypeError(f"more than {DEEPEST} objects in each other")
    properties = {
        key: _portable(value, defs, inside, depth) for key, value in node["properties"].items()
    }
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _described(node: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": node["description"]} if "description" in node else {}
