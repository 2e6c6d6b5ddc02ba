"""scikit-learn: its own checks of estimators, and what users do with them."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import minigrad as mg
from minigrad import nn

MinigradClassifier, MinigradRegressor = mg.sklearn.MinigradClassifier, mg.sklearn.MinigradRegressor
IRIS = load_iris(return_X_y=True)

# ---------------- scikit-learn's checks
# They fit one estimator to data of many shapes, where a model of a user's has one shape; so this
# model is as wide as the data that the estimator is fitted to.
fitted = {"features": 2, "outputs": 1}


class FittingModel:
    def __call__(self):
        return nn.Sequential(
            nn.Linear(fitted["features"], 16, dtype=np.float64),
            nn.Tanh(),
            nn.Linear(16, fitted["outputs"], dtype=np.float64),
        )

    def __repr__(
        self,
    ):  # of a function it would be another one in each process, and the names of the tests with it
        return "fitting model"


fitting_model = FittingModel()


class FittingClassifier(MinigradClassifier):
    def _fit(self, x, y):
        fitted.update(features=x.shape[1], outputs=len(self.classes_))
        return super()._fit(x, y)


class FittingRegressor(MinigradRegressor):
    def _fit(self, x, y):
        fitted.update(features=x.shape[1], outputs=1 if y.ndim == 1 else y.shape[1])
        return super()._fit(x, y)


#: name of a check that need not pass, and why
NOT_APPLICABLE = {
    "check_do_not_raise_errors_in_init_or_set_params": "it takes `**module` for an option `module`"
}
SETTINGS = {"lr": 0.03, "epochs": 40, "batch_size": 25, "mode": "replay"}


@parametrize_with_checks(
    [FittingClassifier(fitting_model, **SETTINGS), FittingRegressor(fitting_model, **SETTINGS)],
    expected_failed_checks=lambda estimator: NOT_APPLICABLE,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# ---------------- in use
def iris_model(outputs=3):
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


def single_logit():
    return iris_model(1)


def classifier(make=iris_model, **settings):
    return MinigradClassifier(
        make, **{"lr": 0.03, "epochs": 30, "batch_size": 25, "mode": "replay", **settings}
    )


def test_the_defaults_are_those_of_the_contract():
    expected = {
        "optimizer": "adam",
        "lr": 1e-3,
        "epochs": 10,
        "batch_size": 64,
        "seed": 0,
        "mode": "compiled",
    }
    for kind in (MinigradClassifier, MinigradRegressor):
        assert kind(iris_model).get_params() == {"make_model": iris_model, **expected}


def test_compiled_in_a_pipeline_it_learns_iris_and_names_the_classes():
    names = np.array(["setosa", "versicolor", "virginica"])[IRIS[1]]
    pipe = make_pipeline(StandardScaler(), classifier(mode="compiled")).fit(IRIS[0], names)
    assert pipe.score(IRIS[0], names) > 0.93
    assert set(pipe.predict(IRIS[0])) == set(names)
    assert pipe[-1].classes_.tolist() == sorted(set(names))
    found = pipe.predict_proba(IRIS[0])
    assert found.shape == (150, 3) and np.allclose(found.sum(1), 1, atol=1e-6)
    replayed = make_pipeline(StandardScaler(), classifier()).fit(IRIS[0], names)
    np.testing.assert_allclose(replayed.predict_proba(IRIS[0]), found, atol=1e-4)


def test_one_logit_and_two_logits_of_two_classes():
    x, y = IRIS[0][:100], np.where(IRIS[1][:100] == 0, "no", "yes")
    for make in (single_logit, lambda: iris_model(2)):
        fitted = classifier(make).fit(x, y)
        assert fitted.score(x, y) > 0.95
        assert fitted.predict_proba(x).shape == (100, 2)
        np.testing.assert_array_equal(
            fitted.predict(x), fitted.classes_[fitted.predict_proba(x).argmax(1)]
        )


def test_probabilities_are_the_softmax_of_the_models_logits():
    fitted = classifier(epochs=2).fit(*IRIS)
    logits = fitted.model_(IRIS[0]).value.astype(float)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(IRIS[0]), expected, rtol=1e-5)


def test_grid_search_and_clone():
    search = GridSearchCV(
        classifier(), {"lr": [1e-6, 0.03], "optimizer": ["adam", "rmsprop"]}, cv=2, n_jobs=2
    )
    search.fit(*IRIS)
    assert search.best_params_["lr"] == 0.03 and search.best_score_ > 0.8
    other = clone(search.best_estimator_)
    assert (
        not hasattr(other, "model_") and other.get_params() == search.best_estimator_.get_params()
    )
    np.testing.assert_array_equal(other.fit(*IRIS).predict(IRIS[0]), search.predict(IRIS[0]))


def test_the_seed_decides_and_the_library_s_generator_is_left_alone():
    def first(**settings):
        return classifier(epochs=1, **settings).fit(*IRIS).predict_proba(IRIS[0])

    mg.manual_seed(5)
    expected = nn.init.generator().random()
    mg.manual_seed(5)
    one = first()
    assert nn.init.generator().random() == expected
    np.testing.assert_array_equal(one, first())
    assert not np.array_equal(one, first(seed=1))


def test_pictures_keep_their_axes_and_token_ids_stay_integers():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 20, (60, 5))
    y = (ids == 3).any(1)
    text = classifier(
        lambda: nn.Sequential(nn.Embedding(20, 6), nn.Flatten(), nn.Linear(30, 2)), epochs=60
    ).fit(ids, y)
    assert text.score(ids, y) > 0.9 and text.classes_.dtype == bool
    pictures = rng.normal(size=(40, 1, 4, 4))
    seen = classifier(
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)), epochs=2
    )
    assert seen.fit(pictures, np.arange(40) % 2).predict(pictures).shape == (40,)
    whole = rng.integers(0, 9, (60, 4))  # counts, for a model of floats
    assert classifier(epochs=1).fit(whole, np.arange(60) % 3).predict(whole).shape == (60,)


def test_regression_of_one_target_and_of_two():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = x @ [[1.0, 0.5], [0.0, -1.0], [2.0, 0.0], [0.0, 0.3]]
    settings = {"lr": 0.03, "epochs": 40, "batch_size": 20, "mode": "replay"}
    one = MinigradRegressor(single_logit, **settings).fit(x, y[:, 0])
    assert one.predict(x).shape == (200,) and one.score(x, y[:, 0]) > 0.95
    two = MinigradRegressor(lambda: iris_model(2), **settings).fit(x, y)
    assert two.predict(x).shape == (200, 2) and two.score(x, y) > 0.95


# ---------------- persistence without pickle
@pytest.mark.parametrize("names", [[0, 1, 2], ["a", "bb", "c"], [-1.0, 0.0, 2.0]])
def test_save_and_load_give_the_same_predictions(names, tmp_path):
    path = tmp_path / "iris.safetensors"
    labels = np.array(names)[IRIS[1]]
    one = classifier(epochs=5).fit(IRIS[0], labels)
    one.save(path)
    assert set(load_file(path)) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    other = classifier().load(path)
    np.testing.assert_array_equal(other.predict(IRIS[0]), one.predict(IRIS[0]))
    assert other.classes_.dtype == one.classes_.dtype and other.n_features_in_ == 4
    model = iris_model()
    mg.load(model, path)  # a plain file of parameters, too
    np.testing.assert_array_equal(
        model(IRIS[0]).value.argmax(1), np.searchsorted(one.classes_, one.predict(IRIS[0]))
    )


def test_a_regressor_keeps_the_shape_of_its_predictions(tmp_path):
    path = tmp_path / "r.safetensors"
    one = MinigradRegressor(single_logit, epochs=1, mode="replay").fit(IRIS[0], IRIS[1])
    one.feature_names_in_ = np.array(
        ["a", "b", "c", "d"], dtype=object
    )  # as a table of pandas would give them
    one.save(path)
    other = MinigradRegressor(single_logit).load(path)
    assert other.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    del other.feature_names_in_
    assert other.predict(IRIS[0]).shape == (150,)
    with pytest.raises(
        mg.errors.DataError, match=r"r\.safetensors.* not written by MinigradClassifier\.save"
    ):
        classifier().load(path)


def test_what_does_not_fit_changes_nothing(tmp_path):
    path = tmp_path / "x.safetensors"
    fitted = classifier(epochs=1).fit(*IRIS)
    before = fitted.predict_proba(IRIS[0])
    mg.save(iris_model(), path)
    with pytest.raises(mg.errors.DataError, match="not written by"):
        fitted.load(path)
    classifier(lambda: nn.Sequential(nn.Linear(4, 3)), epochs=1).fit(*IRIS).save(path)
    with pytest.raises(mg.GraphError, match="missing 2.weight"):
        fitted.load(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(mg.errors.DataError, match=r"x\.safetensors: not a whole"):
        fitted.load(path)
    np.testing.assert_array_equal(fitted.predict_proba(IRIS[0]), before)


# ---------------- files that somebody else has made
class Hostile:
    """A file with good parameters and metadata of somebody else's, and an estimator to load it
    into.
    """

    def __init__(self, folder, make=classifier):
        self.path, self.estimator = (
            folder / "x.safetensors",
            make(epochs=1, mode="replay").fit(*IRIS),
        )
        self.state = self.estimator.model_.state_dict()
        self.estimator.save(self.path)
        with safe_open(self.path, "numpy") as file:
            self.good = json.loads(file.metadata()["minigrad"])
        self.before = self.seen()

    def seen(self):
        held = {name: repr(value) for name, value in vars(self.estimator).items()}
        return held, {
            name: array.tobytes() for name, array in self.estimator.model_.state_dict().items()
        }

    def refuses(self, text):
        """Load a file with this metadata: a `DataError` that names it, nothing changed, no memory
        beyond the file's.
        """
        save_file(self.state, self.path, {"minigrad": text})
        size = self.path.stat().st_size
        tracemalloc.start()
        try:
            with pytest.raises(mg.errors.DataError, match=r"x\.safetensors"):
                self.estimator.load(self.path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert self.seen() == self.before
        assert peak < 40 * size + 2_000_000

    def with_facts(self, **changes):
        return json.dumps({**self.good, **changes})


WRONG = {
    "no JSON": "{",
    "no dict": "[]",
    "null": "null",
    "a number": "1e999",
    "nothing": "{}",
    "deep": "[" * 100_000,
    "deep within": '{"estimator": ' + "[" * 500 + "]" * 500 + "}",
    "a long number": "1" * 5000,
    "NaN": "NaN",
}
FACTS = {
    "estimator": ["MinigradRegressor", None, 3, ["MinigradClassifier"]],
    "n_features_in_": [None, 0, -1, True, 4.0, "4", [4], float("nan")],
    "feature_names_in_": [[], ["a"] * 3, ["a"] * 5, [1, 2, 3, 4], "abcd", {"a": 1}, 7],
    "classes": [
        None,
        [],
        [0],
        3,
        "abc",
        {"0": 1},
        [0, 1, 1],
        [2, 1, 0],
        [0, 1, [2]],
        [0, 1, None],
        [0, 1, "a"],
        [0.5, 1, 2],
        [0, 1, float("nan")],
        [0, 1, 1 << 70],
        [[0], [1], [2]],
        [{}] * 3,
        [False, True, 2],
    ],
    "dtype": [
        None,
        3,
        "",
        "f",
        "O",
        "V8",
        "S1",
        "<M8[s]",
        "<c16",
        "f8,f8",
        "(1000000000,)f8",
        "<U1000000000",
        "<U1",
        "?",
        "a" * 1000,
        ["<i8"],
        "<b1",
        "<i8; import os",
    ],
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return Hostile(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", WRONG)
def test_metadata_that_are_no_facts_are_refused(name, hostile):
    hostile.refuses(WRONG[name])


EACH = [(name, value) for name, values in FACTS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), EACH, ids=lambda x: repr(x)[:30])
def test_wrong_facts_are_refused(name, value, hostile):
    if name == "feature_names_in_" or value is not None:
        hostile.refuses(hostile.with_facts(**{name: value}))


@pytest.mark.parametrize("name", ["estimator", "n_features_in_", "classes", "dtype"])
def test_missing_facts_are_refused(name, hostile):
    hostile.refuses(json.dumps({key: value for key, value in hostile.good.items() if key != name}))


def test_a_dtype_takes_no_memory_that_the_file_has_not(hostile):
    """Labels with room for a thousand million characters each; and one long label, whose room each
    would get.
    """
    for labels in (["a", "b", "c"], ["a" * 10_000, *sorted({f"b{i:06}" for i in range(1000)})]):
        for dtype in ("<U1000000000", "<U10000"):
            if max(map(len, labels)) != 1 or dtype != "<U10000":
                hostile.refuses(hostile.with_facts(classes=labels, dtype=dtype))


def test_too_many_metadata_are_refused_before_they_are_read(hostile, monkeypatch):
    monkeypatch.setattr(mg.sklearn, "MOST_METADATA", 50)
    hostile.refuses(json.dumps(hostile.good))


def test_classes_that_the_model_does_not_have_are_found_out(hostile):
    for labels in ([0, 1], [0, 1, 2, 3]):
        save_file(hostile.state, hostile.path, {"minigrad": hostile.with_facts(classes=labels)})
        loaded = classifier().load(hostile.path)
        for ask in (loaded.predict, loaded.predict_proba):
            with pytest.raises(
                mg.ShapeError,
                match=rf"output has shape \(150, 3\); logits \(N, {len(labels)}\)",
            ):
                ask(IRIS[0])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["<i8", "|O", "<U3"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_facts_are_loaded_whole_or_refused(hostile, data):
    names = [*hostile.good, "feature_names_in_"]
    facts = {
        **hostile.good,
        **data.draw(st.dictionaries(st.sampled_from(names), JSON, min_size=1, max_size=3)),
    }
    save_file(hostile.state, hostile.path, {"minigrad": json.dumps(facts)})
    try:
        loaded = classifier().load(hostile.path)
    except mg.errors.DataError as error:
        assert "x.safetensors" in str(error)
    else:
        assert loaded.classes_.tolist() == facts["classes"] and len(loaded.classes_) > 1
        assert type(loaded.n_features_in_) is int and loaded.n_features_in_ > 0


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=200) | st.binary(max_size=200).map(lambda content: content.decode("latin-1"))
)
def test_any_text_is_refused(hostile, text):
    save_file(hostile.state, hostile.path, {"minigrad": text})
    with pytest.raises(mg.errors.DataError, match=r"x\.safetensors"):
        classifier().load(hostile.path)


@pytest.mark.parametrize("column", [None, 0, 1, "true", [True]])
def test_a_regressors_facts_are_looked_at_too(column, tmp_path):
    file = Hostile(tmp_path, lambda **options: MinigradRegressor(single_logit, **options))
    file.refuses(file.with_facts(column=column))
    file.refuses(json.dumps({key: value for key, value in file.good.items() if key != "column"}))


def test_a_regressor_takes_one_column_of_one_only(tmp_path):
    one = MinigradRegressor(lambda: iris_model(2), epochs=1, mode="replay").fit(
        IRIS[0], np.ones((150, 2))
    )
    one._column = True  # as a file could say
    one.save(tmp_path / "r.safetensors")
    with pytest.raises(ValueError, match=r"cannot reshape array of size 300 into shape \(150,\)"):
        MinigradRegressor(lambda: iris_model(2)).load(tmp_path / "r.safetensors").predict(IRIS[0])


def test_nothing_stays_of_an_earlier_fit(tmp_path):
    one = classifier(epochs=1, mode="replay").fit(*IRIS)
    one.save(tmp_path / "x.safetensors")
    one.feature_names_in_ = np.array(["a", "b", "c", "d"], dtype=object)
    one.load(tmp_path / "x.safetensors")
    assert not hasattr(one, "feature_names_in_") and not hasattr(one, "history_")


@pytest.mark.parametrize(
    "labels",
    [
        [False, True, True],
        np.array([1, 2, 3], "i1"),
        np.array(["b", "a", "cc"], object),
        np.array([0, 1, -2], "f4"),
        ["é", "層", "a b"],
    ],
    ids=repr,
)
def test_labels_of_every_kind_go_round(labels, tmp_path):
    labels = np.array(labels)
    outputs = len(np.unique(labels))
    one = classifier(lambda: iris_model(outputs), epochs=1, mode="replay").fit(
        IRIS[0], labels[IRIS[1]]
    )
    one.save(tmp_path / "x.safetensors")
    other = classifier(lambda: iris_model(outputs)).load(tmp_path / "x.safetensors")
    assert (
        other.classes_.dtype == one.classes_.dtype
        and other.classes_.tolist() == one.classes_.tolist()
    )


# ---------------- errors
@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: classifier(optimizer="lion").fit(*IRIS),
            ValueError,
            "optimizer='lion'; one of sgd, adam",
        ),
        (
            lambda: classifier(iris_model()).fit(*IRIS),
            TypeError,
            "a function that returns a new Module",
        ),
        (lambda: classifier(lambda: 3).fit(*IRIS), TypeError, "a function that returns"),
        (lambda: classifier(single_logit).fit(*IRIS), mg.ShapeError, "shape (2, 1); logits (N, 3)"),
        (
            lambda: classifier(lambda: nn.RNN(4, 3)).fit(np.zeros((6, 2, 4)), np.arange(6) % 2),
            mg.GraphError,
            "tuple",
        ),
        (
            lambda: MinigradRegressor(iris_model).fit(*IRIS),
            mg.ShapeError,
            "shape (2, 3); one for targets (150,)",
        ),
    ],
)
def test_bad_use_is_explained(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_ctrl_c_ends_a_search_and_leaves_what_was_learnt(monkeypatch):
    def impatient(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("minigrad.train.runner.StepRunner.gradients", impatient)
    one = classifier()
    with pytest.raises(KeyboardInterrupt):
        one.fit(*IRIS)
    assert one.history_.interrupted and one.predict(IRIS[0]).shape == (150,)


def test_it_is_imported_when_it_is_asked_for_and_is_not_scikit_learn():
    code = (
        "import sys, minigrad as mg; assert 'sklearn' not in sys.modules; name = "
        "mg.sklearn.__name__;"
        "import sklearn; print(name, sklearn.__name__)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert said.split() == ["minigrad.sklearn", "sklearn"]
    with pytest.raises(AttributeError, match="nothing"):
        _ = mg.nothing


# ---------------- hyperparameters of the model
def sized_model(hidden=8, activation=nn.Tanh):
    return nn.Sequential(nn.Linear(4, hidden), activation(), nn.Linear(hidden, 3))


def test_arguments_of_the_model_are_options_as_in_skorch():
    one = classifier(sized_model, module__hidden=5)
    assert one.get_params()["module__hidden"] == 5
    two = clone(one).set_params(module__hidden=6, module__activation=nn.ReLU, epochs=2)
    assert two.get_params() == {
        **one.get_params(),
        "module__hidden": 6,
        "module__activation": nn.ReLU,
        "epochs": 2,
    }
    assert one.get_params()["module__hidden"] == 5 and "module__hidden=5" in repr(one)
    fitted = two.fit(*IRIS)
    assert fitted.model_[0].weight.shape == (6, 4) and isinstance(fitted.model_[1], nn.ReLU)
    assert not fitted.model_.training


def test_a_grid_search_over_the_arguments_of_the_model_in_a_pipeline(tmp_path):
    pipe = make_pipeline(StandardScaler(), classifier(sized_model, epochs=40))
    grid = {"minigradclassifier__module__hidden": [1, 16]}
    search = GridSearchCV(pipe, grid, cv=3).fit(*IRIS)
    assert search.best_params_ == {"minigradclassifier__module__hidden": 16}
    best = search.best_estimator_[-1]
    assert best.model_[0].weight.shape == (16, 4)
    best.save(tmp_path / "model.safetensors")
    again = classifier(sized_model, module__hidden=16).load(tmp_path / "model.safetensors")
    x = search.best_estimator_[0].transform(IRIS[0])
    np.testing.assert_array_equal(again.predict(x), best.predict(x))


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(TypeError, match=r"there is no option hidden; module__… was expected"):
        MinigradClassifier(sized_model, hidden=3)
