"""Models as scikit-learn estimators, for `Pipeline`, `GridSearchCV` and everything like them."""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
)
from sklearn.utils.multiclass import (
    check_classification_targets,
)
from sklearn.utils.validation import (
    check_is_fitted,
    validate_data,
)

from . import ops, optim, seeds
from .checks import one_of
from .errors import DataError, DTypeError, ShapeError
from .files import as_path, write_atomically
from .graph.conversion import Array
from .graph.node import Constant, GraphNode
from .nn import Module
from .train import Trainer
from .train.checkpoint import read_arrays

OPTIMIZERS = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop}
MOST_METADATA = 1 << 24  # characters; as Python lists and strings they take far more memory
#: kinds of dtypes of labels -> their types in JSON; others are numbers
LABELS: dict[str, tuple[type, ...]] = {
    "U": (str,),
    "b": (bool,),
    "O": (str, bool, int, float),
}
MOST_ROOM = 1 << 20  # characters of an array of labels
Task = tuple[Callable[..., GraphNode], Array]


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """The common part of classifier and regressor.

    A subclass defines `_task`, its loss and targets; `_facts`, its part of a file's metadata; and
    `_attributes`, which reads that part.
    """

    def __init__(
        self,
        make_model: Callable[[], Module],
        *,
        optimizer: str = "adam",
        lr: float = 1e-3,
        epochs: int = 10,
        batch_size: int = 64,
        seed: int = 0,
        mode: str = "compiled",
    ) -> None:
        self.make_model, self.optimizer, self.lr, self.epochs = make_model, optimizer, lr, epochs
        self.batch_size, self.seed, self.mode = batch_size, seed, mode

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
        self.model_, self.history_ = model, history
        if history.interrupted:
            raise KeyboardInterrupt
        return self

    def _task(self, outputs: Array, y: Array) -> Task:
        """The loss, and its targets. Raises `ShapeError` where the model's outputs do not fit."""
        raise NotImplementedError

    def _new_model(self) -> Module:
        usable = callable(self.make_model) and not isinstance(self.make_model, Module)
        model = self.make_model() if usable else None
        if not isinstance(model, Module):
            expected = "a function without arguments that returns a new Module was expected"
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
        return Trainer(model, ops.mse_loss, unused, mode="replay").predict(x)

    def _predict(self, X: npt.ArrayLike) -> Array:
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

        path = as_path(f"{type(self).__name__}.save", path)
        check_is_fitted(self)
        facts = {
            "estimator": type(self).__name__,
            "n_features_in_": self.n_features_in_,
            **self._facts(),
        }
        if hasattr(self, "feature_names_in_"):
            facts["feature_names_in_"] = self.feature_names_in_.tolist()
        try:
            text = json.dumps(facts)
            self._attributes(json.loads(text))  # or `load` would refuse the file
        except (TypeError, ValueError) as error:
            raise DTypeError(
                f"{type(self).__name__}: classes that are numbers or strings were expected "
                f"({error})"
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
            if len(text) > MOST_METADATA:
                expected = f"at most {MOST_METADATA:,} were expected"
                raise ValueError(f"{len(text):,} characters of metadata; {expected}")
            facts = json.loads(text)
            kind = facts.get("estimator") if isinstance(facts, dict) else None
            if kind != name:
                raise _invalid("estimator", kind, f"{name} was expected")
            found = {**_features(facts), **self._attributes(facts)}
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DataError(f"{path} was not written by {name}.save: {error}") from None
        model = self._new_model().eval()
        model.load_state_dict(state)
        for earlier in {"history_", "feature_names_in_"} & vars(self).keys():
            delattr(self, earlier)
        self.__dict__.update(found, model_=model)
        return self

    def _facts(self) -> dict[str, Any]:
        raise NotImplementedError

    def _attributes(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Attributes from a file's metadata. Raises `ValueError` where they are not valid."""
        raise NotImplementedError


def _invalid(name: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{name} is {reprlib.repr(value)}; {expected}")


def _features(facts: dict[str, Any]) -> dict[str, Any]:
    """Number and names of the features, from a file's metadata."""
    features, names = facts.get("n_features_in_"), facts.get("feature_names_in_")
    if type(features) is not int or not 1 <= features <= np.iinfo(np.int64).max:
        raise _invalid("n_features_in_", features, "an integer ≥ 1 was expected")
    if names is None:
        return {"n_features_in_": features}
    strings = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not strings or len(names) != features:
        raise _invalid("feature_names_in_", names, f"{features} strings were expected")
    return {"n_features_in_": features, "feature_names_in_": np.array(names, dtype=object)}


def _classes(values: Any, dtype: Any) -> Array:
    """Labels from a file's metadata. Raises `ValueError` unless they are different and sorted.

    An array of strings gives each the room of the longest. So the length in the dtype is ignored,
    and where that room would be out of proportion, the labels stay Python strings.
    """
    form = re.fullmatch(r"[<>|]([biufUO])\d*", dtype if isinstance(dtype, str) else "")
    if form is None:
        raise _invalid("the dtype of classes", dtype, "numbers or strings were expected")
    types = LABELS.get(form[1], (int, float))
    fits = isinstance(values, list) and all(type(value) in types for value in values)
    if not fits or len(values) < 2:
        raise _invalid("classes", values, f"at least two labels of dtype {dtype} were expected")
    if form[1] == "U":
        dtype = str if len(values) * max(map(len, values)) < MOST_ROOM else object
    with np.errstate(all="ignore"):
        array = np.array(values, dtype)
    if array.tolist() != values or not np.array_equal(np.unique(array), array):
        raise _invalid(
            "classes", values, f"different values of {array.dtype} in their order were expected"
        )
    return array


class MinigradClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]  # as above
    """A classifier for scikit-learn.

    `make_model()` returns a new `Module` that gives a logit per class (N, classes), or, of two
    classes, that of the second alone (N, 1). `optimizer` is "sgd", "adam", "adamw" or "rmsprop";
    `lr`, `epochs`, `batch_size` and `mode` are as in the optimiser and the `Trainer`; `seed`
    decides the initial weights and the order of the samples. Floats enter the model in the dtype of
    its parameters; integers stay integers where the model takes them (token ids), and become floats
    where it does not. `fit` sets `classes_`, `model_`, `history_` and `n_features_in_`.
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
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
        n = len(self.classes_)
        if n == 2 and outputs.shape == (len(outputs), 1):
            return ops.binary_cross_entropy_with_logits, y.astype(np.float64)
        if outputs.shape != (len(outputs), n):
            logits = f"logits (N, {n}){' or (N, 1)' if n == 2 else ''}"
            expected = f"{logits}, one for each of the {n} classes, were expected"
            raise self._misfit(outputs, expected)
        return ops.cross_entropy, y

    def _logits(self, X: npt.ArrayLike) -> Array:
        """A logit for each class (N, classes); where the model gives one, the first class has 0.

        Raises `ShapeError` where the outputs do not fit the classes of a file.
        """
        logits, n = self._predict(X), len(self.classes_)
        if n == 2 and logits.shape[1:] == (1,):
            return np.hstack([np.zeros_like(logits), logits])
        if logits.shape[1:] != (n,):
            raise self._misfit(logits, f"outputs for {n} classes were expected")
        return logits

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Probabilities (N, classes), in the order of `classes_`."""
        logits = self._logits(X)
        return ops.softmax(Constant(logits, dtype=logits.dtype)).value

    def predict(self, X: npt.ArrayLike) -> Array:
        """The most probable class of each sample (N,)."""
        ids = self._logits(X).argmax(axis=1)
        found: Array = self.classes_[ids]
        return found

    def _facts(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def _attributes(self, facts: dict[str, Any]) -> dict[str, Any]:
        return {"classes_": _classes(facts.get("classes"), facts.get("dtype"))}


class MinigradRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]  # as above
    """A regressor for scikit-learn, trained with the mean squared error.

    `make_model()` returns a new `Module` that gives predictions (N, 1) or (N,) for targets (N,),
    and (N, targets) for targets (N, targets); everything else is as in `MinigradClassifier`.
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train a new model on X (N, …) and numbers y, (N,) or (N, targets).

        Raises `ShapeError` where the model's outputs do not fit the targets.
        """
        options = {"allow_nd": True, "multi_output": True, "y_numeric": True}
        return self._fit(*validate_data(self, X, y, **options))

    def _task(self, outputs: Array, y: Array) -> Task:
        shapes = [y.shape[1:], *([(1,)] if y.ndim == 1 else [])]
        if outputs.shape[1:] not in shapes:
            raise self._misfit(outputs, f"one for targets {y.shape} was expected")
        self._column = y.ndim == 1 and outputs.ndim == 2
        return ops.mse_loss, y.astype(outputs.dtype)

    def predict(self, X: npt.ArrayLike) -> Array:
        """Predictions, in the shape of the targets: (N,) or (N, targets)."""
        found = self._predict(X)
        if self._column and found.shape[1:] != (1,):
            raise self._misfit(found, "one column was expected")
        return found[:, 0] if self._column else found

    def _facts(self) -> dict[str, Any]:
        return {"column": self._column}

    def _attributes(self, facts: dict[str, Any]) -> dict[str, Any]:
        column = facts.get("column")
        if not isinstance(column, bool):
            raise _invalid("column", column, "true or false was expected")
        return {"_column": column}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
