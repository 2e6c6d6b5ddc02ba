"""The command line: the commands and their options; other modules do the work."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import distribution
from .errors import DataError, GraphError

if TYPE_CHECKING:
    from .graph.node import GraphNode

INTERRUPTED = 130  # the exit code after Ctrl-C
FAILURES = (DataError, GraphError, ImportError, ValueError, OSError)  # shown without a traceback


class Parser(argparse.ArgumentParser):
    """Answers bad use with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _integer(least: int, *words: str) -> Callable[[str], Any]:
    """The type of an option for argparse: an integer of at least `least`, or one of the words."""

    def read(text: str) -> int | str:
        if text in words:
            return text
        if int(text) < least:
            raise ValueError
        return int(text)

    read.__name__ = " or ".join([*map(repr, words), f"integer ≥ {least}"])  # for the message
    return read


positive, natural = _integer(1), _integer(0)


def pair(text: str) -> tuple[str, str]:
    """The type of an option for argparse: `torch=/path/to/python`."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ValueError
    return name, value


pair.__name__ = "PEER=PATH"


def _demo(args: argparse.Namespace) -> None:
    from .demo import demo

    demo(Path(args.out), seeds=args.seeds, only=args.only or (), n_jobs=args.jobs)


def _train(args: argparse.Namespace) -> int | None:
    from .experiments import EXPERIMENTS, prepare, train_once
    from .train import save
    from .train.distributed import Ranks

    experiment = EXPERIMENTS[args.name]
    path = None
    if args.out:
        Path(args.out).mkdir(parents=True, exist_ok=True)  # fails before the training, not after it
        path = Path(args.out) / f"{args.name}.safetensors"
    elif args.resume:
        raise ValueError("train: --resume needs --out, the folder with the checkpoint")
    ranks = Ranks(args.distributed)
    say = print if ranks.first else (lambda line: None)
    with ranks.together("", FAILURES):
        arrays = prepare(experiment)
        say(f"{experiment.title}: {arrays.source}")
        run = train_once(
            experiment,
            arrays,
            seed=args.seed,
            epochs=args.epochs,
            batch_size=args.batch_size,
            mode=args.mode,
            follow=True,
            distributed=args.distributed,
            checkpoint=path,
            resume=args.resume,
        )
    history = run.history
    first = run.trainer.state.epoch - len(history.epoch_loss) + 1
    rows = zip(history.epoch_loss, history.accuracy, history.epoch_seconds, strict=False)
    for epoch, (loss, accuracy, seconds) in enumerate(rows, first):
        say(f"epoch {epoch}: loss {loss:.4f}, held-out accuracy {accuracy:.4f}, {seconds:.2f} s")
    train, test = run.train["accuracy"], run.test["accuracy"]
    say(f"training accuracy {train:.4f}, held-out accuracy {test:.4f}")
    if path is not None:
        save(run.trainer, path)
        say(f"saved {path}")
    if history.interrupted and ranks.first:
        raise KeyboardInterrupt
    return INTERRUPTED if history.interrupted else None


def _draw(args: argparse.Namespace) -> None:
    from .experiments import EXPERIMENTS
    from .viz import Drawing, draw
    from .viz.script import backward, from_script

    read = _experiment_graph if args.what in EXPERIMENTS else from_script
    graph = read(args.what)
    if not isinstance(graph, Drawing):
        if args.gradients:
            backward(graph)
        options = {name: getattr(args, name) for name in ("depth", "unroll", "theme", "title")}
        graph = draw(graph, **options)
    graph.save(Path(args.output))
    print(f"drew {args.output}")


def _experiment_graph(name: str) -> GraphNode:
    """The loss of a model after one epoch on 32 samples."""
    from .demo import loss_on_samples
    from .experiments import EXPERIMENTS, prepare, train_once

    experiment = EXPERIMENTS[name]
    arrays = prepare(experiment)
    few = arrays.with_arrays(*(array[:32] for array in arrays))
    # One step is not worth compiling.
    run = train_once(experiment, few, epochs=1, mode="replay", progress=False)
    return loss_on_samples(experiment, run, few)


def _gallery(args: argparse.Namespace) -> None:
    from .gallery import gallery

    gallery(Path(args.out), only=args.only or ())


def _bench(args: argparse.Namespace) -> None:
    from .bench.machine import cores
    from .bench.report import bench
    from .bench.sections import ALL
    from .bench.session import Settings

    settings = Settings(
        jobs=tuple(args.only),
        peers=tuple(peer for peer in args.peers if peer != "none"),
        pythons=dict(args.python),
        threads=args.threads or min(2, cores()),
        quick=args.quick,
        rounds=args.rounds or (3 if args.quick else 7),
        unit=0.05 if args.quick else 0.2,
    )
    sections = ALL if args.section == "all" else [args.section]
    bench(
        sections,
        settings,
        json_path=args.json,
        plots=args.plots,
        readme=args.readme,
        note=lambda line: print(line, file=sys.stderr),
    )


def _warmup(args: argparse.Namespace) -> None:
    from . import kernels
    from .experiments import EXPERIMENTS, warm_up

    for name, experiment in EXPERIMENTS.items():
        started = time.perf_counter()
        warm_up(experiment)
        print(f"{name:14}{experiment.title:34}{time.perf_counter() - started:6.1f} s", flush=True)
    for folder in kernels.cache.forget_old():
        print(f"deleted {folder}: of another version, unused for a month")


def _chapters(args: argparse.Namespace) -> int | None:
    from .teach import book

    out = Path(args.out)
    if args.action == "open":
        return book.open_lab(args.numbers[0] if args.numbers else None, out)
    if args.action == "check":
        return book.verify(args.numbers)
    if args.action == "list":
        for chapter in book.chapters():
            where = "planned"
            if chapter.path is not None:
                where = str(chapter.path) if book.installed() else f"notebooks/{chapter.path.name}"
            print(f"{chapter.number:2}  {chapter.title:30}{chapter.minutes:4} minutes  {where}")
    elif args.action == "clean":
        for path in book.chosen(args.numbers):
            started = time.perf_counter()
            book.clean(path)
            print(f"{path.name:40}{time.perf_counter() - started:6.1f} s", flush=True)
    else:
        solutions = args.action == "instructor"
        for path in book.write_versions(out, args.numbers, solutions=solutions):
            print(f"wrote {path}")
    return None


def _data(args: argparse.Namespace) -> None:
    from .data import catalog

    action = {"list": catalog.status, "fetch": catalog.fetch, "verify": catalog.verify}[args.action]
    for name in args.names or catalog.CATALOG:
        row = action(name)
        state = "verified" if row.verified else "not there"
        print(f"{row.name:14}{row.size:>12,} bytes  {state:10} {row.where}")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(
        prog="minigrad",
        description="Automatic differentiation to read, to teach with, and to train with.",
    )
    commands = top.add_subparsers(
        dest="command", required=True, metavar="command", parser_class=Parser
    )
    for group in (_training, _pictures, _speed, _material):
        group(commands)
    return top


def _training(commands: Any) -> None:
    from .experiments import EXPERIMENTS

    demo = commands.add_parser(
        "demo", help="train and validate all models, print the table, draw the pictures"
    )
    demo.add_argument(
        "--out",
        default="minigrad-demo",
        help="folder for pictures and numbers (default: minigrad-demo)",
    )
    demo.add_argument("--seeds", type=positive, default=3, help="trainings per model (default: 3)")
    demo.add_argument("--only", nargs="+", choices=EXPERIMENTS, help="only these experiments")
    demo.add_argument(
        "--jobs", type=positive, default=2, help="processes for cross-validation (default: 2)"
    )
    demo.set_defaults(run=_demo)

    train = commands.add_parser("train", help="train one model")
    train.add_argument("name", choices=EXPERIMENTS)
    train.add_argument("--epochs", type=positive, help="default: the experiment's own")
    train.add_argument("--batch-size", type=positive, help="default: the experiment's own")
    train.add_argument("--seed", type=natural, default=0)
    train.add_argument(
        "--mode",
        choices=("eager", "replay", "compiled"),
        default="compiled",
        help="default: compiled",
    )
    train.add_argument(
        "--out",
        help="folder for the checkpoint, written after each epoch (default: none)",
    )
    train.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint in --out"
    )
    train.add_argument(
        "--distributed",
        action="store_true",
        help="share each batch among the ranks that mpiexec starts",
    )
    train.set_defaults(run=_train)


def _pictures(commands: Any) -> None:
    from .experiments import EXPERIMENTS

    draw = commands.add_parser(
        "draw",
        help="draw the graph of a model, or what a script of yours builds (it is run for that)",
        description="Draw the graph of a model, or what a script builds. The script is run, with "
        "all that it does: draw only scripts that you would run.",
    )
    names = ", ".join(EXPERIMENTS)
    draw.add_argument(
        "what",
        help=f"{names}, or script.py:name, a node, a Graph or a function that makes one; "
        "this runs the script",
    )
    draw.add_argument(
        "-o", "--output", default="graph.svg", help=".svg, .png or .pdf (default: graph.svg)"
    )
    draw.add_argument(
        "--gradients", action="store_true", help="compute the gradients first, where there are none"
    )
    draw.add_argument(
        "--depth", type=natural, help="levels of modules to open (default: as many as fit)"
    )
    draw.add_argument(
        "--unroll",
        type=_integer(1, "rolled", "all"),
        help="rolled, all, or a number of time steps (default: closed)",
    )
    draw.add_argument("--theme", choices=("light", "dark", "print"), help="default: the reader's")
    draw.add_argument("--title", help="title above the picture")
    draw.set_defaults(run=_draw)

    gallery = commands.add_parser(
        "gallery", help="make every kind of picture, and the page that shows them"
    )
    gallery.add_argument(
        "--out",
        default="minigrad-gallery",
        help="folder for page and pictures (default: minigrad-gallery)",
    )
    gallery.add_argument(
        "--only",
        nargs="+",
        metavar="word",
        help="only sections with one of these words in the title",
    )
    gallery.set_defaults(run=_gallery)


def _speed(commands: Any) -> None:
    from .bench.jobs import JOBS
    from .bench.sections import SECTIONS
    from .bench.session import PEERS

    bench = commands.add_parser(
        "bench", help="time minigrad beside the other libraries that are installed"
    )
    bench.add_argument(
        "section",
        nargs="?",
        choices=(*SECTIONS, "all"),
        default="jobs",
        help="default: jobs; all: every section but distributed, which needs mpiexec",
    )
    bench.add_argument(
        "--only", nargs="+", choices=JOBS, default=list(JOBS), help="these jobs only"
    )
    bench.add_argument(
        "--rounds", type=positive, help="rounds of each race (default: 7, 3 with --quick)"
    )
    bench.add_argument("--quick", action="store_true", help="short rounds, without torch.compile")
    bench.add_argument(
        "--threads", type=positive, help="of every contender (default: 2, or all cores)"
    )
    bench.add_argument(
        "--peers", nargs="+", choices=(*PEERS, "none"), default=list(PEERS), help="default: all"
    )
    bench.add_argument(
        "--python",
        nargs="+",
        type=pair,
        default=[],
        metavar="PEER=PATH",
        help="a peer's own Python",
    )
    bench.add_argument("--json", type=Path, metavar="PATH", help="write all numbers here")
    bench.add_argument("--plots", type=Path, metavar="FOLDER", help="write pictures here")
    bench.add_argument(
        "--readme",
        type=Path,
        metavar="PATH",
        help="replace the table of the jobs between the markers of this file",
    )
    bench.set_defaults(run=_bench)

    warmup = commands.add_parser(
        "warmup", help="compile the experiments' training steps, so that later starts are quick"
    )
    warmup.set_defaults(run=_warmup)


def _material(commands: Any) -> None:
    from .data.catalog import CATALOG

    chapters = commands.add_parser(
        "chapters", help="list, open, check and clean the chapters, make student versions"
    )
    chapters.add_argument(
        "action",
        nargs="?",
        choices=("list", "open", "check", "clean", "student", "instructor"),
        default="list",
        help="list (default); open in JupyterLab; check the outputs against the stored ones; clean "
        "(run and store); write without solutions (student) or with them (instructor)",
    )
    chapters.add_argument(
        "numbers", nargs="*", type=int, metavar="number", help="only these chapters (default: all)"
    )
    chapters.add_argument(
        "--out",
        default="chapters",
        help="folder for student and instructor, and for open "
        "where minigrad is installed without a checkout (default: chapters)",
    )
    chapters.set_defaults(run=_chapters)

    data = commands.add_parser("data", help="list, fetch and verify data sets")
    data.add_argument("action", choices=("list", "fetch", "verify"))
    data.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(CATALOG)} (default: all)"
    )
    data.set_defaults(run=_data)


def _replace_unencodable() -> None:
    """Print "?" for a character that the console's encoding lacks, instead of failing.

    Windows encodes redirected output as cp1252, which has no minus sign and no Greek letters.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where another program has replaced the stream
            stream.reconfigure(errors="replace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 if it failed, 2 for bad use, 130 after Ctrl-C."""
    _replace_unencodable()
    args = parser().parse_args(arguments)
    try:
        distribution.check()
        return args.run(args) or 0
    except FAILURES as error:
        print(f"minigrad: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("minigrad: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
