"""Models as scikit-learn estimators, for `Pipeline`, `GridSearchCV` and everything like them."""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from . import ops, optim, seeds
from .checks import one_of
from .errors import DataError, DTypeError, GraphError, ShapeError
from .files import as_path, write_atomically
from .graph.conversion import Array
from .graph.node import Constant, GraphNode
from .nn import Module
from .train import Trainer
from .train.checkpoint import read_arrays

__all__ = ["MinigradClassifier", "MinigradRegressor"]

OPTIMIZERS = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop}
MODULE = "module__"  # before the names of make_model's arguments
MOST_METADATA = 1 << 24  # characters; as Python lists and strings they take far more memory
MOST_LABELS = 1 << 24  # bytes of an array of labels, whose room a file only claims
Task = tuple[Callable[..., GraphNode], Array]


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """The common part of classifier and regressor.

    A subclass defines `_task`, its loss and targets, and adds its part of a file's metadata to
    `_facts` and `_restore`.
    """

    #: (outputs, y) -> the loss, and its targets; `ShapeError` where the model's outputs do not fit
    _task: Callable[[Array, Array], Task]

    def __init__(
        self,
        make_model: Callable[..., Module],
        *,
        optimizer: str = "adam",
        lr: float = 1e-3,
        epochs: int = 10,
        batch_size: int = 64,
        seed: int = 0,
        mode: str = "compiled",
        **module: Any,
    ) -> None:
        for name in module:
            if not name.startswith(MODULE):
                expected = f"{MODULE}… was expected for an argument of make_model"
                raise TypeError(f"{type(self).__name__}: there is no option {name}; {expected}")
        self.__dict__.update(module)
        self.make_model, self.optimizer, self.lr, self.epochs = make_model, optimizer, lr, epochs
        self.batch_size, self.seed, self.mode = batch_size, seed, mode

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options by name, those of the model as module__name."""
        return {**super().get_params(deep), **_of_module(self.__dict__)}

    def set_params(self, **params: Any) -> Self:
        """Set options by name, those of the model as module__name."""
        own = _of_module(params)
        self.__dict__.update(own)
        super().set_params(**{name: params[name] for name in params.keys() - own})
        return self

    # ---------------- fitting and predicting
    def _fit(self, x: Array, y: Array) -> Self:
        """Train a new model. Ctrl-C keeps what was learnt, and is raised again to end a search."""
        one_of(type(self).__name__, "optimizer", self.optimizer, OPTIMIZERS)
        with seeds.seeded(self.seed):
            model = self._new_model()
            x = self._enter(model, x)
            loss, targets = self._task(self._outputs(model, x[:2]), y)
            optimizer = OPTIMIZERS[self.optimizer](model.parameters(), lr=self.lr)
            trainer = Trainer(model, loss, optimizer, mode=self.mode)
            history = trainer.fit(
                x,
                targets,
                epochs=self.epochs,
                batch_size=self.batch_size,
                seed=self.seed,
                progress=False,
            )
        self.model_, self.history_ = model.eval(), history
        if history.interrupted:
            raise KeyboardInterrupt
        return self

    def _new_model(self) -> Module:
        usable = callable(self.make_model) and not isinstance(self.make_model, Module)
        own = {name.removeprefix(MODULE): x for name, x in _of_module(self.__dict__).items()}
        model = self.make_model(**own) if usable else None
        if not isinstance(model, Module):
            expected = "a function that returns a new Module was expected"
            raise TypeError(f"{type(self).__name__}: make_model={self.make_model!r}; {expected}")
        return model

    def _enter(self, model: Module, x: Array) -> Array:
        """x in a dtype that the model takes: integers (token ids) stay, where it takes integers."""
        if x.dtype.kind != "f":
            try:
                self._outputs(model, x[:2])
            except DTypeError:
                return x.astype(model.parameters()[0].dtype)
        return x

    def _outputs(self, model: Module, x: Array) -> Array:
        """The model's outputs for samples, in evaluation mode."""
        unused = optim.SGD(model.parameters(), lr=1.0)
        outputs = Trainer(model, ops.mse_loss, unused, mode="replay").predict(x)
        if not isinstance(outputs, np.ndarray):
            raise GraphError(
                f"{type(self).__name__}: the model returned a {type(outputs).__name__}; one node "
                f"was expected"
            )
        return outputs

    def _predict(self, X: ArrayLike) -> Array:
        """The fitted model's outputs for all samples."""
        check_is_fitted(self)
        x = self._enter(self.model_, validate_data(self, X, reset=False, allow_nd=True))
        return self._outputs(self.model_, x)

    def _misfit(self, outputs: Array, expected: str) -> ShapeError:
        found = f"the model's output has shape {outputs.shape}"
        return ShapeError(f"{type(self).__name__}: {found}; {expected}")

    # ---------------- persistence
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a safetensors file, without pickle.

        `mg.load` and PyTorch read its parameters; classes and names of features are in the file's
        metadata. `make_model` is code, and is not saved.
        """
        from safetensors.numpy import save as to_bytes

        name = type(self).__name__
        path = as_path(f"{name}.save", path)
        check_is_fitted(self)
        try:
            text = json.dumps(self._facts())
            self._restored(text)  # or `load` would refuse the file
        except (TypeError, ValueError) as error:
            raise DTypeError(
                f"{name}: classes that are numbers or strings were expected ({error})"
            ) from None
        write_atomically(path, to_bytes(self.model_.state_dict(), {"minigrad": text}))

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Read a file of `save` into a new model from `make_model`. Returns the estimator.

        Raises `DataError` for a file that `save` did not write, `GraphError` or `ShapeError` where
        the model differs; the estimator is unchanged then.
        """
        from safetensors import safe_open

        name = type(self).__name__
        path = as_path(f"{name}.load", path)
        state = read_arrays(path)
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get("minigrad", "{}")
        try:
            loaded = self._restored(text)
        except (TypeError, ValueError, LookupError, OverflowError, RecursionError) as error:
            raise DataError(f"{path} was not written by {name}.save: {error}") from None
        loaded.model_ = self._new_model().eval()
        loaded.model_.load_state_dict(state)
        self.__dict__ = loaded.__dict__
        return self

    def _restored(self, text: str) -> Self:
        """A new estimator, fitted according to a file's metadata, which may hold anything.

        They are valid if `save` would write the same. Raises `TypeError`, `ValueError`,
        `LookupError`, `OverflowError` or `RecursionError` where they are not.
        """
        if len(text) > MOST_METADATA:
            expected = f"at most {MOST_METADATA:,} were expected"
            raise ValueError(f"{len(text):,} characters of metadata; {expected}")
        facts, new = json.loads(text), type(self)(**self.get_params(deep=False))
        new._restore(facts)
        held, found = (json.dumps(each, sort_keys=True) for each in (facts, new._facts()))
        if held != found:
            raise ValueError(f"its metadata {reprlib.repr(held)} mean {reprlib.repr(found)}")
        return new

    def _facts(self) -> dict[str, Any]:
        """The fitted attributes as a file's metadata."""
        facts = {"estimator": type(self).__name__, "n_features_in_": self.n_features_in_}
        if hasattr(self, "feature_names_in_"):
            facts["feature_names_in_"] = self.feature_names_in_.tolist()
        return facts

    def _restore(self, facts: dict[str, Any]) -> None:
        """Set the fitted attributes. `_restored` checks that they say what the metadata say."""
        self.n_features_in_ = max(1, int(facts["n_features_in_"]))
        if "feature_names_in_" in facts:
            names = np.array([str(name) for name in facts["feature_names_in_"]], dtype=object)
            self.feature_names_in_ = names.reshape(self.n_features_in_)


def _of_module(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name.startswith(MODULE)}


class MinigradClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]  # as above
    """A classifier for scikit-learn.

    `make_model()` returns a new `Module` that gives a logit per class (N, classes), or, of two
    classes, that of the second alone (N, 1). Options `module__x=…` are its arguments, in searches
    too: `GridSearchCV(MinigradClassifier(make_model), {"module__hidden": [8, 32]})`. `optimizer`
    is "sgd", "adam", "adamw" or "rmsprop"; `lr`, `epochs`, `batch_size` and `mode` are as in the
    optimiser and the `Trainer`; `seed` decides the initial weights and the order of the samples.
    Floats enter the model in the dtype of its parameters; integers stay integers where the model
    takes them (token ids), and become floats where it does not. `fit` sets `classes_`, `model_`,
    `history_` and `n_features_in_`.

    >>> data = mg.data.circle(200)
    >>> def make():
    ...     return mg.nn.Sequential(mg.nn.Linear(2, 8), mg.nn.Tanh(), mg.nn.Linear(8, 2))
    >>> model = mg.sklearn.MinigradClassifier(make, lr=0.02, epochs=2, mode="eager")
    >>> model.fit(data.x_train, data.y_train).predict(data.x_test).shape
    (40,)
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a new model on X (N, …) and labels y (N,) of any kind.

        Raises `ShapeError` where the model's outputs do not fit the classes, `ValueError` for fewer
        than two classes.
        """
        x, labels = validate_data(self, X, y, allow_nd=True)
        check_classification_targets(labels)
        classes, ids = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__}: y has one class, {classes[0]!r}; at least two were "
                f"expected"
            )
        self.classes_ = classes
        return self._fit(x, ids)

    def _task(self, outputs: Array, y: Array) -> Task:
        if self._checked(outputs).shape[1:] == (1,):
            return ops.binary_cross_entropy_with_logits, y.astype(np.float64)
        return ops.cross_entropy, y

    def _checked(self, outputs: Array) -> Array:
        """The outputs. Raises `ShapeError` unless they are logits of the classes."""
        n = len(self.classes_)
        if outputs.shape[1:] not in ([(2,), (1,)] if n == 2 else [(n,)]):
            logits = f"logits (N, {n}){' or (N, 1)' if n == 2 else ''}"
            expected = f"{logits}, one for each of the {n} classes, were expected"
            raise self._misfit(outputs, expected)
        return outputs

    def _logits(self, X: ArrayLike) -> Array:
        """A logit for each class (N, classes); where the model gives one, the first class has 0."""
        logits = self._checked(self._predict(X))
        return np.hstack([np.zeros_like(logits), logits]) if logits.shape[1] == 1 else logits

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities (N, classes), in the order of `classes_`."""
        logits = self._logits(X)
        return ops.softmax(Constant(logits, dtype=logits.dtype)).value

    def predict(self, X: ArrayLike) -> Array:
        """The most probable class of each sample (N,)."""
        found: Array = self._logits(X).argmax(axis=1)
        return self.classes_[found]

    def _facts(self) -> dict[str, Any]:
        about = {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}
        return super()._facts() | about

    def _restore(self, facts: dict[str, Any]) -> None:
        super()._restore(facts)
        values, dtype = facts["classes"], facts["dtype"]
        plain = re.fullmatch(r"[<>|][biufUO]\d*", dtype)
        if not plain or len(values) * np.dtype(dtype).itemsize > MOST_LABELS:
            raise ValueError(f"{len(values)} classes of dtype {dtype}")
        with np.errstate(all="ignore"):
            self.classes_ = found = np.array(values, dtype)
        if not (found.ndim == 1 < found.size and np.all(found[1:] > found[:-1])):
            raise ValueError(f"classes {reprlib.repr(values)}; different ones, in order, expected")


class MinigradRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]  # as above
    """A regressor for scikit-learn, trained with the mean squared error.

    `make_model()` returns a new `Module` that gives predictions (N, 1) or (N,) for targets (N,),
    and (N, targets) for targets (N, targets); everything else is as in `MinigradClassifier`.

    >>> x = np.linspace(0, 1, 40).reshape(-1, 1)
    >>> model = mg.sklearn.MinigradRegressor(lambda: mg.nn.Linear(1, 1), lr=0.1, mode="eager")
    >>> bool(model.fit(x, 2 * x[:, 0]).score(x, 2 * x[:, 0]) > 0.5)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a new model on X (N, …) and numbers y, (N,) or (N, targets).

        Raises `ShapeError` where the model's outputs do not fit the targets.
        """
        options = {"allow_nd": True, "multi_output": True, "y_numeric": True}
        return self._fit(*validate_data(self, X, y, **options))

    def _task(self, outputs: Array, y: Array) -> Task:
        self._column = y.ndim == 1 and outputs.shape[1:] == (1,)
        if not self._column and outputs.shape[1:] != y.shape[1:]:
            raise self._misfit(outputs, f"one for targets {y.shape} was expected")
        return ops.mse_loss, y.astype(outputs.dtype)

    def predict(self, X: ArrayLike) -> Array:
        """Predictions, in the shape of the targets: (N,) or (N, targets)."""
        found = self._predict(X)
        return found.reshape(len(found)) if self._column else found

    def _facts(self) -> dict[str, Any]:
        return super()._facts() | {"column": self._column}

    def _restore(self, facts: dict[str, Any]) -> None:
        super()._restore(facts)
        self._column = facts["column"] is True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
