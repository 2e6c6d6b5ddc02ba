"""Fitting, evaluating and predicting with a model, a loss and an optimiser."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import kernels, ops
from ..errors import GraphError, ShapeError
from ..graph.context import module_path
from ..graph.conversion import Array
from ..graph.node import Buffer, GraphNode
from ..graph.settings import state_kept
from ..nn import Module
from ..nn.layers import positive
from ..ops.kernel import without_threads
from ..optim import Optimizer
from ..run.batch import parts_of
from ..run.compiled import CompiledStep
from ..run.rebuild import refuse, users_rules
from ..run.replay import Graph
from .batches import Batches, Chunk, Samples, as_array, as_pair, feed
from .course import Course, Whole, whole_steps
from .distributed import Ranks
from .history import History
from .program import Program, Recent, evaluating
from .progress import progress_bar, said

EVALUATION_BATCH = 250
MODES = ("eager", "replay", "compiled")


class Trainer:
    """Trains `model` so that `loss(output, target)`, a single number, becomes small.

    `mode` says how graphs run: "compiled" turns the whole step, with the update and the loop over
    batches, into machine code (once for each model and batch size, then kept on disk), "replay"
    builds the graph once per batch shape and runs it again on the same memory, "eager" builds it
    anew for every batch; the numbers are the same to rounding. What does not make a full batch, and
    evaluation, runs in replay where the mode is "compiled"; what cannot be compiled is a
    `GraphError` that names it, never another mode in silence. `callbacks` are called after each
    epoch as `callback(trainer, history)`; one that has a method `on_batch` is told
    `on_batch(trainer, graph)` after each backward pass, before the step; for these, and for hooks,
    say mode="replay". Floats enter the model in the dtype of its parameters, integers stay
    integers. A target of shape (N,) beside an output (N, 1) is read as a column. `course` says how
    far the training has come.

    `distributed=True` trains on all processes that `mpiexec -n 4 python script.py` starts (`ranks`
    says which this one is). Each is given all data, begins with the state of rank 0, and takes its
    share of every batch, so that the steps are those of one process, to rounding, but for two
    layers: batch norm takes mean and variance of the share (two samples at least, in the last
    batch, too) and averages the running statistics over the ranks; dropout draws other masks on
    each. `History` holds the losses of whole batches, and `evaluate` counts all samples: on every
    rank the same numbers. `save` writes on rank 0 alone, callbacks are called on all. Ctrl-C on one
    rank ends the training on all after the same step; an error, or the death of one, ends the job,
    and after `load` `resume=True` goes on from what was saved.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[..., GraphNode],
        optimizer: Optimizer,
        *,
        mode: str = "compiled",
        callbacks: Iterable[Any] = (),
        distributed: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"Trainer: mode={mode!r}; one of {', '.join(MODES)} was expected")
        _need("model", model, isinstance(model, Module), "a Module")
        _need("loss", loss, callable(loss), "a function of output and target")
        _need("optimizer", optimizer, isinstance(optimizer, Optimizer), "an Optimizer")
        _need("callbacks", callbacks, isinstance(callbacks, Iterable), "a list of functions")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.mode, self.callbacks = mode, list(callbacks)
        for callback in self.callbacks:
            fits = callable(callback) or hasattr(callback, "on_batch")
            _need(
                "a callback",
                callback,
                fits,
                "a function of trainer and history, or a thing with on_batch,",
            )
        self._refuse_watchers()
        self.course, self.ranks = Course(), Ranks(distributed)
        self._forget()

    def _forget(self) -> None:
        """Build graphs anew from here on: model, loss and optimiser may be others than they
        were.
        """
        self._programs: Recent[Program] = Recent()
        self._compiled: Recent[CompiledStep] = Recent()
        self._buffers: list[Buffer] = self.model.buffers()
        self._trains = False

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without graphs and compiled steps, which are built again when
        needed.
        """
        return {**vars(self), "_programs": Recent(), "_compiled": Recent()}

    # ---------------- training
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int | None = None,
        validation: tuple[Any, Any] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        progress: bool = True,
        resume: bool = False,
    ) -> History:
        """Go through (x, y) `epochs` times in batches of `batch_size` (the last one may be
        smaller).

        x and y are arrays, in memory or, larger than that, in files (`np.load(path,
        mmap_mode="r")`). Or x is an iterable of batches (x, y) that has a length, without y and
        `batch_size`; each epoch goes through it anew, in its own order. Maps and iterables are read
        ahead in a background thread, in which an iterable's own code runs, too. The order is
        shuffled anew for each epoch by a generator started from `seed`. `validation` is (x, y) to
        evaluate after each epoch. A loss that is not finite stops with a `GraphError` that names
        the epoch, the batch and the first bad node, before the step is made.

        Ctrl-C ends the training early, as soon as the step that is being made (a second Ctrl-C does
        not wait for it) or the function that is being compiled is whole, and leaves a usable model.
        `resume=True` goes on from there, or from where a loaded checkpoint was, within an epoch or
        between two, until `epochs` are done in all; `seed` is not looked at then. With the other
        arguments as they were, the numbers are those of a training that was never cut, to the bit.
        The `History` begins with the first new step. An iterable is asked for the whole epoch
        again, and the batches that were done are skipped: it must give the same.
        """
        data = feed(x, y, batch_size, self._dtype)
        positive("Trainer", epochs=epochs)
        self._refuse_watchers()
        checked = None if validation is None else self._validation(validation)
        seed = self.ranks.align(self, data, seed, epochs=epochs, shuffle=shuffle, resume=resume)
        course = self.course if resume and self.course.length else Course(seed)
        course.enter(data.length, data.size)
        self.course = course
        self._forget()
        return self._train(data, epochs, checked, shuffle, progress)

    def _train(
        self, data: Samples | Batches, epochs: int, checked: Any, shuffle: bool, progress: bool
    ) -> History:
        """The epochs that the course has not done yet."""
        course, history = self.course, History()
        modes = [(module, module.training) for module in self.model.modules()]
        done = course.epoch * data.steps + course.batch
        with self.ranks.together(), whole_steps(self.ranks.whole) as whole:
            with whole:  # Ctrl-C within tqdm would leave its lock taken
                bar = progress_bar(
                    progress and self.ranks.first,
                    total=epochs * data.steps,
                    initial=done,
                    unit="step",
                )
            try:
                self.model.train()
                while course.epoch < epochs:
                    self._epoch(data, shuffle, checked, history, bar, whole)
                self.ranks.finish()
            except KeyboardInterrupt as error:
                self.ranks.agree(error)
                history.interrupted = True
            except BaseException:
                for module, training in modes:
                    module.training = training
                raise
            finally:
                with whole:
                    bar.close()
            self.model.eval()
        return history

    def _validation(self, pair: Any) -> tuple[Any, Any]:
        """The pair as arrays, checked before training starts rather than after an epoch."""
        _need(
            "validation", pair, isinstance(pair, tuple | list) and len(pair) == 2, "a pair (x, y)"
        )
        return as_pair(*pair, self._dtype, "validation ")

    def _refuse_watchers(self) -> None:
        watching = [callback for callback in self.callbacks if hasattr(callback, "on_batch")]
        if self.mode == "compiled" and watching:
            raise GraphError(
                f"Trainer: {watching[0]!r} wants every batch; no compiled step shows them, use "
                f'mode="replay"'
            )

    def _watchers(self) -> list[Callable[..., Any]]:
        return [callback.on_batch for callback in self.callbacks if hasattr(callback, "on_batch")]

    def _epoch(
        self,
        data: Samples | Batches,
        shuffle: bool,
        checked: Any,
        history: History,
        bar: Any,
        whole: Whole,
    ) -> None:
        """What is left of the present epoch."""
        course, started = self.course, time.perf_counter()
        self._steps(data, shuffle, history, bar, whole)
        seconds = time.perf_counter() - started
        found = None if checked is None else self.evaluate(*checked)
        with whole:
            history.close_epoch(course.total / course.seen, seconds, found)
            course.next_epoch()
            bar.set_postfix(epoch=course.epoch, loss=f"{history.epoch_loss[-1]:.4f}")
        self._tell([callback for callback in self.callbacks if callable(callback)], history)

    def _tell(self, callbacks: Sequence[Any], what: Any) -> None:
        """Call callbacks, which may change anything. A checkpoint that they load is one of model
        and optimiser: the `fit` that is running goes on counting its own epochs.
        """
        course = self.course
        for callback in callbacks:
            callback(self, what)
        if callbacks:
            self.course = course
            self._forget()

    def _steps(
        self, data: Samples | Batches, shuffle: bool, history: History, bar: Any, whole: Whole
    ) -> None:
        """The steps that are left. Each one and the note of it are whole: Ctrl-C comes before or
        after them.
        """
        course, chunks = self.course, None
        try:
            with whole:  # Ctrl-C within the start of a thread would leave a lock taken
                chunks = data.epoch(course.order(shuffle), course.batch)
            for chunk in chunks:
                if self.mode == "compiled" and course.batch < chunk.full_end:
                    self._compiled_steps(chunk, history, bar, whole)
                while course.batch < chunk.end:
                    with whole:
                        self._single_step(chunk, history, bar)
        finally:
            with whole:
                if chunks is not None:
                    chunks.close()

    def _note(self, losses: list[float], samples: int, history: History, bar: Any) -> None:
        """Write down steps that are made, each on so many samples."""
        history.batch_loss += losses
        self.course.note(losses, samples)
        bar.update(len(losses))

    def _single_step(self, chunk: Chunk, history: History, bar: Any) -> None:
        course = self.course
        chosen = chunk.rest(course.batch)[: chunk.size]
        mine = self.ranks.share(chosen)
        loss = self._step(
            chunk.x[mine], chunk.y[mine], f"epoch {course.epoch + 1}, batch {course.batch + 1}"
        )
        self._note([loss], len(chosen), history, bar)

    def compile(self, x: Any, y: Any, *, batch_size: int) -> CompiledStep:
        """The compiled training step for batches of this size of data like (x, y): what
        `mode="compiled"` runs.

        Its `source` is the generated code. Raises `GraphError` that names the operator for what
        cannot be compiled.
        """
        x, y = as_pair(x, y, self._dtype)
        positive("Trainer", batch_size=batch_size)
        if batch_size > len(x):
            raise ValueError(
                f"Trainer: batch_size={batch_size} and {len(x)} samples; at least one full batch "
                f"was expected"
            )
        threads = kernels.jit.threads(batch_size)
        # graphs to read, no steps; their kernels are those that the step will call, so that no
        # others are compiled
        with state_kept(), without_threads(), kernels.blas.blas_threads(1):
            part = self._built(x[:batch_size], y[:batch_size])
            assert part.y is not None
            parts = parts_of(batch_size, part.graph.order, (part.x, part.y), threads)
            size = batch_size // parts
            if parts > 1:
                part = self._built(x[:size], y[:size])
            part.verify(x[-size:], y[-size:])
            assert part.y is not None
        given = (
            part.graph.order,
            {"x": part.x, "y": part.y},
            self.optimizer,
            parts,
            self.ranks.size == 1,
        )
        step, own = CompiledStep(*given), users_rules(part.graph.order)
        if own and CompiledStep(*given).source != step.source:
            refuse(
                f"Trainer: one of the operators {', '.join(own)}",
                "it has written down another formula",
            )
        return step

    def _built(self, x: Array, y: Array | None, trains: bool = True) -> Program:
        """The graph of a batch, built to run again unless the mode is eager."""
        changing = [*self.optimizer.params] if trains else []
        return Program(self.model, self.loss, x, y, None if self.mode == "eager" else changing)

    def _compiled_steps(self, chunk: Chunk, history: History, bar: Any, whole: Whole) -> None:
        """All full batches of a chunk, some at a time so that there is progress to show and Ctrl-C
        is heard.
        """
        course, x, y = self.course, np.ascontiguousarray(chunk.x), np.ascontiguousarray(chunk.y)
        with said(bar, "compiling the step …", whole):
            step = self._step_for(x, y, len(self.ranks.share(range(chunk.size))))
            step.check(x, y)
            step.load(x, y)
        some = 1
        while course.batch < chunk.full_end:
            started = time.perf_counter()
            losses = np.zeros(min(some, chunk.full_end - course.batch), self._dtype)
            with whole:
                made = self.ranks.run(self, step, x, y, chunk.rest(course.batch), losses)
                self._note(losses[:made].tolist(), chunk.size, history, bar)
                if made < len(
                    losses
                ):  # once more in replay, which names the node, or gets by where rounding decided
                    self._single_step(chunk, history, bar)
            if self.ranks.size == 1:
                some = max(1, int(some * 0.1 / (time.perf_counter() - started)))

    def _step_for(self, x: Array, y: Array, size: int) -> CompiledStep:
        key = size, x.shape[1:], x.dtype, y.shape[1:], y.dtype
        return self._compiled.get(key) or self._compiled.keep(
            key, self.compile(x, y, batch_size=size)
        )

    def _step(self, x: Array, y: Array, where: str) -> float:
        """One training step; one that breaks off leaves running statistics and streams of masks as
        they were.
        """
        before = [(buffer, buffer._data.copy()) for buffer in self._buffers]
        try:
            return self._whole_step(x, y, where)
        except BaseException:
            for buffer, kept in before:
                buffer._data[...] = kept
            raise

    def _whole_step(self, x: Array, y: Array, where: str) -> float:
        program = self._program(x, y)
        loss = program.graph.head.item()
        if not math.isfinite(loss):
            raise GraphError(
                f"Trainer: the loss is {loss} in {where}; {first_bad_node(program.graph)}"
            )
        self._need_parameters(program.graph)
        for p in self.optimizer.params:
            p.recycle_grad()
        program.graph.backward()
        loss = self.ranks.reduce(self, loss)
        self._tell(self._watchers(), program.graph)
        self.optimizer.step()
        return loss

    def _need_parameters(self, graph: Graph) -> None:
        """Look, once for each `fit`, whether there is anything to train: an optimiser of another
        model would do nothing.
        """
        if not self._trains:
            params = {id(p) for p in self.optimizer.params if p.requires_grad}
            if not any(id(node) in params for node in graph.order):
                why = "are they another model's, or frozen?"
                raise GraphError(
                    f"Trainer: the loss depends on none of the optimiser's parameters; {why}"
                )
            self._trains = True

    def _program(self, x: Array, y: Array) -> Program:
        """The graph of this batch, computed up to the loss."""
        key = x.shape, x.dtype, y.shape, y.dtype
        program = self._programs.get(key)
        if program is not None:
            program.feed(x, y)
            return program
        program = self._built(x, y)
        if self.mode != "eager" and not self._watchers():  # who watches may change what comes next
            program.verify(x[::-1], y[::-1])
            self._programs.keep(key, program)
        return program

    # ---------------- looking
    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """Mean loss and accuracy over all samples, as {"loss": …, "accuracy": …}.

        A prediction is right if the largest of several outputs is at the class id, or if a single
        output is on the right side of 0.5 (of 0 for a loss on logits); for targets that are no
        classes, accuracy is NaN.
        """
        x, y = as_pair(x, y, self._dtype)
        loss = right = 0.0
        with evaluating(self.model):
            for chosen, program in self._look(x, y):
                loss += program.graph.head.item() * len(chosen)
                right += float(hits(program.output.value, y[chosen], self.loss).sum())
        return {"loss": loss / len(x), "accuracy": right / len(x)}

    def predict(self, x: Any) -> Array:
        """The model's outputs for all samples, one after the other."""
        x = as_array("x", x, self._dtype)
        if not x.ndim or not len(x):
            raise ShapeError(f"Trainer: x has shape {x.shape}; at least one sample was expected")
        with evaluating(self.model):
            return np.concatenate(
                [program.output.value.copy() for _, program in self._look(x, None)]
            )

    def _look(self, x: Array, y: Array | None) -> Iterator[tuple[Array, Program]]:
        """The samples some at a time, by their numbers, with the graph that has computed them."""
        program = None
        for start in range(0, len(x), EVALUATION_BATCH):
            chosen = np.arange(start, min(start + EVALUATION_BATCH, len(x)))
            some = x[chosen], None if y is None else y[chosen]
            if program is None or self.mode == "eager" or len(chosen) < EVALUATION_BATCH:
                program = self._built(*some, trains=False)
            else:
                program.feed(*some)
            yield chosen, program

    @property
    def _dtype(self) -> Any:
        """Of the parameters, and so of all floats that enter."""
        return self.optimizer.params[0].dtype


def hits(output: Array, y: Array, loss: Any) -> Array:
    """1.0 for each sample that is classified rightly, 0.0 for a wrong one, NaN where the targets
    are no classes.
    """
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
            place = module_path(node.scope)
            made = f"{node!r} in module {place}" if place else repr(node)
            return (
                f"first bad node: number {i} of the graph, {made}, with {bad[0]} NaN and "
                f"{bad[1]} infinite entries"
            )
    return "no node holds a value that is not finite"


def _need(name: str, value: Any, fits: bool, expected: str) -> None:
    if not fits:
        found = (
            f"the class {value.__name__}"
            if isinstance(value, type)
            else f"a {type(value).__name__}"
        )
        raise TypeError(f"Trainer: {name} is {found}; {expected} was expected")
