"""Angles: arithmetic over numbers, ``pi`` and a gate's parameters, as postfix code.

Postfix code is made and run with a stack of its own, so no depth of brackets can exhaust ours.
Powers bind tighter than signs and to the right, as in Qiskit: ``-2^2`` is -4, ``2^3^2`` is 2^9.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, NamedTuple

from tensorloom.formats.qasm.lexer import Reader, Token, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["Expression", "Step", "evaluate", "read_expression"]


class Step(NamedTuple):
    """One step of postfix code: push a number or a parameter, or apply an operator to the top.

    Args:
        token: Where it stands; a parameter's name is its text.
        binding: How tightly an operator binds; brackets bind 0.
        value: A number to push; ``None`` for a parameter.
        unary: A function of one number.
        binary: A function of two.
    """

    token: Token
    binding: int = 0
    value: float | None = None
    unary: Callable[[float], float] | None = None
    binary: Callable[[float, float], float] | None = None


Expression = tuple[Step, ...]

MAX_EXPRESSION = 10_000
"""Longest angle [steps]."""

_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "exp": math.exp,
    "ln": math.log,
    "sqrt": math.sqrt,
}
_OPERATORS: Mapping[str, tuple[int, Callable[[float, float], float]]] = {
    "+": (1, operator.add),
    "-": (1, operator.sub),
    "*": (2, operator.mul),
    "/": (2, operator.truediv),
    "^": (4, math.pow),
}
_SIGN_BINDING = 3
_FUNCTION_BINDING = 5


def read_expression(reader: Reader, parameters: Collection[str]) -> Expression:
    """The postfix code of an expression; the reader then stands at the ``,`` or ``)`` after it.

    Raises:
        FileFormatError: ``bad-syntax``, ``unknown-parameter`` or ``too-big``.
    """
    code: list[Step] = []
    waiting: list[Step] = []  # operators and open brackets whose right side is not read yet
    n_open = 0
    while True:
        n_open += _read_operand(reader, parameters, code, waiting)
        while n_open and reader.next.text == ")":
            _unwind(code, waiting, 1)
            waiting.pop()
            reader.take()
            n_open -= 1
        if reader.next.text not in _OPERATORS:
            break
        token = reader.take()
        binding, binary = _OPERATORS[token.text]
        _unwind(code, waiting, binding + (token.text == "^"))
        waiting.append(Step(token, binding, binary=binary))
    if n_open:
        reader.wants("')'")
    _unwind(code, waiting, 1)
    return tuple(code)


def _read_operand(
    reader: Reader, parameters: Collection[str], code: list[Step], waiting: list[Step]
) -> int:
    """The number of brackets opened on the way to the next number or name, which is read too."""
    n_opened = 0
    while True:
        token = reader.take()
        if len(code) + len(waiting) > MAX_EXPRESSION:
            refuse(
                token,
                "too-big",
                f"The angle takes more than {MAX_EXPRESSION} steps.",
                "Give it as a number.",
            )
        if token.kind in ("real", "whole"):
            code.append(Step(token, value=float(token.text)))
            return n_opened
        if token.text == "pi":
            code.append(Step(token, value=math.pi))
            return n_opened
        if token.text in parameters:
            code.append(Step(token))
            return n_opened
        if token.text in _FUNCTIONS:
            waiting.append(Step(token, _FUNCTION_BINDING, unary=_FUNCTIONS[token.text]))
            waiting.append(Step(reader.expect("(")))
            n_opened += 1
        elif token.text == "(":
            waiting.append(Step(token))
            n_opened += 1
        elif token.text == "-":
            waiting.append(Step(token, _SIGN_BINDING, unary=operator.neg))
        elif token.text != "+":
            _refuse_operand(token, parameters)


def _refuse_operand(token: Token, parameters: Collection[str]) -> None:
    if token.kind == "name":
        known = ", ".join(("pi", *parameters))
        refuse(
            token,
            "unknown-parameter",
            f"The angle uses {token.shown}, which is not known here.",
            f"Known names: {known:.200}; functions: {', '.join(_FUNCTIONS)}.",
        )
    refuse(
        token,
        "bad-syntax",
        f"A number is needed, but here is {token.shown}.",
        "Write an angle such as pi/2.",
    )


def _unwind(code: list[Step], waiting: list[Step], binding: int) -> None:
    """Move waiting operators that bind at least this tightly into the code."""
    while waiting and waiting[-1].binding >= binding:
        code.append(waiting.pop())


def evaluate(expression: Expression, parameters: Mapping[str, float]) -> float:
    """The finite value of an expression.

    Raises:
        FileFormatError: ``bad-angle`` on division by zero, overflow and the like.
    """
    stack: list[float] = []
    for step in expression:
        try:
            if step.unary is not None:
                stack[-1] = step.unary(stack[-1])
            elif step.binary is not None:
                right = stack.pop()
                stack[-1] = step.binary(stack[-1], right)
            else:
                stack.append(parameters[step.token.text] if step.value is None else step.value)
        except (ArithmeticError, ValueError):
            _refuse_value(step.token)
    if not math.isfinite(stack[-1]):
        _refuse_value(expression[-1].token)
    return stack[-1]


def _refuse_value(token: Token) -> None:
    refuse(
        token,
        "bad-angle",
        f"The angle has no finite value at {token.shown}.",
        "Check for a division by zero, a root or logarithm of a negative number, or an overflow.",
    )
