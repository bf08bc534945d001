"""Gradients: the vector-Jacobian product of a whole plan as one program with several results.

A step ``out = sum left * right`` is linear in each operand, so the adjoint of each is a pairwise
contraction again: of the adjoint of what the step made with the other operand. Forward
intermediates are read a second time instead of being made a second time; each reverse step costs at
most as much as its forward step, hence all gradients together at most twice the value.

    adjoint(left) = sum adjoint(out) * right        adjoint(right) = sum adjoint(out) * left

Nothing is conjugated: ``kept[i] = sum over the output of seed * d value / d tensor``, which is the
convention of autograd and JAX. Indices that only one tensor carries and that are summed there are
missing in its adjoint (it is constant along them), a repeated index occurs once (it is zero off the
diagonal): ``gradient_indices`` says what is there, ``execute.gradient`` spreads it out.

Source: reverse accumulation, Griewank and Walther, Evaluating Derivatives, 2nd ed., chapter 3.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from math import prod
from typing import TYPE_CHECKING

from tensorloom.kernels.layout import Operand, Wish, order_operands
from tensorloom.kernels.loops import binary_kernel
from tensorloom.kernels.lower import Lowering

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree, Step

__all__ = ["gradient_indices", "lower_gradient"]


def lower_gradient(tree: ContractionTree, dtype: DType, wrt: tuple[int, ...]) -> Program:
    """The program that makes the value and keeps the gradients.

    Args:
        tree: What meets when: at least one step, nothing sliced.
        dtype: Element type of all tensors.
        wrt: Numbers of the tensors to differentiate with respect to, each once.

    Returns:
        A program with one input more than the tree: the seed, of the output's shape, last. It keeps
        one buffer per entry of ``wrt``, in C order of ``gradient_indices`` (size 1 left out).

    Example:
        >>> from tensorloom.plan.tree import ContractionTree
        >>> tree = ContractionTree(
        ...     inputs=(("i", "j"), ("j", "k")), output=("i", "k"),
        ...     dimensions=(("i", 2), ("j", 3), ("k", 4)), path=((0, 1),),
        ... )
        >>> program = lower_gradient(tree, "float64", (0, 1))
        >>> [program.buffers[number].elements for number in program.kept]
        [6, 12]
    """
    if tree.sliced or not tree.path:
        raise ValueError("Gradients are lowered for trees with steps and without slices.")
    return _Reverse(tree, dtype).gradients(wrt)


def gradient_indices(tree: ContractionTree) -> tuple[tuple[str, ...], ...]:
    """Indices of each tensor's adjoint, in its order: each once, lone summed ones left out."""
    uses = Counter(name for names in tree.inputs for name in set(names))
    uses.update(tree.output)
    return tuple(
        tuple(name for name in dict.fromkeys(names) if uses[name] > 1) for names in tree.inputs
    )


class _Reverse(Lowering):
    """A lowering that remembers what each step read, and then goes back."""

    def __init__(self, tree: ContractionTree, dtype: DType) -> None:
        super().__init__(tree, dtype)
        self.seed = self.n_inputs
        self.elements.append(prod(self.full[name] for name in tree.output))
        self.n_inputs += 1
        self.numbers = count(self.n_inputs)
        self.indices = gradient_indices(tree)
        self.layouts: Mapping[int, Wish] = {}
        self.numbers_of: dict[int, int] = {}
        self.read: dict[int, Operand] = {}

    def gradients(self, wrt: tuple[int, ...]) -> Program:
        """All of it."""
        result = self._forward()
        tree = self.tree
        needed = _above(tree, wrt)
        output = tuple(name for name in tree.output if name in self.sizes)
        last = tree.steps[-1].out
        adjoints = {last: Operand(buffer=self.seed, strides=self._dense(output))}
        for step in reversed(tree.steps):
            made = adjoints.pop(step.out, None)
            if made is None:
                continue
            for own, other in ((step.left, step.right), (step.right, step.left)):
                if own in needed:
                    adjoints[own] = self._adjoint(made, self.read[other], own)
        return self._assembled(result, tuple(adjoints[number].buffer for number in wrt))

    def _step(
        self, step: Step, operands: dict[int, Operand], wishes: Mapping[int, tuple[str, ...]]
    ) -> None:
        self.layouts = wishes
        self.numbers_of = {operands[number].buffer: number for number in (step.left, step.right)}
        super()._step(step, operands, wishes)

    def _summed(self, operand: Operand, other: Operand, out: Wish, wish: Wish | None) -> Operand:
        # What a step reads may be summed beforehand: the way back profits from that, too.
        read = super()._summed(operand, other, out, wish)
        self.read[self.numbers_of[operand.buffer]] = read
        return read

    def _adjoint(self, made: Operand, other: Operand, own: int) -> Operand:
        """The adjoint of an operand from that of the result and from the other operand."""
        names = self.indices[own] if own < len(self.indices) else self.layouts[own]
        layout = tuple(name for name in names if name in self.sizes)
        left, right = order_operands(made, other, layout)
        kernel = binary_kernel(left, right, self._dense(layout), self.sizes, self.dtype)
        return self._emit(kernel, (left, right), layout)


def _above(tree: ContractionTree, wrt: Collection[int]) -> set[int]:
    """SSA numbers of these tensors and of everything they end up in."""
    found = set(wrt)
    for step in tree.steps:
        if step.left in found or step.right in found:
            found.add(step.out)
    return found
