"""A user's script that calls every public function, layer and optimiser; `test_typed.py` lets type
checkers read it, and nobody runs it.
"""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.train import History, Scores

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


# ---------------- values and nodes
def show(node: mg.GraphNode, value: Array) -> None:
    print(node.name, value.shape)


def power(x: Array) -> Array:
    return np.asarray(x**3)


def slope(g: Array, y: Array, x: Array) -> Array:
    return np.asarray(3 * g * x**2)


def nodes() -> None:
    x = mg.Variable([[1.0, 2.0, 3.0]], name="x")
    c = mg.Constant(np.eye(3), dtype=np.float64)
    assert_type(x, mg.Variable)
    assert_type(c, mg.Constant)
    y = (2 * x + 1 - x / 3) ** 2 @ c
    assert_type(-x, mg.GraphNode)
    assert_type(x > 1, mg.GraphNode)
    assert_type(y, mg.GraphNode)
    assert_type(abs(y), mg.GraphNode)
    assert_type(y[0, 1:], mg.GraphNode)
    assert_type(y.T, mg.GraphNode)
    assert_type(y.shape, tuple[int, ...])
    y.sum().backward()
    x.zero_grad()
    order = mg.topological_sort(y)
    assert_type(order, list[mg.GraphNode])
    mg.forward(order)
    mg.backward(order, np.ones((1, 3)))
    graph = mg.Graph(y)
    assert_type(graph, mg.Graph)
    graph.forward()
    graph.backward(np.ones((1, 3)))
    handle = y.register_forward_hook(show)
    handle.remove()
    kinds: list[type[mg.Operator]] = [mg.ScalarOperator, mg.BroadcastedOperator]
    print(isinstance(y, tuple(kinds)), mg.__version__)
    with mg.no_grad(), mg.default_dtype("float64"):
        assert_type(mg.gradcheck(mg.sin, [x]), bool)
    mg.grad(y.sum(), [x], create_graph=True)
    mg.jvp(mg.tanh, [x], [np.ones((1, 3))])
    mg.jacobian(mg.tanh, x, mode="forward")
    cube = mg.operator(power, slope, name="cube")
    assert_type(cube(x), mg.GraphNode)


def operators(x: mg.GraphNode, y: mg.GraphNode) -> None:
    assert_type(mg.abs(x), mg.GraphNode)
    assert_type(mg.add(x, 1.0), mg.GraphNode)
    assert_type(mg.subtract(x, y), mg.GraphNode)
    assert_type(mg.multiply(2, x), mg.GraphNode)
    assert_type(mg.divide(x, y), mg.GraphNode)
    assert_type(mg.negative(x), mg.GraphNode)
    assert_type(mg.power(x, 2), mg.GraphNode)
    assert_type(mg.arccos(x), mg.GraphNode)
    assert_type(mg.arccosh(x), mg.GraphNode)
    assert_type(mg.arcsin(x), mg.GraphNode)
    assert_type(mg.arcsinh(x), mg.GraphNode)
    assert_type(mg.arctan(x), mg.GraphNode)
    assert_type(mg.arctanh(x), mg.GraphNode)
    assert_type(mg.cos(x), mg.GraphNode)
    assert_type(mg.cosh(x), mg.GraphNode)
    assert_type(mg.sin(x), mg.GraphNode)
    assert_type(mg.sinh(x), mg.GraphNode)
    assert_type(mg.tan(x), mg.GraphNode)
    assert_type(mg.tanh(x), mg.GraphNode)
    assert_type(mg.exp(x), mg.GraphNode)
    assert_type(mg.expm1(x), mg.GraphNode)
    assert_type(mg.log(x), mg.GraphNode)
    assert_type(mg.log1p(x), mg.GraphNode)
    assert_type(mg.log2(x), mg.GraphNode)
    assert_type(mg.log10(x), mg.GraphNode)
    assert_type(mg.sqrt(x), mg.GraphNode)
    assert_type(mg.square(x), mg.GraphNode)
    assert_type(mg.reciprocal(x), mg.GraphNode)
    assert_type(mg.erf(x), mg.GraphNode)
    assert_type(mg.ceil(x), mg.GraphNode)
    assert_type(mg.floor(x), mg.GraphNode)
    assert_type(mg.rint(x), mg.GraphNode)
    assert_type(mg.trunc(x), mg.GraphNode)
    assert_type(mg.sign(x), mg.GraphNode)
    assert_type(mg.isfinite(x), mg.GraphNode)
    assert_type(mg.isinf(x), mg.GraphNode)
    assert_type(mg.isnan(x), mg.GraphNode)
    assert_type(mg.equal(x, y), mg.GraphNode)
    assert_type(mg.not_equal(x, y), mg.GraphNode)
    assert_type(mg.greater(x, y), mg.GraphNode)
    assert_type(mg.greater_equal(x, y), mg.GraphNode)
    assert_type(mg.less(x, y), mg.GraphNode)
    assert_type(mg.less_equal(x, y), mg.GraphNode)
    assert_type(mg.logical_and(x, y), mg.GraphNode)
    assert_type(mg.logical_not(x), mg.GraphNode)
    assert_type(mg.logical_or(x, y), mg.GraphNode)
    assert_type(mg.maximum(x, y), mg.GraphNode)
    assert_type(mg.minimum(x, y), mg.GraphNode)
    assert_type(mg.relu(x), mg.GraphNode)
    assert_type(mg.leaky_relu(x, 0.1), mg.GraphNode)
    assert_type(mg.sigmoid(x), mg.GraphNode)
    assert_type(mg.softplus(x), mg.GraphNode)
    assert_type(mg.gelu(x), mg.GraphNode)
    assert_type(mg.elu(x, alpha=0.5), mg.GraphNode)
    assert_type(mg.silu(x), mg.GraphNode)
    assert_type(x % 2, mg.GraphNode)
    assert_type(7 // x, mg.GraphNode)
    assert_type(mg.remainder(x, y), mg.GraphNode)
    assert_type(mg.floor_divide(x, y), mg.GraphNode)
    assert_type(mg.detach(x), mg.GraphNode)
    assert_type(mg.astype(x, np.float64), mg.GraphNode)
    assert_type(x.exp().log().tanh().abs().std(axis=0).var().detach(), mg.GraphNode)
    assert_type(mg.clip(x, 0.0, 1.0), mg.GraphNode)
    assert_type(mg.where(x > 0, x, y), mg.GraphNode)
    assert_type(mg.sum(x, axis=0), mg.GraphNode)
    assert_type(mg.mean(x, axis=(0, 1), keepdims=True), mg.GraphNode)
    assert_type(mg.max(x), mg.GraphNode)
    assert_type(mg.min(x, axis=-1), mg.GraphNode)
    assert_type(mg.prod(x), mg.GraphNode)
    assert_type(mg.norm(x), mg.GraphNode)
    assert_type(mg.var(x, ddof=1), mg.GraphNode)
    assert_type(mg.std(x, axis=0), mg.GraphNode)
    assert_type(mg.argmax(x, axis=1), mg.GraphNode)
    assert_type(mg.argmin(x), mg.GraphNode)
    assert_type(mg.cumsum(x, axis=0), mg.GraphNode)
    assert_type(mg.cumprod(x), mg.GraphNode)
    assert_type(mg.logsumexp(x, axis=1), mg.GraphNode)
    assert_type(mg.softmax(x), mg.GraphNode)
    assert_type(mg.log_softmax(x, axis=0), mg.GraphNode)
    assert_type(mg.reshape(x, (3, 2)), mg.GraphNode)
    assert_type(mg.transpose(x, (1, 0)), mg.GraphNode)
    assert_type(mg.flatten(x), mg.GraphNode)
    assert_type(mg.broadcast_to(x, (4, 2, 3)), mg.GraphNode)
    assert_type(mg.concatenate([x, y], axis=1), mg.GraphNode)
    assert_type(mg.stack([x, y]), mg.GraphNode)
    assert_type(mg.pad(x, ((0, 1), (0, 0))), mg.GraphNode)
    assert_type(mg.repeat(x, 2, axis=1), mg.GraphNode)
    assert_type(mg.tile(x, (2, 1)), mg.GraphNode)
    assert_type(mg.hstack([x, y]), mg.GraphNode)
    assert_type(mg.vstack([x, y]), mg.GraphNode)
    assert_type(mg.outer(x, y), mg.GraphNode)
    assert_type(mg.diag(x, 1), mg.GraphNode)
    assert_type(mg.tril(x), mg.GraphNode)
    assert_type(mg.triu(x, k=1), mg.GraphNode)
    assert_type(mg.flip(x, (0, 1)), mg.GraphNode)
    assert_type(mg.roll(x, 1, axis=0), mg.GraphNode)
    assert_type(mg.take(x, [0, 1], axis=1), mg.GraphNode)
    assert_type(mg.take_along_axis(x, mg.argsort(x), axis=1), mg.GraphNode)
    assert_type(mg.sort(x, axis=0), mg.GraphNode)
    assert_type(mg.zeros_like(x), mg.GraphNode)
    assert_type(mg.ones_like(x, dtype=np.float64), mg.GraphNode)
    assert_type(mg.full_like(x, 7.0), mg.GraphNode)
    assert_type(mg.random.normal((2, 3), x, 0.5), mg.GraphNode)
    assert_type(mg.random.uniform(3, seed=1), mg.GraphNode)
    assert_type(mg.random.bernoulli((2, 3), 0.3, dtype=np.float64), mg.GraphNode)
    assert_type(mg.moveaxis(x, 0, 1), mg.GraphNode)
    assert_type(mg.swapaxes(x, 0, 1), mg.GraphNode)
    assert_type(mg.squeeze(x), mg.GraphNode)
    assert_type(mg.expand_dims(x, 0), mg.GraphNode)
    assert_type(mg.getitem(x, 0), mg.GraphNode)
    assert_type(mg.matmul(x, y.T), mg.GraphNode)
    assert_type(mg.linear(x, y, y[:, 0]), mg.GraphNode)
    assert_type(mg.einsum("ij,kj->ik", x, y), mg.GraphNode)
    assert_type(mg.conv1d(x, y, stride=2, padding=1), mg.GraphNode)
    assert_type(mg.conv2d(x, y, None, dilation=(1, 2), groups=2), mg.GraphNode)
    assert_type(mg.conv_transpose1d(x, y, stride=2, output_padding=1), mg.GraphNode)
    assert_type(mg.conv_transpose2d(x, y, None, padding=(1, 2)), mg.GraphNode)
    assert_type(mg.reverse_sequence(x, [1, 2]), mg.GraphNode)
    assert_type(mg.max_pool1d(x, 2), mg.GraphNode)
    assert_type(mg.max_pool2d(x, (2, 3), stride=1), mg.GraphNode)
    assert_type(mg.avg_pool1d(x, 2, padding=1), mg.GraphNode)
    assert_type(mg.avg_pool2d(x, 2, ceil_mode=True), mg.GraphNode)
    assert_type(mg.embedding([[1, 2]], x), mg.GraphNode)
    assert_type(mg.rnn(x, y, x, x, x, x), mg.GraphNode)
    assert_type(mg.gru(x, y, x, x, x, x), mg.GraphNode)
    assert_type(mg.dropout(x, 0.3, seed=1), mg.GraphNode)
    assert_type(mg.batch_norm(x, training=True), mg.GraphNode)
    assert_type(mg.layer_norm(x, 3), mg.GraphNode)
    assert_type(mg.mse_loss(x, y), mg.GraphNode)
    assert_type(mg.cross_entropy(x, [0, 1], weight=[1.0, 2.0, 3.0]), mg.GraphNode)
    assert_type(mg.nll_loss(x, [0, 1], reduction="sum"), mg.GraphNode)
    assert_type(mg.kl_div(x, y, log_target=True), mg.GraphNode)
    assert_type(mg.smooth_l1_loss(x, y, beta=0.5), mg.GraphNode)
    assert_type(mg.hinge_loss(x, y), mg.GraphNode)
    assert_type(mg.binary_cross_entropy(x, y), mg.GraphNode)
    assert_type(mg.binary_cross_entropy_with_logits(x, y), mg.GraphNode)
    assert_type(mg.split(x, 2), list[mg.GraphNode])
    assert_type(mg.lstm(x, y, y, x, x, x, x), tuple[mg.GraphNode, mg.GraphNode])


# ---------------- models
class Net(nn.Module):
    """Calls of modules have the type of their `forward`."""

    def __init__(self) -> None:
        self.hidden = nn.Linear(3, 4)
        self.cell = nn.LSTM(4, 5)

    def forward(self, x: mg.GraphNode, scale: float = 1.0) -> tuple[mg.GraphNode, mg.GraphNode]:
        h = mg.tanh(self.hidden(x)) * scale
        output, (h_n, _) = self.cell(h)
        return output, h_n


def layers(x: mg.GraphNode, array: Array) -> None:
    assert_type(nn.Linear(2, 3, bias=False, dtype="float64", seed=0)(x), mg.GraphNode)
    assert_type(nn.Linear(2, 3)(array), mg.GraphNode)
    assert_type(nn.Linear(2, 3).weight, mg.Variable)
    assert_type(nn.Conv1d(2, 3, 3, padding=1)(x), mg.GraphNode)
    assert_type(nn.Conv2d(2, 4, (3, 2), stride=(1, 2), groups=2)(x), mg.GraphNode)
    assert_type(nn.MaxPool1d(2)(x), mg.GraphNode)
    assert_type(nn.MaxPool2d((2, 1), ceil_mode=True)(x), mg.GraphNode)
    assert_type(nn.AvgPool1d(2, 1)(x), mg.GraphNode)
    assert_type(nn.AvgPool2d(2, count_include_pad=False)(x), mg.GraphNode)
    assert_type(nn.Flatten()(x), mg.GraphNode)
    assert_type(nn.Embedding(10, 4, padding_idx=0)([[1, 2]]), mg.GraphNode)
    assert_type(nn.BatchNorm1d(3, momentum=0.2)(x), mg.GraphNode)
    assert_type(nn.BatchNorm2d(3, affine=False)(x), mg.GraphNode)
    assert_type(nn.LayerNorm((2, 3))(x), mg.GraphNode)
    assert_type(nn.Dropout(0.3, seed=np.random.default_rng(0))(x), mg.GraphNode)
    assert_type(nn.ReLU()(x), mg.GraphNode)
    assert_type(nn.Tanh()(x), mg.GraphNode)
    assert_type(nn.Sigmoid()(x), mg.GraphNode)
    for layer in (
        nn.GELU(),
        nn.SiLU(),
        nn.LeakyReLU(0.2),
        nn.ELU(alpha=0.5),
        nn.Softmax(dim=1),
        nn.Identity(),
        nn.Upsample(scale_factor=1.5, mode="bilinear"),
        nn.AdaptiveAvgPool1d(3),
        nn.AdaptiveAvgPool2d((1, None)),
        nn.GroupNorm(2, 4, affine=False),
        nn.ConvTranspose1d(2, 3, 3, output_padding=1),
        nn.ConvTranspose2d(2, 3, (3, 2), stride=2),
        nn.Conv2d(2, 3, 3, padding="same"),
    ):
        assert_type(layer(x), mg.GraphNode)
    for loss in (
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.MSELoss(),
        nn.BCELoss(),
        nn.BCEWithLogitsLoss(),
    ):
        assert_type(loss(x, array), mg.GraphNode)
    attended, weights = nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x, attn_mask=array)
    assert_type(attended, mg.GraphNode)
    assert_type(weights, mg.GraphNode | None)
    assert_type(nn.RNNCell(3, 4, nonlinearity="relu")(x, array), mg.GraphNode)
    assert_type(nn.GRUCell(3, 4)(x), mg.GraphNode)
    assert_type(nn.LSTMCell(3, 4)(x, (array, array)), tuple[mg.GraphNode, mg.GraphNode])
    gru = nn.GRU(3, 4, bidirectional=True, batch_first=True, dropout=0.1)
    assert_type(gru(x, lengths=[2, 1]), tuple[mg.GraphNode, mg.GraphNode])
    assert_type(nn.RNN(3, 4, nonlinearity="relu")(x, array), tuple[mg.GraphNode, mg.GraphNode])
    assert_type(nn.GRU(3, 4, num_layers=2)(x), tuple[mg.GraphNode, mg.GraphNode])
    output, (h, c) = nn.LSTM(3, 4, unroll=True)(x, (array, array))
    assert_type((output, h, c), tuple[mg.GraphNode, mg.GraphNode, mg.GraphNode])
    assert_type(Net()(x, scale=2.0), tuple[mg.GraphNode, mg.GraphNode])
    model = nn.Sequential(nn.Linear(2, 3), mg.tanh, nn.Lambda(mg.relu))
    assert_type(model(x), mg.GraphNode)
    assert_type(model[0], nn.Module)
    assert_type(model[1:], nn.Sequential)
    assert_type(model.train().eval().to("float64"), nn.Sequential)
    assert_type(model.parameters(), list[mg.Variable])
    assert_type(model.named_buffers(), list[tuple[str, nn.Buffer]])
    assert_type(list(model.children()), list[nn.Module])
    assert_type(list(model.named_children()), list[tuple[str, nn.Module]])
    assert_type(mg.summary(model, (5, 2))[-1].flops, int)
    model.load_state_dict(model.state_dict())
    model.zero_grad()
    assert_type(nn.init.kaiming_uniform_(model.parameters()[0], seed=1), mg.Variable)


# ---------------- training
def training(folder: Path) -> None:
    mg.manual_seed(0)
    data = mg.data.circle(200)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    parameters = model.parameters()
    optimizers: list[optim.Optimizer] = [
        optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
        optim.AdamW(parameters, weight_decay=0.1),
        optim.RMSprop(parameters, alpha=0.9),
    ]
    for optimizer in optimizers:
        optimizer.zero_grad()
        optimizer.step()
    assert_type(optim.clip_grad_norm(parameters, 1.0), float)
    adam = optim.Adam(parameters, lr=1e-2, betas=(0.9, 0.99), max_grad_norm=1.0)
    assert_type(adam, optim.Adam)
    assert_type(adam.lr, float)

    def report(trainer: mg.Trainer, history: History) -> None:
        print(trainer.state.epoch, history.epoch_loss[-1])

    looking = [
        mg.train.EarlyStopping(3, min_delta=1e-3),
        mg.train.SaveBest(folder / "best.safetensors", monitor="accuracy"),
        mg.train.LogEpochs(),
        mg.train.CSVLogger(folder / "log.csv"),
    ]
    schedule = optim.lr_scheduler.OneCycleLR(adam, 0.1, epochs=3, steps_per_epoch=5)
    assert_type(schedule.get_last_lr(), list[float])
    optim.SGD([{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.01}], lr=0.1)
    trainer = mg.Trainer(
        model,
        mg.mse_loss,
        adam,
        mode="replay",
        scheduler=schedule,
        metrics={"f1": mg.train.metrics.f1},
        callbacks=[report, *looking],
    )
    assert_type(trainer, mg.Trainer)
    history = trainer.fit(
        data.x_train, data.y_train, epochs=2, batch_size=32, validation=(data.x_test, data.y_test)
    )
    assert_type(history, History)
    assert_type(history.epoch_loss, list[float])
    assert_type(trainer.fit([(data.x_train, data.y_train)], epochs=3, resume=True), History)
    assert_type(trainer.evaluate(data.x_test, data.y_test), dict[str, float])
    assert_type(trainer.predict(data.x_test), Any)

    def loss(x: mg.GraphNode, y: mg.GraphNode) -> mg.GraphNode:
        output: mg.GraphNode = model(x)
        return mg.mse_loss(output, y)

    assert_type(mg.compile(loss, trainer.optimizer).optimizer, optim.Optimizer | None)
    assert_type(trainer.compile(data.x_train, data.y_train, batch_size=8).source, str)
    mg.save(trainer, folder / "t.safetensors")
    mg.load(trainer, str(folder / "t.safetensors"))
    mg.save(model, folder / "m.safetensors")

    def make(hidden: int = 8) -> nn.Module:
        return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    scores = mg.train.cross_validate(make, data.x_train, data.y_train, folds=3, lr=0.01, epochs=2)
    assert_type(scores, Scores)
    assert_type(scores.mean, float)
    found = mg.train.grid_search(make, data.x_train, data.y_train, {"hidden": [4, 8]})
    assert_type(found, mg.train.GridResult)
    assert_type(found.best, tuple[dict[str, Any], Scores])


# ---------------- data, pictures, other tools
def reach(model: nn.Module, x: Array, folder: Path) -> None:
    assert_type(mg.data.mnist(download=False), mg.data.Dataset)
    pixels: Array = mg.data.mnist_sample().x_train
    print(pixels.shape)
    mg.data.imdb(vocabulary=1000, length=50)
    assert_type(mg.data.tokenise("A film."), list[str])
    mg.data.read_idx(folder / "t10k-images-idx3-ubyte")
    mg.export_onnx(model, folder / "m.onnx", x)
    mg.interop.from_torch(model, mg.interop.to_torch(model))
    assert_type(mg.kernel_info(mg.tanh(x)), dict[str, Any])
    drawing = mg.draw(mg.tanh(x), depth=1, title="The model")
    assert_type(drawing, mg.viz.Drawing)
    drawing.save(folder / "model.svg")
    classifier = mg.sklearn.MinigradClassifier(lambda: nn.Linear(2, 2), epochs=3)
    labels: Array = classifier.fit(x, [0, 1]).predict(x)
    print(labels.shape, mg.sklearn.MinigradRegressor)


def errors() -> None:
    kinds: tuple[type[ValueError], type[TypeError], type[RuntimeError], type[AssertionError]] = (
        mg.ShapeError,
        mg.DTypeError,
        mg.GraphError,
        mg.GradientError,
    )
    print(kinds, mg.DataError, mg.GradientWarning)
