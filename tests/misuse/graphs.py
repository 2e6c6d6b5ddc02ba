"""Misuses of nodes, operators, graphs, hooks and gradient checks, and what each is answered."""

import numpy as np
from misuse.use import f, whole

import minigrad as mg

SHAPE, DTYPE, GRAPH = mg.ShapeError, mg.DTypeError, mg.GraphError
OWN = "mg.operator makes one (outside of a model, .value is the array)"

FIVE = mg.operator(np.sin, lambda g, y, x: np.ones(5), name="five")

TABLE = [  # (what is done, the error, its message, the module if it is noted)
    # nodes
    (
        lambda u: mg.Variable("one"),
        DTYPE,
        "cannot make a Variable of <U3 values; numbers are expected",
    ),
    (
        lambda u: mg.Variable(None),
        DTYPE,
        "cannot make a Variable of object values; numbers are expected",
    ),
    (
        lambda u: mg.Variable([1, [2]]),
        SHAPE,
        "cannot make a Variable of list; rows of equal lengths are expected",
    ),
    (
        lambda u: mg.Variable([f(2), f(2)]),
        DTYPE,
        "a list with nodes in it has gradients that would be lost; mg.stack makes a node of it",
    ),
    (
        lambda u: mg.Constant([16777217]),
        DTYPE,
        "16777217 has more digits than float32; dtype=np.int64 or np.float64 keeps it, "
        ".astype says "
        "that it may be rounded",
    ),
    (
        lambda u: setattr(f(2), "grad", 0.0),
        SHAPE,
        "<Variable (2,) float32> cannot take a gradient of shape (); a node keeps its shape",
    ),
    (
        lambda u: f(2).__isub__(1),
        GRAPH,
        "<Variable (2,) float32> -= …: a Variable changes in place only within `with "
        "mg.no_grad():`; "
        "w = w - … makes a new node",
    ),
    (
        lambda u: mg.Variable(1, dtype=np.float16),
        DTYPE,
        "dtype <class 'numpy.float16'>: minigrad computes in float32 or float64",
    ),
    (
        lambda u: mg.Variable(1j),
        DTYPE,
        "cannot make a Variable of complex128 values; numbers are expected",
    ),
    (
        lambda u: mg.Variable(f(2)),
        DTYPE,
        "<Variable (2,) float32> is a node already; use it as it is, or its .value",
    ),
    (
        lambda u: mg.Constant(1.5, dtype=int),
        DTYPE,
        "float64 values are not whole numbers; use .astype to say how to round them",
    ),
    (lambda u: mg.Constant([1, 300], dtype=np.int8), DTYPE, "300 does not fit into int8"),
    (
        lambda u: setattr(mg.Constant(1, dtype=np.uint8), "value", -1),
        DTYPE,
        "-1 does not fit into uint8",
    ),
    (
        lambda u: setattr(f(2), "value", np.ones(3)),
        SHAPE,
        "<Variable (2,) float32> cannot take a value of shape (3,); a node keeps its shape",
    ),
    (
        lambda u: setattr(f(2) * 2, "value", np.ones(2)),
        GRAPH,
        "<BroadcastedOperator multiply (2,) float32> is computed; set the value of a Constant or "
        "Variable and run "
        "forward again",
    ),
    (lambda u: f(2).item(), SHAPE, "<Variable (2,) float32> holds 2 numbers, not one; use .value"),
    (lambda u: float(f(2)), SHAPE, "<Variable (2,) float32> holds 2 numbers, not one; use .value"),
    (
        lambda u: bool(f(2) > 0),
        GRAPH,
        "the truth of <BroadcastedOperator greater (2,) bool> is not one yes or no; compare "
        "its .value",
    ),
    (lambda u: len(f()), TypeError, "len() of <Variable () float32>, which has no axes"),
    (
        lambda u: mg.topological_sort(None),
        TypeError,
        "topological_sort: a NoneType; a node was expected (call a model first)",
    ),
    (
        lambda u: mg.default_dtype(int).__enter__(),
        DTYPE,
        "dtype <class 'int'>: minigrad computes in float32 or float64",
    ),
    # backward
    (
        lambda u: f(2).backward(),
        GRAPH,
        "backward from <Variable (2,) float32>: shape (2,) is not a single number; reduce "
        "it (mean, "
        "sum) or give "
        "grad, an array of that shape",
    ),
    (
        lambda u: (f(2) * 2).backward(np.ones(3)),
        SHAPE,
        "backward from <BroadcastedOperator multiply (2,) float32>: grad has shape (3,), (2,) was "
        "expected",
    ),
    (
        lambda u: mg.Constant(1.0).backward(),
        GRAPH,
        "backward from <Constant () float32>: it depends on no Variable, so there is no gradient",
    ),
    (
        lambda u: (f(2) * 2).sum().backward("one"),
        DTYPE,
        "backward from <BroadcastedOperator sum () float32>: grad holds <U3, numbers were expected",
    ),
    # operators
    (
        lambda u: f(2) + f(3),
        SHAPE,
        "add: shapes (2,) and (3,); shapes that broadcast were expected",
    ),
    (
        lambda u: f(2) + f(2, dtype=np.float64),
        DTYPE,
        "add: shapes (2,) and (2,); dtypes float32 and float64; make them one (dtype=…), for "
        "minigrad "
        "never changes "
        "it silently",
    ),
    (
        lambda u: f(2) * whole(2),
        DTYPE,
        "multiply: shapes (2,) and (2,); dtypes float32 and int64, floats were expected (dtype=…)",
    ),
    (
        lambda u: f(2) + None,
        DTYPE,
        "add: shapes (2,) and NoneType; cannot make a Constant of object values; numbers are "
        "expected",
    ),
    (
        lambda u: f(2) ** "two",
        DTYPE,
        "power: shapes (2,) and str; cannot make a Constant of <U3 values; numbers are expected",
    ),
    (lambda u: divmod(f(2), 2), GRAPH, f"np.divmod has no minigrad operator; {OWN}"),
    (lambda u: np.sinc(f(2)), GRAPH, f"np.sinc has no minigrad operator; {OWN}"),
    (
        lambda u: np.add(f(2), f(2), out=np.ones(2)),
        GRAPH,
        "np.add with out= has no place in a graph; nodes never change in place",
    ),
    (lambda u: mg.clip(f(2), "low"), DTYPE, "clip: shapes (2,); low='low'; a number was expected"),
    (lambda u: mg.relu(), TypeError, "relu: missing a required argument: 'x'"),
    (lambda u: mg.relu(f(2), 3), TypeError, "relu: too many positional arguments"),
    (
        lambda u: f(2) @ f(3),
        SHAPE,
        "matmul: shapes (2,) and (3,); the first's last axis must be as long as the second's last "
        "but one",
    ),
    (
        lambda u: f(2) @ 3,
        SHAPE,
        "matmul: shapes (2,) and (); two arrays were expected; use * to multiply by a number",
    ),
    (
        lambda u: mg.linear(f(2, 3), f(4, 2), f(4)),
        SHAPE,
        "linear: shapes (2, 3) and (4, 2) and (4,); x has 3 features, the layer takes 2",
    ),
    (
        lambda u: f(2, 3).sum(axis=2),
        SHAPE,
        "sum: shapes (2, 3); axis 2 does not fit; different integers from -2 to 1 were expected",
    ),
    (
        lambda u: f(0, 3).max(axis=0),
        SHAPE,
        "max: shapes (0, 3); there is no entry to take the max of along axis 0",
    ),
    (
        lambda u: mg.softmax(f(2, 3), axis=(0, 1)),
        SHAPE,
        "softmax: shapes (2, 3); an array and one axis were expected, not axis (0, 1)",
    ),
    (
        lambda u: f(2, 3).reshape(4, -1),
        SHAPE,
        "reshape: shapes (2, 3); 6 entries do not fit into shape (4, -1)",
    ),
    (
        lambda u: f(2, 3).transpose(0, 0),
        SHAPE,
        "transpose: shapes (2, 3); transpose(x, (0, 0)): repeated axis in transpose",
    ),
    (
        lambda u: mg.transpose(f(2, 3), 5),
        SHAPE,
        "transpose: shapes (2, 3); transpose(x, 5): axes don't match array",
    ),
    (
        lambda u: f(2, 3)[2],
        IndexError,
        "getitem: shapes (2, 3); index 2 is out of bounds for axis 0 with size 2",
    ),
    (
        lambda u: f(2, 3)[0.5],
        IndexError,
        "getitem: shapes (2, 3); only integers, slices (`:`), ellipsis (`...`), numpy.newaxis "
        "(`None`) and integer or"
        " boolean arrays are valid indices",
    ),
    (
        lambda u: f(2, 3)[1:"a"],
        IndexError,
        "getitem: shapes (2, 3); slice indices must be integers or None or have an "
        "__index__ method",
    ),
    (
        lambda u: f(2, 3)[[[0], [1, 2]]],
        IndexError,
        "getitem: shapes (2, 3); rows of indices of different lengths",
    ),
    (
        lambda u: mg.concatenate([f(2), f(2, 2)]),
        SHAPE,
        "concatenate: shapes (2,) and (2, 2); axis 0: all the input arrays must have same "
        "number of "
        "dimensions, but "
        "the array at index 0 has 1 dimension(s) and the array at index 1 has 2 dimension(s)",
    ),
    (lambda u: mg.concatenate(3), TypeError, "concatenate: a int; a list of arrays was expected"),
    (
        lambda u: mg.stack([f(2), f(3)]),
        SHAPE,
        "stack: shapes (2,) and (3,); axis 0: all input arrays must have the same shape",
    ),
    (
        lambda u: mg.pad(f(2), -1),
        SHAPE,
        "pad: shapes (2,); pad_width -1 does not fit; (before, after) pairs of integers ≥ 0 were "
        "expected",
    ),
    (
        lambda u: mg.broadcast_to(f(2), 3),
        SHAPE,
        "broadcast_to: shapes (2,); broadcast_to(x, 3): operands could not be broadcast together "
        "with remapped shapes [original->remapped]: (2,)  and requested shape (3,)",
    ),
    (
        lambda u: mg.where(f(2), f(3), f(4)),
        SHAPE,
        "where: shapes (2,) and (3,) and (4,); shapes that broadcast were expected",
    ),
    (
        lambda u: mg.conv2d(f(1, 3, 5, 5), f(4, 2, 2, 2)),
        SHAPE,
        "conv2d: shapes (1, 3, 5, 5) and (4, 2, 2, 2); x has 3 channels, the layer takes 2",
    ),
    (
        lambda u: mg.conv2d(f(3, 5, 5), f(4, 3, 2, 2)),
        SHAPE,
        "conv2d: shapes (3, 5, 5) and (4, 3, 2, 2); x (N, C, H, W) and weight (out, C / groups, "
        "kernel size) were "
        "expected",
    ),
    (
        lambda u: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 5, 5)),
        SHAPE,
        "conv2d: shapes (1, 1, 3, 3) and (1, 1, 5, 5); the kernel is larger than the padded input; "
        "use more padding "
        "or a smaller one",
    ),
    (
        lambda u: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 2, 2), stride=0),
        ValueError,
        "conv2d: shapes (1, 1, 3, 3) and (1, 1, 2, 2); stride=0; an integer or 2 of them, ≥ 1 was "
        "expected",
    ),
    (
        lambda u: mg.max_pool2d(f(1, 1, 4, 4), 2, padding=2),
        ValueError,
        "max_pool2d: shapes (1, 1, 4, 4); padding=2; at most half of kernel_size=2 was expected",
    ),
    (
        lambda u: mg.avg_pool1d(f(1, 4), 2),
        SHAPE,
        "avg_pool1d: shapes (1, 4); x (N, C, L) was expected",
    ),
    (
        lambda u: mg.embedding([3], f(3, 2)),
        IndexError,
        "embedding: shapes (1,) and (3, 2); id 3 is out of range, 0 to 2 were expected",
    ),
    (
        lambda u: mg.embedding([-1], f(3, 2)),
        IndexError,
        "embedding: shapes (1,) and (3, 2); id -1 is out of range, 0 to 2 were expected",
    ),
    (
        lambda u: mg.embedding([0.5], f(3, 2)),
        DTYPE,
        "embedding: shapes (1,) and (3, 2); ids are float32, integers were expected (Constant(…, "
        "dtype=np.int64))",
    ),
    (
        lambda u: mg.cross_entropy(f(2, 3), [0, 3]),
        IndexError,
        "cross_entropy: shapes (2, 3) and (2,); class id 3 is out of range, 0 to 2 were expected",
    ),
    (
        lambda u: mg.cross_entropy(f(2, 3), [0.0, 1.0]),
        DTYPE,
        "cross_entropy: shapes (2, 3) and (2,); class ids are float32, integers were expected "
        "(Constant(…, "
        "dtype=np.int64))",
    ),
    (
        lambda u: mg.mse_loss(f(3, 1), f(3)),
        SHAPE,
        "mse_loss: shapes (3, 1) and (3,); equal shapes were expected (a loss does not broadcast; "
        "reshape the target "
        "if it is a column)",
    ),
    (
        lambda u: mg.dropout(f(3), 1.5),
        ValueError,
        "dropout: shapes (3,); p=1.5; a number from 0 to 1 was expected",
    ),
    (
        lambda u: mg.layer_norm(f(2, 3), 4),
        SHAPE,
        "layer_norm: shapes (2, 3); normalized_shape=4; x (…, 4), weight and bias (4,) were "
        "expected",
    ),
    (
        lambda u: mg.batch_norm(f(1, 3), training=True),
        SHAPE,
        "batch_norm: shapes (1, 3); more than one value per channel was expected in training",
    ),
    (
        lambda u: mg.rnn(f(3, 2, 4), f(2, 5), f(5, 4), f(5, 4), f(5), f(5)),
        SHAPE,
        "rnn: shapes (3, 2, 4) and (2, 5) and (5, 4) and (5, 4) and (5,) and (5,); x (T, N, "
        "in), h0 "
        "(N, hidden), w "
        "(hidden, in), v (hidden, hidden), two biases (hidden,) were expected",
    ),
    # operators of one's own
    (lambda u: mg.operator(3, 4), TypeError, "operator: forward is a int, a function was expected"),
    (
        lambda u: mg.operator(np.sin, lambda g, y, x: g)("one"),
        DTYPE,
        "sin: shapes str; cannot make a Constant of <U3 values; numbers are expected",
    ),
    (
        lambda u: mg.operator(lambda x: None, lambda g, y, x: g, name="none")(f(2)),
        DTYPE,
        "none: forward returned object values; numbers were expected",
    ),
    (
        lambda u: mg.operator(np.sin, lambda g, y, x: (g, g), name="twice")(f()).backward(),
        GRAPH,
        "twice: backward returned 2 gradients for 1 inputs; one for each was expected, None where "
        "there is none",
    ),
    (
        lambda u: FIVE(f(2)).sum().backward(),
        SHAPE,
        "five: backward returned shape (5,) for input 0; (2,) was expected, or a shape to "
        "which that "
        "broadcasts",
    ),
    (
        lambda u: mg.operator(np.sin, lambda g, y, x: g)(f(2), scale=3),
        TypeError,
        "sin: got an unexpected keyword argument 'scale'",
    ),
    # graphs, hooks, gradcheck
    (
        lambda u: mg.Graph(u.model),
        TypeError,
        "Graph: a Sequential; a node was expected (call a model first)",
    ),
    (
        lambda u: setattr(u.ids, "value", [0, 1, 2]),
        SHAPE,
        "<Constant 'ids' (2,) int64> cannot take a value of shape (3,); a node keeps its shape",
    ),
    (
        lambda u: setattr(u.ids, "value", [0.5, 1.5]),
        DTYPE,
        "<Constant 'ids' (2,) int64> cannot take a value of dtype float64",
    ),
    (
        lambda u: u.graph.backward(np.ones(2)),
        SHAPE,
        "backward from <BroadcastedOperator sum () float32>: grad has shape (2,), () was expected",
    ),
    (
        lambda u: u.graph.diff(3),
        TypeError,
        "diff: a int; a node or a Graph was expected (call a model first)",
    ),
    (
        lambda u: u.node.register_forward_hook("print"),
        TypeError,
        "hook: a str; a function of node and array was expected",
    ),
    (
        lambda u: u.model.register_backward_hook(None),
        TypeError,
        "hook: a NoneType; a function of node and array was expected",
    ),
    (
        lambda u: mg.gradcheck(3, [1.0]),
        TypeError,
        "gradcheck: fn is a int; a function of nodes was expected",
    ),
    (
        lambda u: mg.gradcheck(mg.exp, 1.0),
        TypeError,
        "gradcheck: inputs is a float; a list or tuple was expected, one for each argument",
    ),
    (
        lambda u: mg.gradcheck(lambda x: 3, [1.0]),
        GRAPH,
        "gradcheck: fn returned a int; a node was expected",
    ),
    (
        lambda u: mg.gradcheck(mg.exp, [1.0], step=0),
        ValueError,
        "gradcheck: step=0; a number > 0 was expected",
    ),
]
