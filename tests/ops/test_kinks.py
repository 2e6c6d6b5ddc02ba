"""The page's table of kinks says what the libraries do: those that are installed are asked.

minigrad is asked in every mode.
"""

import numpy as np
import pytest
from kinks import PAGE, ROWS, answers_of, installed, stored

import minigrad as mg
from minigrad import nn

TABLE = stored(PAGE.read_text(encoding="utf-8"))
# rows without an answer, and the error that says so when the graph is built, in every mode
REFUSED = {
    "max of nothing": mg.ShapeError,
    "embedding, id −1, value": IndexError,
    "mean of (x − t)², (2, 1) and (2,), value": mg.ShapeError,
}
ANSWERED = [row for row in ROWS if row.words not in REFUSED]


def test_the_table_has_every_case():
    assert list(TABLE) == [row.words for row in ROWS]
    assert not any("?" in answers.values() for answers in TABLE.values())


@pytest.mark.parametrize("library", installed())
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_the_table_says_what_they_do(row, library):
    assert TABLE[row.words][library] == row.answer(library)


class Kinks(nn.Module):
    """The sum of what some rows of the table give, whose parameters are the points.

    What a result is multiplied by is a parameter, too: its gradient is the value.
    """

    def __init__(self, rows, dtype):
        self.rows = rows
        self.points = [[mg.Variable(x, dtype=dtype) for x in row.at] for row in rows]
        self.ones = [mg.Variable(np.ones(y.shape), dtype=dtype) for y in self.results()]

    def results(self):
        with np.errstate(all="ignore"):
            return [row.calls[0](mg, *xs) for row, xs in zip(self.rows, self.points, strict=True)]

    def parameters(self):
        return [x for xs in (*self.points, self.ones) for x in xs]

    def forward(self, x):
        results = zip(self.ones, self.results(), strict=True)
        return sum((mg.sum(one * y) for one, y in results), mg.sum(0 * x))

    def answers(self, gradient):
        """The answer to each row, from a function that gives the gradient of a variable."""
        found = {}
        for row, xs, one in zip(self.rows, self.points, self.ones, strict=True):
            found[row.words] = answers_of([gradient(x) for x in ([one] if row.value else xs)])
        return found


def replayed(model, dtype):
    graph = mg.Graph(model(mg.Constant(np.zeros(1), dtype=dtype)))
    with np.errstate(all="ignore"):
        for _ in range(2):
            graph.zero_grad()
            graph.forward()
            graph.backward()
    return lambda p: p.grad


def compiled(model, dtype):
    """The gradients that a compiled step leaves. It makes no update: the sum of values is NaN."""
    optimizer = mg.optim.SGD(model.parameters(), lr=1.0)
    trainer = mg.Trainer(model, lambda output, target: output, optimizer, mode="compiled")
    data = np.zeros((1, 1), dtype)
    with np.errstate(all="ignore"):
        step = trainer.compile(data, data, batch_size=1)
    step.run(data, data, np.arange(1), np.zeros(1, dtype))
    starts = step.arena.starts
    return lambda p: step.arena.G[0, starts[p] : starts[p] + p.size]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("run", [replayed, compiled])
def test_the_table_holds_in_replay_and_in_machine_code(run, dtype):
    with mg.default_dtype(dtype):
        model = Kinks(ANSWERED, dtype)
        found = model.answers(run(model, dtype))
    assert found == {row.words: TABLE[row.words]["minigrad"] for row in ANSWERED}


@pytest.mark.parametrize("words", REFUSED)
def test_rows_without_an_answer_are_refused_when_the_graph_is_built(words):
    (row,) = (row for row in ROWS if row.words == words)
    assert TABLE[row.words]["minigrad"] == "error"
    with pytest.raises(REFUSED[row.words]):
        Kinks([row], np.float64)
