"""Small faults planted in Python source, one at a time: what a careless edit could leave behind."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE,),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE,),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_NAMES = {
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "nanmin": "nanmax",
    "nanmax": "nanmin",
    "argmax": "argmin",
    "argmin": "argmax",
}
_TEXTS = {"left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """`place` counts nodes of the tree, `version` the ways in which that node can be changed."""

    place: int
    version: int
    line: int
    key: str  # what was changed where, independent of line numbers


def mutants(source: str) -> list[Mutant]:
    """Every fault that can be planted, in the order of the source."""
    tree = ast.parse(source)
    skipped = _skipped(tree)
    names = _functions(tree)
    found, seen = [], {}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for version, changed in enumerate(_changes(node)):
            text = f"{names.get(id(node), 'module')}: {_text(node)} -> {_text(changed)}"
            seen[text] = seen.get(text, 0) + 1
            key = text if seen[text] == 1 else f"{text} ({seen[text]})"
            found.append(Mutant(place, version, getattr(node, "lineno", 0), key))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.place, mutant.version))


def planted(source: str, mutant: Mutant) -> ast.Module:
    """The tree of the source with one fault."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[mutant.place]
    changed = list(_changes(node))[mutant.version]
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, field, changed)
            elif isinstance(value, list) and any(item is node for item in value):
                setattr(parent, field, [changed if item is node else item for item in value])
    return ast.fix_missing_locations(tree)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _OPERATORS.get(type(operator), ()):
                changed = copy.deepcopy(node)
                changed.ops[i] = other()  # type: ignore[call-overload]
                yield changed
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        for other in _OPERATORS.get(type(node.op), ()):
            changed = copy.deepcopy(node)
            changed.op = other()  # type: ignore[assignment]
            yield changed
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.If | ast.While):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), changed.test)
        yield changed
    else:
        yield from _leaf_changes(node)


def _leaf_changes(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int | float):
            yield ast.Constant(node.value + 1)
        elif node.value in _TEXTS:
            yield ast.Constant(_TEXTS[node.value])
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield ast.Attribute(node.value, _NAMES[node.attr], node.ctx)
    elif isinstance(node, ast.Name) and node.id in _NAMES:
        yield ast.Name(_NAMES[node.id], node.ctx)
    elif _has_only_an_effect(node):
        yield ast.Pass()


def _has_only_an_effect(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _skipped(tree: ast.Module) -> set[int]:
    """Nodes that are no behaviour: annotations, decorators, docstrings, messages of errors."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            parts += [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            parts += node.decorator_list
        elif isinstance(node, ast.Raise | ast.Assert):
            parts.append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            named = isinstance(node.targets[0], ast.Name) and node.targets[0].id
            if named and named.lstrip("_")[:1].isupper() and not named.isupper():
                parts.append(node.value)  # an alias of a type
        for part in parts:
            if part is not None:
                skipped |= {id(inner) for inner in ast.walk(part)}
    return skipped


def _functions(tree: ast.Module) -> dict[int, str]:
    """The function each node lies in; the innermost one wins."""
    names: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names |= {id(inner): node.name for inner in ast.walk(node)}
    return names


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
