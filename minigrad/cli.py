"""The command line: what each word means is decided here, what it does elsewhere."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .errors import DataError, GraphError


class Parser(argparse.ArgumentParser):
    """Bad use is answered with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = "integer ≥ 1"  # argparse names the type in its message


def _demo(args: argparse.Namespace) -> None:
    from .demo import demo

    demo(Path(args.out), seeds=args.seeds, only=args.only or (), n_jobs=args.jobs)


def _train(args: argparse.Namespace) -> None:
    from . import save
    from .experiments import EXPERIMENTS, prepare, train_once

    experiment = EXPERIMENTS[args.name]
    arrays = prepare(experiment)
    print(f"{experiment.title}: {arrays.source}")
    run = train_once(
        experiment, arrays, seed=args.seed, epochs=args.epochs, batch_size=args.batch_size, mode=args.mode, follow=True
    )
    for epoch, (loss, accuracy) in enumerate(zip(run.history.epoch_loss, run.history.accuracy, strict=False), 1):
        seconds = run.history.epoch_seconds[epoch - 1]
        print(f"epoch {epoch}: loss {loss:.4f}, held-out accuracy {accuracy:.4f}, {seconds:.2f} s")
    print(f"training accuracy {run.train['accuracy']:.4f}, held-out accuracy {run.test['accuracy']:.4f}")
    if args.out:
        folder = Path(args.out)
        folder.mkdir(parents=True, exist_ok=True)
        save(run.trainer, folder / f"{args.name}.safetensors")
        print(f"saved {folder / f'{args.name}.safetensors'}")
    if run.history.interrupted:
        raise KeyboardInterrupt


def _draw(args: argparse.Namespace) -> None:
    from .demo import draw_graph
    from .experiments import EXPERIMENTS, prepare, train_once

    experiment = EXPERIMENTS[args.name]
    arrays = prepare(experiment)
    few = arrays.with_arrays(*(array[:32] for array in arrays))
    run = train_once(experiment, few, epochs=1, progress=False)
    draw_graph(experiment, run, few, Path(args.output))
    print(f"drew {args.output}")


def _data(args: argparse.Namespace) -> None:
    from .data import catalog

    names = args.names or [row.name for row in catalog.status()]
    if args.action == "list":
        rows = catalog.status()
    else:
        rows = [(catalog.fetch if args.action == "fetch" else catalog.verify)(name) for name in names]
    for row in rows:
        print(f"{row.name:14}{row.size:>12,} bytes  {'verified' if row.verified else 'not there':10} {row.where}")


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    from .data.catalog import CATALOG
    from .experiments import EXPERIMENTS

    top = Parser(prog="minigrad", description="Automatic differentiation to read, to teach with, and to train with.")
    commands = top.add_subparsers(dest="command", required=True, metavar="command", parser_class=Parser)

    demo = commands.add_parser("demo", help="train and validate all models, print the table, draw the pictures")
    demo.add_argument("--out", default="figures", help="folder for pictures and numbers (default: figures)")
    demo.add_argument("--seeds", type=positive, default=3, help="trainings per model (default: 3)")
    demo.add_argument("--only", nargs="+", choices=EXPERIMENTS, help="these experiments only")
    demo.add_argument("--jobs", type=positive, default=2, help="processes for cross-validation (default: 2)")
    demo.set_defaults(run=_demo)

    train = commands.add_parser("train", help="train one model")
    train.add_argument("name", choices=EXPERIMENTS)
    train.add_argument("--epochs", type=positive, help="default: the experiment's own")
    train.add_argument("--batch-size", type=positive, help="default: the experiment's own")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--mode", choices=("eager", "replay"), default="replay", help="default: replay")
    train.add_argument("--out", help="folder for the checkpoint (default: none is written)")
    train.set_defaults(run=_train)

    draw = commands.add_parser("draw", help="draw a model's graph with values and gradients")
    draw.add_argument("name", choices=EXPERIMENTS)
    draw.add_argument("-o", "--output", default="graph.svg", help=".svg, .png or .pdf (default: graph.svg)")
    draw.set_defaults(run=_draw)

    data = commands.add_parser("data", help="list, fetch and verify data sets")
    data.add_argument("action", choices=("list", "fetch", "verify"))
    data.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(sorted(CATALOG))} (default: all)")
    data.set_defaults(run=_data)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 if it failed, 2 for bad use, 130 after Ctrl-C."""
    args = parser().parse_args(arguments)
    try:
        args.run(args)
    except (DataError, GraphError, ValueError, OSError) as error:
        print(f"minigrad: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("minigrad: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
