"""Nothing that minigrad reads is unpickled: neither does its code ask for it, nor does a pickle
that is fed to it run.
"""

import ast
import gzip
import importlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from misuse.use import Use

import minigrad as mg
from minigrad import data
from minigrad.errors import DataError

FOLDER = Path(mg.__file__).parent
UNPICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
OTHERS = FOLDER / "bench" / "peers"  # other libraries, in processes of their own
imdb = importlib.import_module("minigrad.data.imdb")


def suspicious(tree):
    """Lines that import what unpickles, load with joblib or PyTorch, or allow NumPy to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            if any(name.partition(".")[0] in UNPICKLING for name in names):
                yield node.lineno
            if "joblib" in names and any(alias.name == "load" for alias in node.names):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in {("joblib", "load"), ("torch", "load")}:
                yield node.lineno
        elif (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and ast.unparse(node.value) != "False"
        ):
            yield node.value.lineno


def test_no_code_of_ours_unpickles():
    files = [path for path in FOLDER.rglob("*.py") if OTHERS not in path.parents]
    assert len(files) > 80
    assert [
        f"{path}:{line}"
        for path in files
        for line in suspicious(ast.parse(path.read_text(encoding="utf-8")))
    ] == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib; joblib.load(path)",
        "from joblib import load",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=choice)",
        "torch.load(path)",
    ],
)
def test_the_search_finds_what_it_looks_for(code):
    assert list(suspicious(ast.parse(code))) == [1]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("wrap", ["pickle", "gzip", "npy", "npz"])
def test_a_pickle_is_refused_and_not_run(wrap, tmp_path, monkeypatch):
    use, sprung, path = Use(tmp_path), tmp_path / "sprung", tmp_path / "trap"
    if wrap == "npz":
        with path.open("wb") as file:
            np.savez(
                file,
                **dict.fromkeys(("words", *data.Dataset._fields), np.array([Trap(sprung)], object)),
            )
    elif wrap == "npy":
        with path.open("wb") as file:
            np.save(file, np.array([Trap(sprung)], object), allow_pickle=True)
    else:
        content = pickle.dumps(Trap(sprung))
        path.write_bytes(gzip.compress(content) if wrap == "gzip" else content)
    monkeypatch.setattr(imdb, "CSV", replace(imdb.CSV, name=str(path)))
    (tmp_path / "encoded-3-1.npz").write_bytes(path.read_bytes())
    before = use.state()
    for read in (
        lambda: mg.load(use.trainer, path),
        lambda: mg.load(use.model, path),
        lambda: data.read_idx(path),
        imdb._read_csv,
        lambda: imdb._encoded(3, 1),
    ):
        with pytest.raises(DataError, match=str(path)):
            read()
    assert use.state() == before and not sprung.exists()
    if wrap == "pickle":
        pickle.loads(path.read_bytes())
        assert sprung.exists()  # the trap is one
