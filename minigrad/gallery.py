"""The gallery: every kind of picture, made by the lines that are printed beside it.

`minigrad gallery` runs this and writes a page, `README.md`, with its pictures; `--out figures`
makes those that are stored. The lines are kept as text and executed, so that what a reader sees is
what made the picture.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import viz
from .errors import DataError
from .files import write_atomically

START = "import minigrad as mg\nimport numpy as np\nfrom minigrad import models, nn\n"
INTRODUCTION = """\
# The gallery

Every picture here comes out of the graph that really ran. The lines beside a picture made it; the lines at the head of a
section come before them, and `import minigrad as mg`, `import numpy as np` and `from minigrad import models, nn` before all.
In a notebook the last line shows the picture by itself; `.save("x.svg")` (or `.png`, `.pdf`) writes it to a file.

Made by `minigrad gallery --out figures`, which runs these lines. `minigrad demo --out figures` makes the pictures of the
trained models and the table of the README.

**How to read a graph.** Shape says the kind: a dashed box is given (`Constant`), a rounded box is learnt (`Variable`), an
ellipse is computed (thin: from single numbers, thick: from arrays), a double ellipse is what was asked for. Above a line
stands the value that runs along it, below it, in italics, the gradient that came back. The wider and darker the line, the
larger the gradient. Glyphs are alarms: ∅ exactly zero, ▽ vanished, △ exploded, ✖ NaN, ▲ infinite. `↗ W` is W once more.
"""


@dataclass(frozen=True)
class Plate:
    """A picture: file name, what it shows, and the lines that make it, the last one an
    expression.
    """

    name: str
    title: str
    code: str


@dataclass(frozen=True)
class Section:
    """Pictures that start from the same lines."""

    title: str
    code: str
    plates: tuple[Plate, ...]


SECTIONS = (
    Section(
        "Graphs",
        """\
x = mg.Variable(2.0, name="x")
y = mg.sin(x**2)
y.backward()
""",
        (
            Plate("sin-x2", "A function of one number", 'mg.draw(y, title="sin(x²)")'),
            Plate(
                "neuron",
                "One neuron: its ReLU puts out only zeros, so nothing comes back",
                """\
x, W, b = mg.Constant([1.0, 2.0], name="x"), mg.Variable([[0.5, -1.0]], name="W"), mg.Variable([0.2], name="b")
loss = mg.mean((mg.relu(W @ x + b) - 1.3) ** 2); loss.backward()
mg.draw(loss, title="A dead neuron")""",
            ),
            Plate(
                "nan",
                "Numbers that go wrong: the first bad node has a double ring and is named",
                """\
x, w = mg.Variable([-1.0, 2.0, 0.5], name="x"), mg.Variable([0.3, 1.0, 2.0], name="w")
with np.errstate(all="ignore"): bad = mg.sum(mg.log(x) * w); bad.backward()
mg.draw(bad, title="log of a negative number")""",
            ),
            Plate("trace", "The trace table of the textbooks", "mg.viz.trace(y)"),
            Plate(
                "dark",
                "Dark, for slides (by itself a drawing follows the reader's setting)",
                'mg.draw(y, theme="dark")',
            ),
        ),
    ),
    Section(
        "A multi-layer perceptron on a circle",
        """\
d = mg.data.circle(seed=0)
model, flow = models.mlp("tanh", clipped=True), mg.viz.GradientFlow(every=25)
trainer = mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters(), lr=1e-3), mode="replay", callbacks=[flow])
history = trainer.fit(d.x_train, d.y_train, epochs=10, batch_size=32, progress=False)
loss = mg.mse_loss(model(mg.Constant(d.x_test[:32], name="x")), d.y_test[:32, None]); loss.backward()
""",
        (
            Plate(
                "mlp-modules",
                "Modules as frames; `depth=` closes them",
                'mg.draw(loss, depth=1, title="Layer by layer")',
            ),
            Plate(
                "mlp-focus",
                "What lies around one node",
                'mg.draw(loss, focus=loss.inputs[0], radius=3, title="The end of it")',
            ),
            Plate(
                "decision",
                "What the model says of every point of the plane",
                "mg.viz.decision_map(model, d.x_test[:1000], d.y_test[:1000])",
            ),
            Plate(
                "flow-heat", "Gradients of each layer in the course of the training", "flow.heat()"
            ),
            Plate("flow-ratios", "How far each step moved each parameter", "flow.ratios()"),
            Plate(
                "ruler", "The gradient of each layer on one scale", "mg.viz.gradient_ruler(loss)"
            ),
            Plate("curves", "The training", "history.plot()"),
            Plate(
                "diff",
                "One graph at two moments: before and after a step",
                """\
g = mg.Graph(loss); before = g.snapshot()
trainer.optimizer.step(); g.forward()
g.diff(before)""",
            ),
        ),
    ),
    Section(
        "A network that is ill",
        """\
mg.manual_seed(0)
sick = nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(16, 16), nn.Sigmoid())), nn.Linear(16, 1))
x, t = np.random.default_rng(0).normal(size=(64, 16)), np.zeros((64, 1))
loss = mg.mse_loss(sick(x), t); loss.backward()
""",
        (
            Plate(
                "sick-ruler",
                "Eight sigmoids in a row: the gradient vanishes, layer by layer",
                "mg.viz.gradient_ruler(loss)",
            ),
            Plate(
                "sick-graph",
                "The same in the graph: pale lines towards the input",
                "mg.draw(loss, depth=1)",
            ),
            Plate(
                "diagnosis",
                "What is wrong with it, and what usually helps",
                "mg.viz.diagnose(sick, x, t)",
            ),
        ),
    ),
    Section(
        "A convolutional network on digits",
        """\
d, model = mg.data.mnist(), models.cnn()
trainer = mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=3e-3), mode="replay")
trainer.fit(d.x_train[:4000, None], d.y_train[:4000], epochs=1, batch_size=50, progress=False)
images, digits = d.x_test[:500, None], d.y_test[:500]
loss = mg.cross_entropy(model(mg.Constant(images[:4], name="x")), digits[:4]); loss.backward()
conv, pool = (next(n for n in mg.topological_sort(loss) if n.inputs and n.rule.name == name)
              for name in ("conv2d", "max_pool2d"))
""",
        (
            Plate(
                "cnn",
                "A graph too wide for a page goes on in the next line",
                'mg.draw(loss, title="CNN")',
            ),
            Plate("filters", "What it learnt to look for", "mg.viz.filters(conv.inputs[1])"),
            Plate("maps", "What it found in one digit", "mg.viz.feature_maps(conv)"),
            Plate(
                "patch",
                "One number of a feature map: patch times filter",
                "mg.viz.patch_product(conv, (7, 13), filter=4)",
            ),
            Plate("winners", "What pooling kept", "mg.viz.pooling_winners(pool, channel=4)"),
            Plate(
                "saliency", "Which pixels an answer hangs on", "mg.viz.saliency(model, images[:6])"
            ),
            Plate(
                "confusion",
                "What is taken for what",
                "mg.viz.confusion_matrix(digits, trainer.predict(images))",
            ),
        ),
    ),
    Section(
        "A recurrent network on the rows of digits",
        """\
d = mg.data.mnist(); mg.manual_seed(0)
model = models.RowRNN(28, hidden=32)
trainer = mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=2e-3), mode="replay")
trainer.fit(d.x_train[:4000], d.y_train[:4000], epochs=2, batch_size=50, progress=False)
loss = mg.cross_entropy(model(mg.Constant(d.x_test[:32], name="x")), d.y_test[:32]); loss.backward()
""",
        (
            Plate("rnn", "The layer is one node", 'mg.draw(loss, title="Closed")'),
            Plate(
                "rnn-rolled",
                "The same node opened: one cell for all steps",
                'mg.draw(loss, unroll="rolled")',
            ),
            Plate(
                "rnn-unrolled",
                "Step by step, with the gradients that the kernel computed",
                "mg.draw(loss, unroll=3)",
            ),
            Plate(
                "through-time",
                "How the gradient fares on its way back through time",
                "mg.viz.gradient_through_time(loss)",
            ),
            Plate(
                "rows",
                "Which pixels it read its answer from",
                "mg.viz.saliency(model, d.x_test[:6])",
            ),
        ),
    ),
    Section(
        "A convolutional network on texts",
        """\
d = mg.data.imdb(); mg.manual_seed(0)
model = models.TextCNN(width=16)
trainer = mg.Trainer(model, mg.binary_cross_entropy, mg.optim.Adam(model.parameters(), lr=3e-3), mode="replay")
trainer.fit(d.x_train[:6000], d.y_train[:6000], epochs=3, batch_size=64, progress=False)
text = "not a bad film at all the story is simple but the acting is wonderful and the end made me cry"
""",
        (
            Plate(
                "review",
                "Which words an answer hangs on",
                """\
ids = mg.data.encode_reviews([text], d.vocabulary)[0]
mg.viz.review(model, ids, d.vocabulary)""",
            ),
        ),
    ),
    Section(
        "A compiled training step",
        """\
model = models.cnn()
trainer = mg.Trainer(model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=3e-3))
step = trainer.compile(np.zeros((50, 1, 28, 28)), np.zeros(50, int), batch_size=50)
""",
        (
            Plate(
                "memory",
                "Which array lies where in memory, and when: places are used again",
                "mg.viz.memory_plan(step)",
            ),
        ),
    ),
)


def gallery(out: Path, *, only: Iterable[str] = (), say: Callable[[str], None] = print) -> None:
    """Make all pictures, or those of the sections whose titles contain a word of `only`, and the
    page that shows them.

    The page is written only with all of them; a section whose data cannot be had is left out, and
    said to be.
    """
    out.mkdir(parents=True, exist_ok=True)
    chosen = [
        s for s in SECTIONS if not only or any(word.lower() in s.title.lower() for word in only)
    ]
    shown: dict[str, str] = {}
    for section in chosen:
        say(section.title)
        try:
            shown |= {plate.name: keep(thing, plate, out) for plate, thing in made(section)}
        except DataError as error:
            say(f"  left out: {error}")
    if len(chosen) == len(SECTIONS):
        write_atomically(out / "README.md", page(shown).encode())
    say(f"the gallery is in {out}/")


def made(section: Section) -> Iterator[tuple[Plate, Any]]:
    """Each plate of a section with what its lines give."""
    names: dict[str, Any] = {}
    exec(compile(START + section.code, section.title, "exec"), names)
    for plate in section.plates:
        lines = ast.parse(plate.code)
        last = lines.body.pop()
        assert isinstance(last, ast.Expr)
        exec(compile(lines, plate.name, "exec"), names)
        yield plate, eval(compile(ast.Expression(last.value), plate.name, "eval"), names)


def keep(thing: Any, plate: Plate, out: Path) -> str:
    """Save a picture; the Markdown that shows it (of a table, the table)."""
    if hasattr(thing, "_repr_markdown_"):
        return str(thing._repr_markdown_())
    file = f"gallery-{plate.name}.svg"
    if hasattr(thing, "savefig"):
        viz.save_figure(thing, out / file)
    else:
        thing.save(out / file)
    safe = thing.description.replace("[", "(").replace("]", ")")
    return f"![{' '.join(safe.split())}]({file})"


def page(shown: Mapping[str, str]) -> str:
    """The gallery as Markdown, from what `keep` gave for each plate."""
    parts = [INTRODUCTION]
    for section in SECTIONS:
        if any(plate.name in shown for plate in section.plates):
            parts.append(f"## {section.title}\n\n```python\n{section.code}```\n")
            for plate in section.plates:
                parts.append(
                    f"### {plate.title}\n\n```python\n{plate.code}\n```\n\n{shown[plate.name]}\n"
                )
    return "\n".join(parts)
