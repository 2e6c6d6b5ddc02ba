"""What runs in PyTorch's own process: `python in_torch.py FILE` (see test_as_torch.py).

FILE has the parameters of each case of `cases.py`; written back are outputs and gradients.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from cases import CASES, flat, weights


def with_lengths(layer, x, lengths, states):
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, layer.batch_first, False)
    output, final = layer(packed, *states)
    steps = x.shape[1 if layer.batch_first else 0]
    options = {"batch_first": layer.batch_first, "total_length": steps}
    return nn.utils.rnn.pad_packed_sequence(output, **options)[0], final


def run(case, state):
    layer = getattr(nn, case.kind)(**case.options).double()
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    xs = [torch.from_numpy(x).requires_grad_() for x in case.inputs()]
    start = [torch.from_numpy(x).requires_grad_() for x in case.start()]
    more = dict(case.more)
    states = [tuple(start) if len(start) == 2 else start[0]] if start else []
    if case.kind == "MultiheadAttention":
        more = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in more.items()}
        found = layer(*(xs * 3)[:3], **more)
    elif "lengths" in more:
        found = with_lengths(layer, *xs, torch.tensor(more["lengths"]), states)
    else:
        found = layer(*xs, *states)
    outputs = flat(found)
    sum(
        (y * torch.from_numpy(weights(i, tuple(y.shape)))).sum() for i, y in enumerate(outputs)
    ).backward()
    leaves = [*xs, *start, *(p for _, p in sorted(layer.named_parameters()))]
    return [*(y.detach().numpy() for y in outputs), *(leaf.grad.numpy() for leaf in leaves)]


def main(path):
    given, found = dict(np.load(path)), {}
    for i, case in enumerate(CASES.values()):
        prefix = f"{i}/"
        state = {k.removeprefix(prefix): a for k, a in given.items() if k.startswith(prefix)}
        for j, array in enumerate(run(case, state)):
            found[f"{i}/{j:03}"] = array
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
