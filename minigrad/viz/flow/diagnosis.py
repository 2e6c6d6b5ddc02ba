"""The result of `diagnose`: findings, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ..scene.text import count, markdown, number
from ..tables import markdown_table

_CURES = {
    "dead ReLU": "Lower the learning rate, start biases at 0 and weights by He's rule, or use "
    "leaky_relu.",
    "saturation": "Scale inputs to about unit size, start with smaller weights (Glorot), or use "
    "relu inside.",
    "vanishing gradient": "Use relu or tanh for sigmoid, Glorot or He initial values, fewer "
    "layers, or skip connections.",
    "exploding gradient": "Lower the learning rate, scale data and initial weights, or clip "
    "gradients (max_grad_norm=).",
    "NaN or inf": "Look at the node: log and sqrt need positive inputs, exp small ones; or lower "
    "the learning rate.",
    "unused parameter": "Use it in forward, or take it out of the module; the optimiser cannot "
    "train it.",
    "frozen parameter": "Set requires_grad = True before the graph is built, unless it is meant to "
    "stay as it is.",
}


@dataclass(frozen=True)
class Finding:
    """One problem: its `kind`, `where` it is, the `evidence` in numbers and the usual `cure`."""

    kind: str
    where: str
    evidence: str

    @property
    def cure(self) -> str:
        return _CURES[self.kind]

    def __str__(self) -> str:
        return f"{self.kind} in {self.where}: {self.evidence}"


class Diagnosis(Sequence[Finding]):
    """The findings, most important first; `healthy` if there are none.

    `loss` is the loss of the one batch, `judged_by` the name of the loss function.
    """

    def __init__(self, findings: Iterable[Finding], loss: float, judged_by: str) -> None:
        self._findings = tuple(findings)
        self.loss, self.judged_by = loss, judged_by

    @property
    def healthy(self) -> bool:
        return not self._findings

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    def _verdict(self) -> str:
        found = "healthy: nothing found" if self.healthy else count(len(self), "finding")
        return f"{found} (one batch, {self.judged_by} {number(self.loss)})"

    def __str__(self) -> str:
        cures = {f.kind: f.cure for f in self}
        lines = [f"Diagnosis: {self._verdict()}", *(f"  {i}. {f}" for i, f in enumerate(self, 1))]
        return "\n".join(
            [*lines, *(f"  Usual cure of {kind}: {cure}" for kind, cure in cures.items())]
        )

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        header = ("", "found", "where", "evidence", "usual cure")
        rows = [(str(i), f.kind, f.where, f.evidence, f.cure) for i, f in enumerate(self, 1)]
        table = ["", markdown_table([header, *rows], left=5)] if self else []
        return "\n".join([f"**Diagnosis:** {markdown(self._verdict())}", *table])
