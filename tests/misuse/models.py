"""Misuses of layers, optimisers, the trainer, files, data and drawings, and what each is
answered.
"""

import numpy as np
from misuse.use import FIT, Net, X, Y, f, net, train, words

import minigrad as mg
from minigrad import data, nn, optim
from minigrad.errors import DataError
from minigrad.nn import init

SHAPE, DTYPE, GRAPH = mg.ShapeError, mg.DTypeError, mg.GraphError

TABLE = [  # (what is done, the error, its message, the module if it is noted)
    # layers
    (lambda u: nn.Linear(0, 3), ValueError, "Linear: in_features=0; an integer ≥ 1 was expected"),
    (
        lambda u: nn.Linear(2, 3.0),
        ValueError,
        "Linear: out_features=3.0; an integer ≥ 1 was expected",
    ),
    (
        lambda u: nn.Linear(2, 3, seed="one"),
        TypeError,
        "init: seed='one'; an integer ≥ 0, a numpy.random.Generator or None was expected",
    ),
    (
        lambda u: nn.Linear(2, 3, seed=-1),
        ValueError,
        "init: seed=-1; an integer ≥ 0, a numpy.random.Generator or None was expected",
    ),
    (
        lambda u: nn.Linear(2, 3, seed=0)(f(4, 3)),
        SHAPE,
        "linear: shapes (4, 3) and (3, 2) and (3,); x has 3 features, the layer takes 2",
        "Linear",
    ),
    (
        lambda u: nn.Linear(2, 3, seed=0)(f(4, 2, dtype=np.float64)),
        DTYPE,
        "linear: shapes (4, 2) and (3, 2) and (3,); dtypes float64 and float32 and float32; "
        "make them "
        "one (dtype=…), "
        "for minigrad never changes it silently",
        "Linear",
    ),
    (
        lambda u: nn.Conv2d(3, 4, (2, 2, 2)),
        ValueError,
        "Conv2d: kernel_size=(2, 2, 2); an integer or 2 of them were expected",
    ),
    (
        lambda u: nn.Conv2d(3, 4, 3, groups=2),
        ValueError,
        "Conv2d: groups=2 must divide in_channels=3 and out_channels=4",
    ),
    (
        lambda u: nn.Sequential(nn.Conv2d(1, 1, 3, seed=0), nn.MaxPool2d(0))(f(1, 1, 4, 4)),
        ValueError,
        "max_pool2d: shapes (1, 1, 2, 2); kernel_size=0; an integer or 2 of them, ≥ 1 was expected",
        "1 · MaxPool2d",
    ),
    (
        lambda u: nn.Embedding(5, 3, seed=0)([5]),
        IndexError,
        "embedding: shapes (1,) and (5, 3); id 5 is out of range, 0 to 4 were expected",
        "Embedding",
    ),
    (
        lambda u: nn.RNN(2, 3, nonlinearity="sinh"),
        ValueError,
        "RNN: nonlinearity='sinh'; one of tanh, relu was expected",
    ),
    (
        lambda u: nn.RNN(2, 3, seed=0)(f(4, 2)),
        SHAPE,
        "RNN: shape (4, 2); (T, N, 2) was expected",
        "RNN",
    ),
    (
        lambda u: nn.RNN(2, 3, seed=0)(None),
        DTYPE,
        "RNN: cannot make a Constant of object values; numbers are expected",
        "RNN",
    ),
    (
        lambda u: nn.GRU(2, 3, seed=0)(f(4, 2, 2), f(2, 2, 3)),
        SHAPE,
        "GRU: shapes (4, 2, 2) and (2, 2, 3); h0 of shape (1, 2, 3) was expected",
        "GRU",
    ),
    (
        lambda u: nn.LSTM(2, 3, seed=0)(f(4, 2, 2), f(1, 2, 3)),
        TypeError,
        "LSTM: a state of type Variable; a pair (h0, c0) was expected",
        "LSTM",
    ),
    (
        lambda u: nn.BatchNorm1d(3)(f(2, 4)),
        SHAPE,
        "BatchNorm1d: x has shape (2, 4); (N, 3) or (N, 3, L) was expected",
        "BatchNorm1d",
    ),
    (
        lambda u: nn.BatchNorm1d(3)(f(1, 3)),
        SHAPE,
        "batch_norm: shapes (1, 3) and (3,) and (3,); more than one value per channel was "
        "expected in "
        "training",
        "BatchNorm1d",
    ),
    (lambda u: nn.Dropout(2), ValueError, "Dropout: p=2; a number from 0 to 1 was expected"),
    (
        lambda u: nn.Sequential(nn.Linear(2, 3, seed=0), "relu"),
        TypeError,
        "Sequential: argument 1 is 'relu'; a Module or a function was expected",
    ),
    (
        lambda u: nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh())[2],
        IndexError,
        "Sequential: index 2; there are 2 modules",
    ),
    (
        lambda u: nn.Sequential(nn.RNN(2, 3, seed=0), nn.Linear(3, 1, seed=0))(f(4, 2, 2)),
        TypeError,
        "Sequential: module 0 (RNN) returned a tuple of 2; one node was expected before module 1; "
        "write a Module "
        "whose forward takes what it needs",
        "Sequential",
    ),
    (
        lambda u: nn.Sequential(nn.Flatten(), Net())(f(4, 2)),
        SHAPE,
        "linear: shapes (4, 3) and (1, 4) and (1,); x has 3 features, the layer takes 4",
        "1.second · Linear",
    ),
    (lambda u: nn.Module()(3), NotImplementedError, "Module defines no forward", "Module"),
    (
        lambda u: u.model.to(int),
        DTYPE,
        "dtype <class 'int'>: minigrad computes in float32 or float64",
    ),
    (
        lambda u: u.model.load_state_dict([1, 2]),
        TypeError,
        "Sequential: a state of type list; a mapping from names to arrays was expected",
    ),
    (
        lambda u: u.model.load_state_dict({"0.weight": np.ones((3, 2))}),
        GRAPH,
        "Sequential: the state does not fit: missing 0.bias, 1.weight, 1.bias, 1.running_mean, "
        "1.running_var, "
        "1.num_batches_tracked, 3.weight, 3.bias",
    ),
    (
        lambda u: u.model.load_state_dict(
            {**u.model.state_dict(), "3.bias": np.ones(2), "0.bias": np.zeros(3)}
        ),
        SHAPE,
        "Sequential: the state does not fit: 3.bias is (2,), (1,) was expected",
    ),
    (
        lambda u: u.model.load_state_dict({**u.model.state_dict(), "3.bias": [[1], [2, 3]]}),
        SHAPE,
        "Sequential: the state does not fit: 3.bias is no array",
    ),
    # first values
    (
        lambda u: init.xavier_uniform_(f(3)),
        SHAPE,
        "init: <Variable (3,) float32> has no fan; at least two axes (out, in) were expected",
    ),
    (lambda u: init.uniform_(np.ones(3)), TypeError, "init: a ndarray; a Variable was expected"),
    (lambda u: init.uniform_(f(3), 1, 0), ValueError, "init: a=1 and b=0; a ≤ b was expected"),
    (lambda u: init.normal_(f(3), std=-1), ValueError, "init: std=-1; a number ≥ 0 was expected"),
    (
        lambda u: init.kaiming_normal_(f(3, 2), gain="relu"),
        TypeError,
        "init: gain='relu'; a number was expected",
    ),
    (
        lambda u: mg.manual_seed("one"),
        TypeError,
        "manual_seed: seed='one'; an integer ≥ 0, a numpy.random.Generator or None was expected",
    ),
    # optimisers
    (
        lambda u: optim.SGD([], lr=0.1),
        ValueError,
        "SGD: params is empty; Variables to optimise were expected, for example model.parameters()",
    ),
    (
        lambda u: optim.SGD(f(2), lr=0.1),
        TypeError,
        "SGD: params is a Variable; a list of Variables to optimise were expected, for example "
        "model.parameters()",
    ),
    (
        lambda u: optim.SGD(u.model, lr=0.1),
        ValueError,
        "SGD: params holds a Linear; Variables to optimise were expected, for example "
        "model.parameters()",
    ),
    (
        lambda u: optim.SGD(u.model.parameters(), lr=-1),
        ValueError,
        "SGD: lr=-1; a number ≥ 0 was expected",
    ),
    (
        lambda u: optim.SGD(u.model.parameters(), lr="fast"),
        TypeError,
        "SGD: lr='fast'; a number ≥ 0 was expected",
    ),
    (
        lambda u: optim.SGD(u.model.parameters(), lr=0.1, momentum=1),
        ValueError,
        "SGD: momentum=1; a number ≥ 0 and < 1 was expected",
    ),
    (
        lambda u: optim.SGD(u.model.parameters(), lr=0.1, nesterov=True),
        ValueError,
        "SGD: nesterov=True and momentum=0; a momentum > 0 was expected",
    ),
    (
        lambda u: optim.Adam(u.model.parameters(), betas=0.9),
        TypeError,
        "Adam: betas=0.9; a pair of numbers was expected",
    ),
    (
        lambda u: optim.Adam(u.model.parameters(), eps=float("nan")),
        ValueError,
        "Adam: eps=nan; a number ≥ 0 was expected",
    ),
    (
        lambda u: optim.clip_grad_norm(u.model.parameters(), -1),
        ValueError,
        "clip_grad_norm: max_norm=-1; a number > 0 was expected",
    ),
    (
        lambda u: u.optimizer.load_state_dict(None),
        TypeError,
        "Adam: a state of type NoneType; a mapping from names to arrays was expected",
    ),
    (
        lambda u: u.optimizer.load_state_dict(optim.SGD(u.model.parameters(), lr=0.1).state_dict()),
        GRAPH,
        "Adam: the state is of another optimiser or of other parameters: 0.m, 0.v, 1.m, 1.v, 2.m, "
        "2.v, 3.m, 3.v, 4.m,"
        " 4.v, 5.m, 5.v",
    ),
    (
        lambda u: u.optimizer.load_state_dict(
            {**u.optimizer.state_dict(), "steps": np.array([-3])}
        ),
        GRAPH,
        "Adam: the state holds invalid numbers: steps",
    ),
    (
        lambda u: u.optimizer.load_state_dict({**u.optimizer.state_dict(), "5.v": np.array(["a"])}),
        GRAPH,
        "Adam: the state holds invalid numbers: 5.v",
    ),
    (
        lambda u: u.optimizer.load_state_dict({"steps": [[1], [2, 3]]}),
        SHAPE,
        "Adam: the state holds rows of different lengths",
    ),
    # the trainer
    (
        lambda u: mg.Trainer(net, mg.mse_loss, u.optimizer),
        TypeError,
        "Trainer: model is a function; a Module was expected",
    ),
    (
        lambda u: mg.Trainer(u.model, "mse", u.optimizer),
        TypeError,
        "Trainer: loss is a str; a function of output and target was expected",
    ),
    (
        lambda u: mg.Trainer(u.model, mg.mse_loss, optim.Adam),
        TypeError,
        "Trainer: optimizer is the class Adam; an Optimizer was expected",
    ),
    (
        lambda u: mg.Trainer(u.model, mg.mse_loss, u.optimizer, mode="fast"),
        ValueError,
        "Trainer: mode='fast'; one of eager, replay, compiled was expected",
    ),
    (
        lambda u: mg.Trainer(u.model, mg.mse_loss, u.optimizer, callbacks=[3]),
        TypeError,
        "Trainer: a callback is a int; a function of trainer and history, or a thing with "
        "on_batch, "
        "was expected",
    ),
    (
        lambda u: mg.Trainer(u.model, mg.mse_loss, u.optimizer, callbacks=[mg.viz.GradientFlow()]),
        GRAPH,
        "Trainer: <GradientFlow: 0 records of 0 steps> has on_batch, which no compiled step calls; "
        'use mode="replay"',
    ),
    (
        lambda u: u.trainer.fit(X, Y[:3], **FIT),
        SHAPE,
        "Trainer: x and y have shapes (6, 2) and (3, 1); the same number of samples was "
        "expected, at "
        "least one",
    ),
    (
        lambda u: u.trainer.fit(X[:0], Y[:0], **FIT),
        SHAPE,
        "Trainer: x and y have shapes (0, 2) and (0, 1); the same number of samples was "
        "expected, at "
        "least one",
    ),
    (
        lambda u: u.trainer.fit(None, Y, **FIT),
        DTYPE,
        "Trainer: x is a NoneType of dtype object; numbers were expected",
    ),
    (
        lambda u: u.trainer.fit(X, [[1], [2, 3]], **FIT),
        SHAPE,
        "Trainer: y has rows of different lengths; an array of numbers was expected",
    ),
    (
        lambda u: u.trainer.fit(X, Y, epochs=0, batch_size=2),
        ValueError,
        "Trainer: epochs=0; an integer ≥ 1 was expected",
    ),
    (
        lambda u: u.trainer.fit(X, Y, epochs=1, batch_size=True),
        ValueError,
        "Trainer: batch_size=True; an integer ≥ 1 was expected",
    ),
    (
        lambda u: u.trainer.fit(X, Y, seed="one", **FIT),
        TypeError,
        "Trainer: seed='one'; an integer ≥ 0 or None was expected",
    ),
    (
        lambda u: u.trainer.fit(X, Y, validation=X, **FIT),
        TypeError,
        "Trainer: validation is a ndarray; a pair (x, y) was expected",
    ),
    (
        lambda u: u.trainer.fit(X, Y, validation=(X, Y[:3]), **FIT),
        SHAPE,
        "Trainer: validation x and y have shapes (6, 2) and (3, 1); the same number of samples was "
        "expected, at least"
        " one",
    ),
    (
        lambda u: u.trainer.fit(np.ones((6, 3)), Y, **FIT),
        SHAPE,
        "linear: shapes (2, 3) and (3, 2) and (3,); x has 3 features, the layer takes 2",
        "0 · Linear",
    ),
    (
        lambda u: u.trainer.fit(X, np.ones((6, 2)), **FIT),
        SHAPE,
        "mse_loss: shapes (2, 1) and (2, 2); equal shapes were expected (a loss does not "
        "broadcast; "
        "reshape the "
        "target if it is a column)",
    ),
    (
        lambda u: u.trainer.fit(X, Y.astype(int), **FIT),
        DTYPE,
        "mse_loss: shapes (2, 1) and (2, 1); dtypes float32 and int64, floats were expected "
        "(dtype=…)",
    ),
    (
        lambda u: u.trainer.fit(X * np.nan, Y, **FIT),
        GRAPH,
        "Trainer: the loss is nan in epoch 1, batch 1; first bad node: number 0 of the graph, "
        "<Constant 'x' (2, 2) "
        "float32>, with 4 NaN and 0 infinite entries",
    ),
    (
        lambda u: train(u.model, lambda output, target: output).fit(X, Y, **FIT),
        SHAPE,
        "Trainer: the loss has shape (2, 1); a single number was expected (mean, sum)",
    ),
    (
        lambda u: train(u.model, lambda output, target: 3.0).fit(X, Y, **FIT),
        GRAPH,
        "Trainer: the loss returned a float; one node was expected",
    ),
    (
        lambda u: train(u.model, lambda output, target: mg.Constant(3.0)).fit(X, Y, **FIT),
        GRAPH,
        "Trainer: the loss depends on none of the optimiser's parameters; are they another "
        "model's, "
        "or frozen?",
    ),
    (
        lambda u: mg.Trainer(net(), mg.mse_loss, u.optimizer, mode="replay").fit(X, Y, **FIT),
        GRAPH,
        "Trainer: the loss depends on none of the optimiser's parameters; are they another "
        "model's, "
        "or frozen?",
    ),
    (
        lambda u: train(u.model, lambda output, target: output, mode="compiled").fit(X, Y, **FIT),
        SHAPE,
        "Trainer: the loss has shape (2, 1); a single number was expected (mean, sum)",
    ),
    (
        lambda u: train(nn.RNN(2, 3, seed=0)).fit(np.ones((6, 4, 2)), Y, **FIT),
        SHAPE,
        "stack: shapes (2, 4, 3) and (1, 4, 3); axis 0: all input arrays must have the same shape",
    ),
    (
        lambda u: train(words(), mode="compiled").fit(
            np.array([[0, 1], [1, 2], [3, 4]]), Y[:3], **FIT
        ),
        IndexError,
        "embedding: shapes (2, 2) and (4, 1); id 4 is out of range, 0 to 3 were expected",
        "0 · Embedding",
    ),
    (
        lambda u: train(words(), mode="replay").fit(
            np.array([[0, 1], [1, 2], [3, 4]]), Y[:3], shuffle=False, **FIT
        ),
        IndexError,
        "embedding: shapes (1, 2) and (4, 1); id 4 is out of range, 0 to 3 were expected",
        "0 · Embedding",
    ),
    (
        lambda u: u.trainer.compile(X, Y, batch_size=7),
        ValueError,
        "Trainer: batch_size=7 and 6 samples; at least one full batch was expected",
    ),
    (
        lambda u: u.trainer.evaluate(X, Y[:3]),
        SHAPE,
        "Trainer: x and y have shapes (6, 2) and (3, 1); the same number of samples was "
        "expected, at "
        "least one",
    ),
    (
        lambda u: u.trainer.predict(3),
        SHAPE,
        "Trainer: x has shape (); at least one sample was expected",
    ),
    (
        lambda u: u.trainer.predict(np.ones((6, 3))),
        SHAPE,
        "linear: shapes (6, 3) and (3, 2) and (3,); x has 3 features, the layer takes 2",
        "0 · Linear",
    ),
    # choosing models
    (
        lambda u: mg.train.cross_validate(u.model, X, Y),
        TypeError,
        "cross_validate: make_model is a Sequential; a function that makes a new model for "
        "each fold "
        "was expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, X, Y, folds=1),
        ValueError,
        "cross_validate: folds=1 of 6 samples; an integer from 2 to 6 was expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, X, Y, folds=7),
        ValueError,
        "cross_validate: folds=7 of 6 samples; an integer from 2 to 6 was expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, X, Y[:3]),
        SHAPE,
        "cross_validate: x and y have shapes (6, 2) and (3, 1); the same number of samples was "
        "expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, [[1], [2, 3]], Y),
        SHAPE,
        "cross_validate: x or y has rows of different lengths; arrays were expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, X, Y, seed=-1),
        ValueError,
        "cross_validate: seed=-1; an integer from 0 to 2³² - 1 was expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, X, Y, learning_rate=0.1),
        TypeError,
        "cross_validate: there is no option learning_rate; loss, optimizer, lr, epochs, "
        "batch_size, "
        "mode were "
        "expected",
    ),
    (
        lambda u: mg.train.cross_validate(net, X, Y, optimizer="adam"),
        TypeError,
        "cross_validate: optimizer='adam'; a function was expected, such as mg.optim.Adam or "
        "mg.mse_loss",
    ),
    (
        lambda u: mg.train.grid_search(net, X, Y, ["lr"]),
        TypeError,
        "grid_search: grid is a list; names with lists of values were expected",
    ),
    (
        lambda u: mg.train.grid_search(net, X, Y, {"lr": 0.1}),
        TypeError,
        "grid_search: lr of the grid is 0.1; a list of values was expected",
    ),
    (
        lambda u: mg.train.grid_search(net, X, Y, {"lr": []}),
        ValueError,
        "grid_search: lr of the grid has no values to try",
    ),
    # files
    (
        lambda u: mg.save("m.safetensors", u.model),
        TypeError,
        "save: a str; a Module or a Trainer was expected, and then the path",
    ),
    (
        lambda u: mg.save(u.model, None),
        TypeError,
        "save: path is a NoneType; the name of a file was expected",
    ),
    (
        lambda u: mg.save(u.model, u.folder),
        IsADirectoryError,
        "save: {folder} is a folder; the name of a file was expected",
    ),
    (
        lambda u: mg.save(u.model, u.file / "inside"),
        FileExistsError,
        "[Errno 17] File exists: '{folder}/m.safetensors'",
    ),
    (
        lambda u: mg.load(u.file, u.model),
        TypeError,
        "load: a PosixPath; a Module or a Trainer was expected, and then the path",
    ),
    (
        lambda u: mg.load(u.trainer, u.file),
        GRAPH,
        "load: {folder}/m.safetensors holds a model, not a Trainer; load it into trainer.model",
    ),
    (
        lambda u: mg.load(words(), u.file),
        GRAPH,
        "Sequential: the state does not fit: missing 2.weight, 2.bias; unexpected "
        "1.num_batches_tracked, 0.bias, "
        "1.bias, 1.running_mean, 1.running_var, 1.weight, 3.bias, 3.weight",
    ),
    (
        lambda u: mg.load(u.model, u.folder / "none"),
        FileNotFoundError,
        "[Errno 2] No such file or directory: '{folder}/none'",
    ),
    (
        lambda u: mg.load(u.model, u.folder),
        IsADirectoryError,
        "[Errno 21] Is a directory: '{folder}'",
    ),
    (
        lambda u: mg.load(u.model, u.stray),
        DataError,
        "load: {folder}/notes.txt: not a whole safetensors file (…",
    ),
    # data
    (
        lambda u: data.circle(3),
        ValueError,
        "circle: n=3; an integer ≥ 5 was expected so that both parts hold a point",
    ),
    (lambda u: data.circle("ten"), TypeError, "circle: n='ten'; an integer ≥ 5 was expected"),
    (
        lambda u: data.circle(10, seed=-1),
        ValueError,
        "circle: seed=-1; an integer ≥ 0, a numpy.random.Generator or None was expected",
    ),
    (
        lambda u: data.imdb(2),
        ValueError,
        "imdb: vocabulary=2; an integer ≥ 3 was expected (two ids are special)",
    ),
    (
        lambda u: data.read_idx(None),
        TypeError,
        "read_idx: path is a NoneType; the name of a file was expected",
    ),
    (
        lambda u: data.read_idx(u.file),
        DataError,
        "{folder}/m.safetensors: not an IDX file, expected two zero bytes and two more, found 48 "
        "02 00 00",
    ),
    (
        lambda u: data.encode_reviews("one text", ["good"]),
        TypeError,
        "encode_reviews: texts is a str; a list of texts was expected",
    ),
    (
        lambda u: data.encode_reviews([3], ["good"]),
        TypeError,
        "tokenise: a int; a text was expected",
    ),
    (
        lambda u: data.decode_review([-1], ["good"]),
        IndexError,
        "decode_review: id -1 is out of range, 0 to 0 were expected",
    ),
    # drawings and views
    (
        lambda u: mg.draw(u.model),
        TypeError,
        "draw: a Sequential; a node, a Graph or a tuple of nodes was expected (call a model first)",
    ),
    (
        lambda u: mg.draw(u.graph, depth=-1),
        ValueError,
        "draw: depth=-1; an integer ≥ 0 was expected",
    ),
    (
        lambda u: mg.draw(u.graph, unroll="none"),
        ValueError,
        "draw: unroll='none'; 'rolled', 'all', a number of steps ≥ 1 or None was expected",
    ),
    (
        lambda u: mg.draw(u.graph, theme="blue"),
        ValueError,
        "draw: theme='blue'; 'light', 'dark', 'print' or None was expected",
    ),
    (
        lambda u: mg.draw(u.graph, focus=f(2)),
        ValueError,
        "draw: focus=<Variable (2,) float32> is not part of the graph",
    ),
    (
        lambda u: mg.draw(u.graph).save(u.folder / "graph.bmp"),
        ValueError,
        "save: 'graph.bmp'; a name that ends in .svg, .png, .pdf was expected",
    ),
    (
        lambda u: mg.viz.trace(3),
        TypeError,
        "trace: a int; a node, a Graph or a tuple of nodes was expected (call a model first)",
    ),
    (
        lambda u: mg.viz.saliency(3, X),
        TypeError,
        "saliency: cannot call a int; a model was expected",
    ),
    (
        lambda u: mg.viz.filters(3),
        TypeError,
        "filters: a int; a convolution or its weight was expected",
    ),
    (
        lambda u: mg.viz.feature_maps(u.node),
        ValueError,
        "feature_maps: <BroadcastedOperator embedding (2, 2) float32>; a node of conv1d, conv2d, "
        "relu, leaky_relu, "
        "tanh, sigmoid, gelu, softplus, max_pool1d, max_pool2d, avg_pool1d, avg_pool2d was "
        "expected",
    ),
    (
        lambda u: mg.viz.pooling_winners(u.node),
        ValueError,
        "pooling_winners: <BroadcastedOperator embedding (2, 2) float32>; a node of max_pool1d, "
        "max_pool2d was "
        "expected",
    ),
    (
        lambda u: mg.viz.confusion_matrix([0, 1], [0]),
        SHAPE,
        "confusion_matrix: labels (2,) and predictions (1,); (N,) and (N,) or (N, classes) were "
        "expected",
    ),
    (
        lambda u: mg.viz.memory_plan(u.trainer),
        TypeError,
        "memory_plan: a Trainer; a compiled step was expected (trainer.compile makes one)",
    ),
]
