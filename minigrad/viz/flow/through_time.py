"""`gradient_through_time`: how much gradient reaches the earlier steps of a recurrent layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ...errors import GraphError
from ...graph.conversion import Array
from ...graph.rule import Operator
from ...ops.kernel import kernel_info
from ...ops.recurrent import Recurrent
from .. import plots
from ..plots import INK
from ..scene.heads import GraphLike, order_of
from ..scene.text import number
from .naming import slope

if TYPE_CHECKING:
    from ..figure import Figure


def gradient_through_time(rnn_node_or_graph: GraphLike, *, theme: str | None = None) -> Figure:
    """Draw ‖∂L/∂h_t‖ over the steps of a fused recurrent node, and each step's share in ∂L/∂W.

    Call it after a backward pass with the node, or with a graph (or its head) that has one such
    node; an unrolled network has none. ‖∂L/∂h_t‖ is the Euclidean norm over batch and units of the
    gradient of h_t in the backward pass; for an LSTM there is ‖∂L/∂c_t‖, too. For a plain RNN it is
    compared with theory: ∂L/∂h_t = ∂L/∂h_t (direct) + Vᵀ diag(f') ∂L/∂h_{t+1}, and f' ≤ 1 for tanh
    and relu, so that with σ, the largest singular value of V,

        ‖∂L/∂h_t‖ ≤ ‖direct_t‖ + σ ‖∂L/∂h_{t+1}‖,

    a strict bound: σ < 1 is sufficient for vanishing, σ > 1 is necessary for exploding (Pascanu,
    Mikolov and Bengio 2013, section 2.1). Over many steps a linear network (f' = 1) follows the
    spectral radius ρ of V instead: the same recursion with ρ in place of σ, which is no bound.
    Where the loss reads only the last state, both are straight lines of log10 σ and log10 ρ decades
    per step.

    Below, the share of step t in the gradient of the input weights: ‖δ_tᵀ x_t‖ / Σ_s ‖δ_sᵀ x_s‖
    (Frobenius norms), with δ_t = ∂L/∂(W x_t + b). The matrices of the steps add up to ∂L/∂W; their
    norms do not, because contributions may cancel. `theme` as in `draw`. Raises `GraphError` unless
    there is exactly one fused recurrent node, and a backward pass; `TypeError` for anything but a
    graph.

    >>> output, h = mg.nn.RNN(3, 4)(np.ones((5, 2, 3)))
    >>> output[-1].sum().backward()
    >>> sorted(mg.viz.gradient_through_time(output).numbers)
    ['bound', 'last', 'linear', 'norm', 'rho', 'share', 'sigma', 'slope']
    """
    node = _rnn(rnn_node_or_graph)
    numbers = through_time(node)
    with plots.figure(7.6, 5.4, "Gradient through time", theme) as made:
        above, below = made.subplots(2, 1, sharex=True, height_ratios=(3, 1.6))
        _norms(above, numbers)
        t = np.arange(1, len(numbers["norm"]) + 1)
        below.bar(t, numbers["share"], color=INK["g3"], width=0.8, zorder=2)
        below.set_ylabel("share in ∂L/∂W")
        below.yaxis.set_major_formatter(lambda x, _: f"{100 * x:g} %")
        below.set_xlabel("time step t")
        below.set_xlim(0.4, len(t) + 0.6)
        below.xaxis.get_major_locator().set_params(integer=True)
        below.grid(axis="x", visible=False)
        made.description, made.numbers = _words(numbers), numbers
    return made


def _rnn(thing: Any) -> Operator:
    """The single fused recurrent node of the graph."""
    order = [thing] if _is_recurrent(thing) else order_of(thing, "gradient_through_time")
    found = [(i, node) for i, node in enumerate(order) if _is_recurrent(node)]
    if len(found) != 1:
        places = (
            f", nodes {', '.join(str(i) for i, _ in found)} of its order; pass one of them"
            if found
            else ""
        )
        raise GraphError(
            f"gradient_through_time: a graph with {len(found)} fused recurrent nodes{places}; one "
            f"was expected"
        )
    node = found[0][1]
    if node.grad is None or "dh" not in node.work:
        raise GraphError(
            f"gradient_through_time: {node.brief} has no gradient; call backward() on the loss "
            "first"
        )
    if not len(node.inputs[0].value):
        raise GraphError(f"gradient_through_time: {node.brief} has no time steps")
    return node


def _is_recurrent(thing: Any) -> TypeGuard[Operator]:
    return isinstance(thing, Operator) and isinstance(thing.rule, Recurrent)


def through_time(node: Operator) -> dict[str, Any]:
    """The numbers of `gradient_through_time`.

    Arrays with an entry per step: `norm` and `share`, for an LSTM `cells` (the norm for c_t), for a
    plain RNN `bound` and `linear`, with `sigma` and `rho` of V. `slope` is measured, in decades per
    step; `last` tells that the loss reads the last state only.
    """
    assert node.grad is not None
    kernel = kernel_info(node)
    direct = _lengths(node.grad if node.grad.ndim == 3 else node.grad[0])
    norms, parts = _lengths(kernel["hidden_grads"]), contributions(node)
    total = parts.sum()
    numbers = {
        "norm": norms,
        "slope": slope(range(len(norms)), norms),
        "share": parts / total if total > 0 else parts,
        "last": not direct[:-1].any(),
    }
    if "cells" in kernel:
        numbers["cells"] = _lengths(kernel["cell_grads"])
    return {**numbers, **_theory_of(node, direct)} if node.rule.name == "rnn" else numbers


def _theory_of(node: Operator, direct: Array) -> dict[str, Any]:
    """The bound and the norms of the linear network, from the recurrent weights V."""
    recurrent = np.asarray(node.inputs[3].value, np.float64)
    finite = bool(np.isfinite(recurrent).all())
    sigma = float(np.linalg.norm(recurrent, 2)) if finite else math.nan
    rho = float(np.abs(np.linalg.eigvals(recurrent)).max()) if finite else math.nan
    return {
        "bound": _recursion(direct, sigma),
        "linear": _recursion(direct, rho),
        "sigma": sigma,
        "rho": rho,
    }


def contributions(node: Operator) -> Array:
    """The Frobenius norm of each step's part of ∂L/∂W, δ_tᵀ x_t, after a backward pass."""
    assert isinstance(node.rule, Recurrent)
    deltas, x = node.rule.input_grads(node).astype(np.float64), node.inputs[0].value
    # one by one: all at once may take too much memory
    return np.array([np.linalg.norm(d.T @ x_t) for d, x_t in zip(deltas, x, strict=True)])


def _lengths(array: Array) -> Array:
    """The Euclidean norm of each step of (T, N, hidden)."""
    return np.asarray(np.linalg.norm(array.astype(np.float64).reshape(len(array), -1), axis=1))


def _recursion(direct: Array, factor: float) -> Array:
    found = np.zeros_like(direct)
    after = 0.0
    with np.errstate(over="ignore"):  # the bound may become inf
        for t in reversed(range(len(direct))):
            found[t] = after = direct[t] + factor * after
    return found


def _norms(ax: Any, numbers: dict[str, Any]) -> None:
    steps = np.arange(1, len(numbers["norm"]) + 1)
    marker = "o" if len(steps) <= 60 else None
    lines = [("norm", f"measured: {_decades(numbers['slope'])}", INK["g4"], "-", marker)]
    if "cells" in numbers:
        lines.insert(0, ("cells", "cells, ‖∂L/∂$c_t$‖", INK["g3"], "--", None))
    if "bound" in numbers:
        lines = [
            ("bound", f"bound, σ = {_theory(numbers, 'sigma')}", INK["gradient"], "--", None),
            (
                "linear",
                f"linear network, ρ = {_theory(numbers, 'rho')}",
                INK["constant"],
                ":",
                None,
            ),
            *lines,
        ]
    for name, label, colour, dash, sign in lines:
        y = np.where(np.isfinite(numbers[name]) & (numbers[name] > 0), numbers[name], np.nan)
        ax.plot(steps, y, color=colour, ls=dash, marker=sign, markersize=4, label=label)
    ax.set_yscale("log")
    sized = numbers["norm"][np.isfinite(numbers["norm"]) & (numbers["norm"] > 0)]
    if sized.size:  # a distant bound must not flatten the measured line
        low, high = (math.log10(y) for y in ax.get_ylim())
        low, high = max(low, math.log10(sized.min()) - 2), min(high, math.log10(sized.max()) + 3)
        ax.set_ylim(10**low, 10**high)
    ax.set_ylabel("‖∂L/∂$h_t$‖")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], fontsize=8.5)


def _decades(x: float) -> str:
    return f"{round(x, 3) + 0.0:+.3f} decades per step"


def _theory(numbers: dict[str, Any], factor: str) -> str:
    """`0.9: +0.046 decades per step`; the slope only of a straight line."""
    x = numbers[factor]
    return number(x) + (f": {_decades(-math.log10(x))}" if numbers["last"] and x > 0 else "")


def _words(numbers: dict[str, Any]) -> str:
    norms, share = numbers["norm"], numbers["share"]
    most = int(np.argmax(share)) + 1
    theory = ""
    if "sigma" in numbers:
        sigma, rho = number(numbers["sigma"]), number(numbers["rho"])
        theory = f"; the largest singular value of V is {sigma}, its spectral radius {rho}"
    return (
        f"Gradient through {len(norms)} time steps: ‖∂L/∂h_t‖ goes from {number(norms[0])} at the "
        f"first step to "
        f"{number(norms[-1])} at the last, {_decades(numbers['slope'])}{theory}. Step {most} has "
        f"the largest share in "
        f"∂L/∂W, {number(100 * share[most - 1])} %."
    )
