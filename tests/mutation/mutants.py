"""Small faults for a module, one at a time: what a slip of the hand would make of it.

`mutants(tree)` lists them. Each knows its place in the tree and puts itself there; nothing is
written to a file. Left alone are decorators, annotations, docstrings, and texts for people (what is
raised, and strings with two blanks or more), because a test of their wording tests nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_COMPARES: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_SUMS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_SKIPPED = {"decorator_list", "annotation", "returns", "type_params"}
_BLANKS_OF_A_SENTENCE = 2
_SHOWN_CHARS = 70


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: `holder.field` (or its item `index`) becomes `node`."""

    where: str
    line: int
    before: str
    after: str
    holder: ast.AST
    field: str
    index: int | None
    node: ast.AST

    def put(self) -> None:
        """Make the tree faulty. There is no way back: parse again."""
        if self.index is None:
            setattr(self.holder, self.field, self.node)
        else:
            getattr(self.holder, self.field)[self.index] = self.node

    def __str__(self) -> str:
        """The name it is known by: no line number, so that it stays when lines move."""
        return f"{self.where}: {self.before} -> {self.after}"


def mutants(tree: ast.Module) -> list[Mutant]:
    """All faults of a module, in the order of its text."""
    found: list[Mutant] = []
    _visit(tree, "", found)
    return found


def _visit(node: ast.AST, where: str, found: list[Mutant]) -> None:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED:
            continue
        several = isinstance(value, list)
        for index, child in enumerate(value if several else [value]):
            if not isinstance(child, ast.AST) or _is_docstring(node, field, index, child):
                continue
            for after in _instead(child, node, field):
                found.append(  # noqa: PERF401 - one line for each part of a Mutant reads better
                    Mutant(
                        where or "module",
                        getattr(child, "lineno", getattr(node, "lineno", 0)),
                        _shown(child),
                        _shown(after),
                        node,
                        field,
                        index if several else None,
                        after,
                    )
                )
            if not isinstance(child, ast.Raise):
                _visit(child, where, found)


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def _is_docstring(holder: ast.AST, field: str, index: int, child: ast.AST) -> bool:
    return (
        field == "body"
        and index == 0
        and isinstance(holder, ast.Module | ast.FunctionDef | ast.ClassDef)
        and isinstance(child, ast.Expr)
        and isinstance(child.value, ast.Constant)
    )


def _like(node: ast.AST, made: Any) -> Any:
    return ast.fix_missing_locations(ast.copy_location(made, node))


def _not(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), node)


def _instead(node: ast.AST, holder: ast.AST, field: str) -> Iterator[ast.AST]:
    """What may stand in the place of `node`."""
    if isinstance(node, ast.stmt):
        made = _statements(node)
    elif isinstance(node, ast.Constant):
        made = _constants(node, holder)
    elif isinstance(node, ast.expr):
        made = _expressions(node)
    elif isinstance(node, ast.ExceptHandler):
        made = _handlers(node)
    else:
        made = iter(())
    yield from (_like(node, item) for item in made)
    if _is_condition(holder, field) and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield _like(node, _not(node))  # type: ignore[arg-type]


def _is_condition(holder: ast.AST, field: str) -> bool:
    return (isinstance(holder, ast.If | ast.While | ast.IfExp) and field == "test") or (
        isinstance(holder, ast.comprehension) and field == "ifs"
    )


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    """Left out, or ended in another way."""
    match node:
        case ast.Expr(value=ast.Call() | ast.YieldFrom() | ast.Yield()):
            yield ast.Pass()
        case ast.AugAssign() | ast.Delete() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Return():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
        case _:
            return


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constants(node: ast.Constant, holder: ast.AST) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        if value:
            yield ast.Constant(value - 1)
    elif isinstance(value, bytes):
        yield ast.Constant(value + b"?")
    elif (
        isinstance(value, str)
        and value.count(" ") < _BLANKS_OF_A_SENTENCE
        and not isinstance(holder, ast.JoinedStr | ast.FormattedValue)
    ):
        yield ast.Constant(f"{value}X")


def _expressions(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for place, op in enumerate(ops):
                for other in _COMPARES[type(op)]:
                    changed = [*ops[:place], other(), *ops[place + 1 :]]
                    yield ast.Compare(left, changed, others)
        case ast.BinOp(left=left, op=op, right=right):
            yield ast.BinOp(left, _SUMS[type(op)](), right)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for place in range(len(values)):
                rest = values[:place] + values[place + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case _:
            return


def _handlers(node: ast.ExceptHandler) -> Iterator[ast.AST]:
    """One kind of error less is caught."""
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else []
    for place in range(len(kinds)):
        rest: ast.expr = ast.Tuple(kinds[:place] + kinds[place + 1 :], ast.Load())
        yield ast.ExceptHandler(rest, node.name, node.body)
    if not kinds:
        yield ast.ExceptHandler(ast.Tuple([], ast.Load()), node.name, node.body)
