"""Fitting, evaluating and predicting with a model, a loss and an optimiser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import one_of, positive
from ..errors import GraphError
from ..graph.conversion import Array
from ..nn.module import Module, in_mode
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from ..run.compiled import CompiledStep
from ..run.samples import Samples, count, each, take
from .alignment import align
from .batch_graph import BatchGraph, Loss, Weighted
from .batches import (
    Batches,
    Chunk,
    SampleArrays,
    as_pair,
    as_samples,
    training_data,
    validation_data,
)
from .distributed import Ranks
from .evaluation import Evaluator, Metric, batch_graphs, correct, measured
from .history import History
from .progress import described, progress_bar
from .runner import StepRunner
from .state import TrainingState, collect, restore

MODES = ("eager", "replay", "compiled")
TAKEN = {"loss", "validation_loss", "seconds"}  # names that no metric may have


class Trainer:
    """Trains `model` to make `loss(output, target)`, a single number, small.

    `mode` says how graphs run: "eager" builds one for every batch, "replay" one per batch shape, to
    run again on the same memory, "compiled" turns the whole step, update and loop over batches
    included, into machine code (kept on disk); the numbers are the same to rounding. A model whose
    training cannot be compiled is a `GraphError` that names the operator. A fit runs in replay if
    that is done, by the count of its steps, before machine code would be loaded from disk, and so
    do smaller batches that need other machine code; so do `evaluate` and `predict`, unless there
    are enough samples, each output depends on its own sample alone, and all operators can be
    compiled.

    `callbacks` are called after each epoch as `callback(trainer, history)`; a method `on_batch` of
    one is called after each backward pass, before the step, as `on_batch(trainer, graph)` (in
    "eager" and "replay" only). One that returns `True` ends the training, after the epoch or after
    the step. Those that only look say so by an attribute `only_looks`, and cost a compiled training
    no new graphs. `metrics` are functions of outputs and targets by name: what they give for all
    samples together stands in `evaluate` and in the `History`.

    A `scheduler` of the optimiser's learning rates is stepped after each epoch, or, with
    `scheduler_step="batch"` and for `OneCycleLR`, after each batch; it goes on in the next fit.
    `ReduceLROnPlateau` is given the loss of the validation data, or of the training where there are
    none.

    Floats enter the model in the dtype of its parameters, integers stay integers; a target (N,) is
    a column for an output (N, 1). `state` is the progress made.

    `distributed=True` trains on all processes that `mpiexec -n 4 python script.py` starts; `ranks`
    has this one's number. Each is given all data, begins with the state of rank 0 and takes its
    share of every batch, so the steps are those of one process, to rounding, except that batch norm
    takes mean and variance of the share (two samples at least), averages only running statistics,
    and dropout draws other masks on each rank. `History` and `evaluate` give the same numbers on
    every rank. `save` writes on rank 0, callbacks are called on all. Ctrl-C on one rank ends the
    training on all after the same step; an error on one ends the job.

    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = mg.nn.Linear(2, 1)
    >>> trainer = mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters(), lr=0.1))
    >>> history = trainer.fit(x, x @ [[1.0], [-2.0]], epochs=30, batch_size=20, progress=False)
    >>> model.weight.value.round(1)
    array([[ 1., -2.]], dtype=float32)
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        mode: str = "compiled",
        scheduler: LRScheduler | None = None,
        scheduler_step: str | None = None,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Iterable[Any] = (),
        distributed: bool = False,
    ) -> None:
        one_of("Trainer", "mode", mode, MODES)
        _need("model", model, Module, "a Module")
        _need("loss", loss, Callable, "a function of output and target")
        _need("optimizer", optimizer, Optimizer, "an Optimizer")
        _need("callbacks", callbacks, Iterable, "a list of functions")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.mode, self.callbacks = mode, list(callbacks)
        self.metrics = dict(metrics or {})
        for name, metric in self.metrics.items():
            _need(f"the metric {name}", metric, Callable, "a function of output and target")
        if taken := TAKEN & self.metrics.keys():
            raise ValueError(
                f"Trainer: a metric has the name {taken.pop()}, which stands for another"
            )
        self.scheduler, self.scheduler_step = scheduler, "epoch"
        if scheduler is not None:
            _need("scheduler", scheduler, LRScheduler, "a schedule of mg.optim.lr_scheduler")
            units = ("epoch",) if isinstance(scheduler, ReduceLROnPlateau) else ("epoch", "batch")
            self.scheduler_step = scheduler_step or scheduler.unit
            one_of("Trainer", "scheduler_step", self.scheduler_step, units)
        self.state, self.ranks = TrainingState(), Ranks(distributed)
        self._evaluator = Evaluator()
        self._check_callbacks()

    def fit(
        self,
        x: Samples | Iterable[Any],
        y: Samples | None = None,
        *,
        epochs: int,
        batch_size: int | None = None,
        validation: tuple[Samples, Samples] | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        sample_weight: ArrayLike | None = None,
        progress: bool = True,
        resume: bool = False,
    ) -> History:
        """Go through (x, y) `epochs` times in batches of `batch_size`; the last may be smaller.

        With `drop_last` it is left out then. x and y are arrays, in memory or, larger than that, in
        files (`np.load(path, mmap_mode="r")`); or tuples or dicts of arrays: the model is called as
        `model(*x)` or `model(**x)`, and the loss gets all of y, and all that the model returns. Or
        x is an iterable of batches (x, y) that has a length, without y and `batch_size`; each epoch
        iterates over it again, in its order. Maps and iterables are read ahead in a background
        thread, which also runs an iterable's own code. `shuffle` orders the samples of each epoch
        by a generator started from `seed`; without one, the first fit starts it from 0, and each
        later one goes on with new orders. `sample_weight` (N,) are factors of the losses of the
        samples, which the loss gives with `reduction="none"`; their mean over a batch is trained
        (factors for classes: `functools.partial(mg.cross_entropy, weight=…)`). `validation` is
        (x, y) to evaluate after each epoch. A loss that is not finite is a `GraphError` that names
        the epoch, the batch and the first bad node; the step is not made.

        Ctrl-C ends the training after the present step (a second one at once), or after the
        function that is being compiled, and leaves a usable model. `resume=True` continues there,
        or where a loaded checkpoint was, until `epochs` are done in all; `seed` is ignored then.
        With the other arguments unchanged, the numbers are those of an uninterrupted training, to
        the bit. The `History` begins with the first new step. An iterable is read from the start of
        the epoch, batches already done are skipped: it must give the same ones.
        """
        loss = self.loss
        if sample_weight is not None:
            if y is None or isinstance(y, tuple | dict) or self.ranks.size > 1:
                raise ValueError(
                    "Trainer: sample_weight is for one array y on one rank; otherwise give the "
                    "weights to the loss as a target"
                )
            y, loss = (y, sample_weight), Weighted(self.loss)
        data = training_data(x, y, batch_size, self.dtype, drop_last)
        positive("Trainer", epochs=epochs)
        self._check_callbacks()
        checked = validation_data(validation, self.dtype)
        if self.ranks.size > 1:
            call = {"seed": seed, "epochs": epochs, "shuffle": shuffle, "resume": resume}
            align(self, data, call | {"drop_last": drop_last})
        state = self.state if resume and self.state.length else TrainingState(seed, self.state)
        state.enter(data.length, data.batch_size)
        self.state, state.epochs = state, epochs
        return _Fit(self, data, checked, shuffle, loss).run(epochs, progress)

    def evaluate(self, x: Samples, y: Samples) -> dict[str, float]:
        """Mean loss and accuracy over all samples, as {"loss": …, "accuracy": …}, and the metrics.

        A prediction is right if the largest of several outputs is at the class id, or if a single
        output is on the right side of 0.5 (of 0 for a loss on logits); the accuracy is NaN for
        targets that are no classes, for several outputs or targets, and for a loss of one's own
        with a single output that is not between 0 and 1. A metric gets the outputs and the targets
        of all samples, as arrays; one that is named "accuracy" takes its place.
        """
        return self._scores(x, y, self.metrics)

    def _scores(self, x: Samples, y: Samples, metrics: Mapping[str, Metric]) -> dict[str, float]:
        inputs, targets = as_pair(x, y, self.dtype)
        loss, right, outputs = 0.0, 0.0, list[Any]()
        with in_mode(self.model, training=False):
            for chosen, batch in self._graphs(inputs, targets):
                loss += batch.graph.head.item() * len(chosen)
                right += float(correct(batch.output, take(targets, chosen), self.loss).sum())
                if metrics:
                    outputs.append(each(lambda node: node.value.copy(), batch.output))
        scores = {"loss": loss / count(inputs), "accuracy": right / count(inputs)}
        if metrics:
            together = each(lambda *parts: np.concatenate(parts), *outputs)
            scores |= measured(metrics, together, each(np.asarray, targets))
        return scores

    def predict(self, x: Samples) -> Any:
        """The model's outputs for all samples, concatenated: an array, or a tuple or dict."""
        inputs = as_samples(x, self.dtype)
        with in_mode(self.model, training=False):
            graphs = self._graphs(inputs, None)
            outputs = [each(lambda node: node.value.copy(), batch.output) for _, batch in graphs]
        return each(lambda *parts: np.concatenate(parts), *outputs)

    def compile(self, x: Samples, y: Samples, *, batch_size: int) -> CompiledStep:
        """Compile the training step that `mode="compiled"` runs, for batches of data like (x, y).

        Its `source` is the generated code. Raises `GraphError` that names the operator for what
        cannot be compiled.
        """
        inputs, targets = as_pair(x, y, self.dtype)
        return self._runner(self.loss).compile(inputs, targets, batch_size)

    def state_dict(self) -> dict[str, Array]:
        """Copies of all that resuming needs, as arrays by name; `mg.save` writes them."""
        return collect(self.model, self.optimizer, self.state, self.scheduler)

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Restore what `state_dict` returned.

        Raises `GraphError`, `ShapeError` or `DTypeError` where something differs; nothing is
        changed then.
        """
        self.state = restore(self.model, self.optimizer, self.scheduler, arrays)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters, and of all floats that enter the model."""
        return self.optimizer.params[0].dtype

    def _graphs(self, x: Samples, y: Samples | None) -> Iterator[tuple[Array, BatchGraph]]:
        if self.mode == "compiled":
            return self._evaluator.graphs(self.model, self.loss, x, y, self.dtype)
        return batch_graphs(self.model, self.loss, x, y, eager=self.mode == "eager")

    def _runner(self, loss: Loss) -> StepRunner:
        single = self.ranks.size == 1
        return StepRunner(self.model, loss, self.optimizer, self.mode, updates=single)

    def _check_callbacks(self) -> None:
        for callback in self.callbacks:
            if not hasattr(callback, "on_batch"):
                expected = "a function of trainer and history, or a thing with on_batch,"
                _need("a callback", callback, Callable, expected)
            elif self.mode == "compiled":
                raise GraphError(
                    f"Trainer: {callback!r} has on_batch, which no compiled step calls; use "
                    f'mode="replay"'
                )
        if self.scheduler is not None and self.scheduler.optimizer is not self.optimizer:
            raise ValueError(
                "Trainer: the scheduler is another optimiser's; this one's was expected"
            )


class _Stop(Exception):
    """A callback ends the training."""


class _Fit:
    """One call of `Trainer.fit`: the loop over epochs and batches."""

    def __init__(
        self,
        trainer: Trainer,
        data: SampleArrays | Batches,
        validation: Any,
        shuffle: bool,
        loss: Loss,
    ) -> None:
        self.loss = loss
        self.trainer, self.data, self.validation, self.shuffle = trainer, data, validation, shuffle
        self.state, self.ranks, self.guard = trainer.state, trainer.ranks, trainer.ranks.guard
        self.history = History()
        self.each_batch = trainer.scheduler if trainer.scheduler_step == "batch" else None
        self._renew()

    def _renew(self) -> None:
        """Drop graphs and compiled steps: model, loss or optimiser may have changed."""
        self.runner = self.trainer._runner(self.loss)
        self.buffers = self.trainer.model.buffers()

    def run(self, epochs: int, progress: bool) -> History:
        """The epochs that are left, until all are done or Ctrl-C."""
        data, state = self.data, self.state
        done = state.epoch * data.steps + state.batch
        # of the optimiser, so that many short fits are compiled, and one that is resumed as before
        left = epochs * data.steps - done
        self.steps = self.trainer.optimizer.steps + left
        if schedule := self.trainer.scheduler:  # raises what it would raise in the end
            last = schedule.last_epoch + (left if self.each_batch else epochs - state.epoch)
            schedule.numbers(np.array([last]), 0.0)
        with self.ranks.together(), self.guard.installed():
            with self.guard:  # Ctrl-C within tqdm would leave its lock taken
                self.bar = progress_bar(
                    progress and self.ranks.first,
                    total=epochs * data.steps,
                    initial=done,
                    unit="step",
                    desc="" if self.trainer.mode == "compiled" else self.trainer.mode,
                )
            try:
                with in_mode(self.trainer.model, training=True), suppress(_Stop):
                    while state.epoch < epochs:
                        self._epoch()
                self.ranks.finish()
            except KeyboardInterrupt as error:
                self.ranks.check_agreed(error)
                self.history.interrupted = True
            finally:
                with self.guard:
                    self.bar.close()
        return self.history

    def _epoch(self) -> None:
        """The rest of the present epoch, its validation and its callbacks."""
        state, started = self.state, time.perf_counter()
        self._batches()
        seconds = time.perf_counter() - started
        scores = None if self.validation is None else self.trainer.evaluate(*self.validation)
        with self.guard:
            self.history.close_epoch(state.total / state.seen, seconds, scores)
            state.end_epoch()
            self._end_schedule()
            last, shown = self.history.last, ("loss", *self.trainer.metrics)
            found = {name: f"{last[name]:.4f}" for name in shown if name in last}
            self.bar.set_postfix(epoch=state.epoch, **found)
        self._call(
            [callback for callback in self.trainer.callbacks if callable(callback)], self.history
        )
        if self.history.stopped:
            raise _Stop

    def _end_schedule(self) -> None:
        """Step a schedule that is stepped after each epoch."""
        schedule = self.trainer.scheduler
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(self.history.watched("loss"))
        elif schedule and not self.each_batch:
            schedule.step()

    def _call(self, callbacks: Sequence[Callable[..., object]], argument: object) -> None:
        """Call callbacks, which may change anything, or end the training.

        A checkpoint that they load restores model and optimiser; `fit` keeps counting its epochs.
        """
        said = [callback(self.trainer, argument) for callback in callbacks]
        if not all(getattr(callback, "only_looks", False) for callback in callbacks):
            self.trainer.state = self.state
            self._renew()
        if callbacks:
            self.history.stopped = self.ranks.any(one is True or one is np.True_ for one in said)

    def _batches(self) -> None:
        """The batches of the epoch that are left; Ctrl-C never parts a step from its record."""
        state, chunks = self.state, None
        try:
            with self.guard:  # Ctrl-C within the start of a thread would leave a lock taken
                chunks = self.data.chunks(state.order(self.shuffle), state.batch)
            for chunk in chunks:
                if self.trainer.mode == "compiled" and chunk.usual:
                    self._compiled_steps(chunk)
                while state.batch < chunk.end:
                    with self.guard:
                        self._step(chunk)
        finally:
            with self.guard:
                if chunks is not None:
                    chunks.close()

    def _step(self, chunk: Chunk) -> None:
        """One step in eager mode or replay. An exception restores the model's buffers."""
        state, before = self.state, [(buffer, buffer._data.copy()) for buffer in self.buffers]
        where = f"epoch {state.epoch + 1}, batch {state.batch + 1}"
        batch = chunk.rest(state.batch)[: chunk.size]
        mine = self.ranks.share(batch)
        watching = [c.on_batch for c in self.trainer.callbacks if hasattr(c, "on_batch")]
        try:
            loss, graph = self.runner.gradients(
                take(chunk.x, mine), take(chunk.y, mine), where, keep=not watching
            )
            if self.ranks.size > 1:
                grads = [p.grad for p in self.runner.optimizer.params if p.grad is not None]
                loss = self.ranks.average(loss, [*grads, *self._statistics()])
            self._call(watching, graph)
            self.trainer.optimizer.step()
        except BaseException:
            for buffer, kept in before:
                buffer._data[...] = kept
            raise
        self._record([loss], len(batch))
        if self.history.stopped:
            raise _Stop

    def _compiled_steps(self, chunk: Chunk) -> None:
        """A chunk's batches, a few at a time, so that the bar moves and Ctrl-C works.

        Of smaller batches than usual none, unless the compiled step serves them, too.
        """
        state, (x, y) = self.state, (each(np.ascontiguousarray, d) for d in (chunk.x, chunk.y))
        if self.ranks.size > 1 and chunk.size < chunk.usual:  # shares may differ in size
            return
        with described(self.bar, "compiling the step …", self.guard):
            shares = (len(self.ranks.share(np.arange(n))) for n in (chunk.size, chunk.usual))
            step = self.runner.compiled(x, y, *shares)
            if step is None:
                return
            step.check(x, y)
            few = not step.worth_loading(self.steps)
            if not few:
                step.load()
        with self.guard:
            self.bar.set_description_str("replay, for few steps" if few else "compiled")
        if few:
            return
        steps = 1
        while state.batch < chunk.end:
            started = time.perf_counter()
            losses = np.zeros(min(steps, chunk.end - state.batch), self.trainer.dtype)
            with self.guard:
                made = self._run(step, x, y, chunk, losses)
                self._record(losses[:made].tolist(), chunk.size)
                if made < len(losses):  # again in replay, which names the node of a loss not finite
                    self._step(chunk)
            if self.ranks.size == 1:
                steps = max(1, int(steps * 0.1 / (time.perf_counter() - started)))

    def _run(self, step: CompiledStep, x: Samples, y: Samples, chunk: Chunk, losses: Array) -> int:
        """Make compiled steps, with several ranks only one; returns how many were made."""
        rest = chunk.rest(self.state.batch)
        if self.ranks.size == 1:
            return step.run(x, y, rest, losses, self.each_batch)
        if not step.run(x, y, self.ranks.share(rest[: chunk.size]), losses):
            return 0
        gradient = step.arena.G.sum(0)  # a copy: the step clears only the rows that it has written
        losses[0] = self.ranks.average(float(losses[0]), [gradient, *self._statistics()])
        step.update(gradient)
        return 1

    def _record(self, losses: list[float], samples: int) -> None:
        """Record steps that were made, each on this many samples."""
        self.history.batch_loss += losses
        self.state.record(losses, samples)
        if self.each_batch:
            self.each_batch.advance(len(losses))
        self.bar.update(len(losses))

    def _statistics(self) -> list[Array]:
        """The running statistics of batch norm."""
        return [buffer._data for buffer in self.buffers if buffer.dtype.kind == "f"]


def _need(name: str, value: object, kind: Any, expected: str) -> None:
    if not isinstance(value, kind):
        found = f"a {type(value).__name__}"
        if isinstance(value, type):
            found = f"the class {value.__name__}"
        raise TypeError(f"Trainer: {name} is {found}; {expected} was expected")
