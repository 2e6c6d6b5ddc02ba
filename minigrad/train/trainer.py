"""Fitting, evaluating and predicting with a model, a loss and an optimiser."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from threading import Timer
from typing import Any

import numpy as np

from .. import kernels, ops
from ..errors import DTypeError, GraphError, ShapeError
from ..graph.node import Array, Constant, GraphNode
from ..graph.settings import state_kept
from ..nn import Module
from ..optim import Optimizer
from ..run.batch import parts_of
from ..run.compiled import CompiledStep
from ..run.replay import Graph
from .batches import Batches, Chunk, Mapped, Samples, is_mapped
from .history import History

EVALUATION_BATCH = 250
MODES = ("eager", "replay", "compiled")
SOON = 1.0  # seconds after which a compilation is spoken of


class Program:
    """Model and loss on batches of one shape: a graph to be fed, run and read."""

    def __init__(self, trainer: Trainer, x: Array, y: Array | None) -> None:
        self.x = Constant(x, name="x", dtype=x.dtype)
        self.output: GraphNode = trainer.model(self.x)
        if not isinstance(self.output, GraphNode):
            raise GraphError(f"Trainer: the model returned {type(self.output).__name__}, one node was expected")
        self.y: Constant | None = None
        head = self.output
        if y is not None:
            self.y = target_for(self.output, y)
            head = trainer.loss(self.output, self.y)
            head.name = head.name or "loss"
        self.graph = Graph(head)

    def feed(self, x: Array, y: Array | None) -> None:
        """Put another batch of the same shape in and compute."""
        self.x.value = x
        if self.y is not None and y is not None:
            self.y.value = y.reshape(self.y.shape)
        self.graph.forward()


class Trainer:
    """Trains `model` so that `loss(output, target)`, a single number, becomes small.

    `mode` says how graphs run: "compiled" turns the whole step, with the update and the loop over batches, into machine
    code (once for each model and batch size, then kept on disk), "replay" builds the graph once per batch shape and
    runs it again on the same memory, "eager" builds it anew for every batch; the numbers are the same to rounding.
    What does not make a full batch, and evaluation, runs in replay where the mode is "compiled"; what cannot be compiled
    is a `GraphError` that names it, never another mode in silence.
    `callbacks` are called after each epoch as `callback(trainer, history)`; one that has a method `on_batch` is told
    `on_batch(trainer, graph)` after each backward pass, before the step; for these, and for hooks, say mode="replay".
    Floats enter the model in the dtype of its parameters, integers stay integers. A target of shape (N,) beside an output
    (N, 1) is read as a column.
    """

    def __init__(
        self, model: Module, loss: Callable[..., GraphNode], optimizer: Optimizer, *,
        mode: str = "compiled", callbacks: Iterable[Any] = (),
    ) -> None:  # fmt: skip
        if mode not in MODES:
            raise ValueError(f"Trainer: mode={mode!r}; one of {', '.join(MODES)} was expected")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.mode, self.callbacks = mode, list(callbacks)
        self._refuse_watchers()
        self._programs: dict[Any, Program] = {}
        self._compiled: dict[Any, CompiledStep] = {}
        self._loaded: set[CompiledStep] = set()

    # ---------------------------------------------------------------- training
    def fit(
        self, x: Any, y: Any = None, *, epochs: int, batch_size: int | None = None,
        validation: tuple[Any, Any] | None = None, seed: int = 0, shuffle: bool = True, progress: bool = True,
    ) -> History:  # fmt: skip
        """Go through (x, y) `epochs` times in batches of `batch_size` (the last one may be smaller).

        x and y are arrays, in memory or, larger than that, in files (`np.load(path, mmap_mode="r")`). Or x is an iterable of
        batches (x, y) that has a length, without y and `batch_size`; each epoch goes through it anew, in its own order.
        Maps and iterables are read ahead in a background thread, in which an iterable's own code runs, too.
        The order is shuffled anew for each epoch by a generator started from `seed`. `validation` is (x, y) to evaluate
        after each epoch. Ctrl-C ends the training early and leaves a usable model. A loss that is not finite stops with a
        `GraphError` that names the epoch, the batch and the first bad node, before the step is made.
        """
        from tqdm.auto import tqdm

        data = self._data(x, y, batch_size)
        _check_count("epochs", epochs)
        self._refuse_watchers()
        checked = None if validation is None else (self._array(validation[0]), self._array(validation[1]))
        history, rng = History(), np.random.default_rng(seed)
        self.model.train()
        with tqdm(total=epochs * data.steps, unit="step", disable=not progress, leave=False, mininterval=0.2) as bar:
            try:
                for epoch in range(epochs):
                    with closing(data.epoch(rng if shuffle else None)) as chunks:
                        self._epoch(epoch, chunks, history, bar)
                    if checked is not None:
                        found = self.evaluate(*checked)
                        history.validation_loss.append(found["loss"])
                        history.accuracy.append(found["accuracy"])
                        self.model.train()
                    for callback in self.callbacks:
                        if callable(callback):
                            callback(self, history)
            except KeyboardInterrupt:
                history.interrupted = True
        self.model.eval()
        return history

    def _refuse_watchers(self) -> None:
        watching = [callback for callback in self.callbacks if hasattr(callback, "on_batch")]
        if self.mode == "compiled" and watching:
            raise GraphError(f'Trainer: {watching[0]!r} wants every batch; no compiled step shows them, use mode="replay"')

    def _data(self, x: Any, y: Any, batch_size: int | None) -> Samples | Batches:
        """What to train on, checked."""
        if y is None:
            if batch_size is not None:
                raise ValueError(f"Trainer: batch_size={batch_size!r} without y; batches have a size of their own")
            return Batches(x, self._array)
        x, y = self._array(x), self._array(y)
        _check(x, y)
        _check_count("batch_size", batch_size)
        return Samples(x, y, int(batch_size))  # type: ignore[arg-type]

    def _epoch(self, epoch: int, chunks: Iterable[Chunk], history: History, bar: Any) -> None:
        started, total, seen = time.perf_counter(), 0.0, 0
        for chunk in chunks:
            count, size, done = len(chunk.order), chunk.size, 0
            if self.mode == "compiled" and chunk.full and count >= size:
                losses = self._compiled_steps(epoch, chunk, bar)
                history.batch_loss += losses
                total, done = total + sum(losses) * size, len(losses)
            for batch, start in enumerate(range(done * size, count, size), chunk.first + done):
                chosen = chunk.order[start : start + size]
                loss = self._step(chunk.x[chosen], chunk.y[chosen], f"epoch {epoch + 1}, batch {batch + 1}")
                history.batch_loss.append(loss)
                total += loss * len(chosen)
                bar.update()
            seen += count
        history.epoch_loss.append(total / seen)
        history.epoch_seconds.append(time.perf_counter() - started)
        bar.set_postfix(epoch=epoch + 1, loss=f"{history.epoch_loss[-1]:.4f}")

    def compile(self, x: Any, y: Any, *, batch_size: int) -> CompiledStep:
        """The compiled training step for batches of this size of data like (x, y): what `mode="compiled"` runs.

        Its `source` is the generated code. Raises `GraphError` that names the operator for what cannot be compiled.
        """
        x, y = self._array(x), self._array(y)
        _check(x, y)
        _check_count("batch_size", batch_size)
        key = (batch_size, x.shape[1:], y.shape[1:], x.dtype, y.dtype, self.model.training, self.optimizer.params[0].dtype,
               kernels.jit.threads(batch_size), self.optimizer.max_grad_norm)  # fmt: skip
        if key not in self._compiled:
            with state_kept():  # a graph to read, no step
                whole = Program(self, x[:batch_size], y[:batch_size])
                assert whole.y is not None
                parts = parts_of(batch_size, whole.graph.order, (whole.x, whole.y), kernels.jit.threads(batch_size))
                part = whole if parts == 1 else Program(self, x[: batch_size // parts], y[: batch_size // parts])
                assert part.y is not None
            self._compiled[key] = CompiledStep(part.graph.order, {"x": part.x, "y": part.y}, self.optimizer, parts)
        return self._compiled[key]

    def _compiled_steps(self, epoch: int, chunk: Chunk, bar: Any) -> list[float]:
        """All full batches of a chunk, some at a time so that there is progress to show and Ctrl-C is heard."""
        x, y, order, batch_size = np.ascontiguousarray(chunk.x), np.ascontiguousarray(chunk.y), chunk.order, chunk.size
        step = self._ready_step(x, y, batch_size, bar)
        losses = np.zeros(len(order) // batch_size, self.optimizer.params[0].dtype)
        done, some = 0, 1
        while done < len(losses):
            started = time.perf_counter()
            part = losses[done : done + some]
            made = step.run(x, y, order[done * batch_size :], part)
            done += made
            bar.update(made)
            if made < len(part):  # once more in replay, which names the node, or gets by where rounding decided
                chosen = order[done * batch_size : (done + 1) * batch_size]
                losses[done] = self._step(x[chosen], y[chosen], f"epoch {epoch + 1}, batch {chunk.first + done + 1}")
                done += 1
                bar.update()
            some = max(1, int(some * 0.1 / (time.perf_counter() - started)))
        return [float(loss) for loss in losses]

    def _ready_step(self, x: Array, y: Array, batch_size: int, bar: Any) -> CompiledStep:
        """The compiled step, in memory, for samples that it will not refuse."""
        with _said(bar, "compiling the step …"):
            step = self.compile(x, y, batch_size=batch_size)
            step.check(x, y)
            if step not in self._loaded:
                step.load(x, y)
                self._loaded.add(step)
        return step

    def _step(self, x: Array, y: Array, where: str) -> float:
        program = self._program(x, y)
        loss = float(program.graph.head.item())
        if not math.isfinite(loss):
            raise GraphError(f"the loss is {loss} in {where}; {first_bad_node(program.graph)}")
        for p in self.optimizer.params:
            p.recycle_grad()
        program.graph.backward()
        for callback in self.callbacks:
            if hasattr(callback, "on_batch"):
                callback.on_batch(self, program.graph)
        self.optimizer.step()
        return loss

    def _program(self, x: Array, y: Array | None) -> Program:
        """The graph for this batch, computed up to its head."""
        if self.mode == "eager":
            return Program(self, x, y)
        key = (x.shape, None if y is None else y.shape, self.model.training, self.optimizer.params[0].dtype)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = Program(self, x, y)
        else:
            program.feed(x, y)
        return program

    # ---------------------------------------------------------------- looking
    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """Mean loss and accuracy over all samples, as {"loss": …, "accuracy": …}.

        A prediction is right if the largest of several outputs is at the class id, or if a single output is on the right
        side of 0.5 (of 0 for a loss on logits); for targets that are no classes, accuracy is NaN.
        """
        x, y = self._array(x), self._array(y)
        _check(x, y)
        loss = right = 0.0
        for chosen, program in self._look(x, y):
            loss += float(program.graph.head.item()) * len(chosen)
            right += float(hits(program.output.value, y[chosen], self.loss).sum())
        return {"loss": loss / len(x), "accuracy": right / len(x)}

    def predict(self, x: Any) -> Array:
        """The model's outputs for all samples, one after the other."""
        x = self._array(x)
        if not len(x):
            raise ShapeError(f"Trainer: x has shape {x.shape}; at least one sample was expected")
        return np.concatenate([program.output.value.copy() for _, program in self._look(x, None)])

    def _look(self, x: Array, y: Array | None) -> Iterator[tuple[Array, Program]]:
        training = self.model.training
        self.model.eval()
        try:
            for start in range(0, len(x), EVALUATION_BATCH):
                chosen = np.arange(start, min(start + EVALUATION_BATCH, len(x)))
                yield chosen, self._program(x[chosen], None if y is None else y[chosen])
        finally:
            self.model.train(training)

    def _array(self, data: Any) -> Any:
        """Data as an array, or `Mapped` as it is in a file: floats in the dtype of the parameters, integers as they are."""
        if isinstance(data, Mapped):
            return data
        array = data.value if isinstance(data, GraphNode) else np.asarray(data)
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"Trainer: data of dtype {array.dtype}; numbers were expected")
        if is_mapped(array):
            return Mapped(array, self.optimizer.params[0].dtype if array.dtype.kind == "f" else array.dtype)
        if array.dtype.kind == "f":
            array = array.astype(self.optimizer.params[0].dtype, copy=False)
        return array


@contextmanager
def _said(bar: Any, words: str) -> Iterator[None]:
    """Within the block, once it has taken a second, the words stand before the bar."""
    timer = Timer(SOON, bar.set_description_str, [words])
    timer.daemon = True
    if not bar.disable:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if not bar.disable:
            timer.join()
            bar.set_description_str("")


def target_for(output: GraphNode, y: Array) -> Constant:
    """The target y as a node beside this output: floats in its dtype, and a column where (N,) meets (N, 1)."""
    floats = y.dtype.kind == "f"
    column = floats and output.shape == (*y.shape, 1)
    return Constant(y.reshape(output.shape) if column else y, name="target", dtype=output.dtype if floats else y.dtype)


def hits(output: Array, y: Array, loss: Any) -> Array:
    """1.0 for each sample that is classified rightly, 0.0 for a wrong one, NaN where the targets are no classes."""
    if output.ndim == 2 and output.shape[1] > 1 and y.ndim == 1:
        return np.asarray(output.argmax(1) == y, dtype=float)
    y = y.reshape(len(y), -1)
    if not np.isin(y, (0, 1)).all() or output.size != y.size:
        return np.full(len(y), np.nan)
    threshold = 0.0 if loss is ops.binary_cross_entropy_with_logits else 0.5
    return ((output.reshape(y.shape) > threshold) == (y > 0.5)).mean(1)


def first_bad_node(graph: Graph) -> str:
    """In words, the first node in execution order whose value is not finite."""
    for i, node in enumerate(graph.order):
        if node.dtype.kind == "f" and not np.isfinite(node.value).all():
            bad = np.isnan(node.value).sum(), np.isinf(node.value).sum()
            return f"first bad node: number {i} of the graph, {node!r}, with {bad[0]} NaN and {bad[1]} infinite entries"
    return "no node holds a value that is not finite"


def _check(x: Any, y: Any) -> None:
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or not len(x):
        raise ShapeError(f"Trainer: x and y have shapes {x.shape} and {y.shape}; the same number of samples was expected")


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"Trainer: {name}={value!r}; an integer ≥ 1 was expected")
