"""The command line: the commands and their options; other modules do the work."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from . import distribution, experiments, kernels
from .bench.jobs import JOBS
from .bench.machine import cores
from .bench.report import bench
from .bench.sections import ALL, SECTIONS
from .bench.session import PEERS, Session
from .data import catalog
from .demo import demo, loss_on_samples
from .errors import DataError, GraphError
from .experiments import EXPERIMENTS, prepare, train_once
from .gallery import gallery
from .graph.node import GraphNode
from .teach import book
from .train import save
from .train.distributed import Ranks
from .train.trainer import MODES
from .viz import Drawing, draw
from .viz.script import backward, from_script

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


# ---------------- what the commands do
def _train(
    name: str, out: Path | None, resume: bool, distributed: bool, **options: Any
) -> int | None:
    experiment, path = EXPERIMENTS[name], None
    if out:
        out.mkdir(parents=True, exist_ok=True)  # fails before the training, not after it
        path = out / f"{name}.safetensors"
    elif resume:
        raise ValueError("train: --resume needs --out, the folder with the checkpoint")
    ranks = Ranks(distributed)
    say = print if ranks.first else (lambda line: None)
    options |= {"follow": True, "distributed": distributed, "checkpoint": path, "resume": resume}
    with ranks.together("", FAILURES):
        arrays = prepare(experiment)
        say(f"{experiment.title}: {arrays.source}")
        run = train_once(experiment, arrays, **options)
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


def _draw(what: str, output: Path, gradients: bool, **options: Any) -> None:
    graph = _experiment_graph(what) if what in EXPERIMENTS else from_script(what)
    if not isinstance(graph, Drawing):
        if gradients:
            backward(graph)
        graph = draw(graph, **options)
    graph.save(output)
    print(f"drew {output}")


def _experiment_graph(name: str) -> GraphNode:
    """The loss of a model after one epoch on 32 samples."""
    experiment = EXPERIMENTS[name]
    arrays = prepare(experiment)
    few = arrays.with_arrays(*(array[:32] for array in arrays))
    # One step is not worth compiling.
    run = train_once(experiment, few, epochs=1, mode="replay", progress=False)
    return loss_on_samples(experiment, run, few)


def _bench(
    section: str, quick: bool, threads: int | None, rounds: int | None, **options: Any
) -> None:
    session = Session(
        jobs=options.pop("only"),
        peers=[peer for peer in options.pop("peers") if peer != "none"],
        threads=threads or min(2, cores()),
        quick=quick,
        rounds=rounds or (3 if quick else 7),
        unit=0.05 if quick else 0.2,
        say=partial(print, file=sys.stderr),
    )
    bench(ALL if section == "all" else [section], session, **options)


def _warmup() -> None:
    for name, experiment in EXPERIMENTS.items():
        started = time.perf_counter()
        experiments.warm_up(experiment)
        print(f"{name:14}{experiment.title:34}{time.perf_counter() - started:6.1f} s", flush=True)
    for folder in kernels.cache.forget_old():
        print(f"deleted {folder}: of another version, unused for a month")


def _chapters(action: str, numbers: list[int], out: Path) -> int | None:
    if action == "open":
        return book.open_lab(numbers[0] if numbers else None, out)
    if action == "check":
        return book.verify(numbers)
    if action == "list":
        for chapter in book.chapters():
            where = "planned"
            if chapter.path is not None:
                where = str(chapter.path) if book.installed() else f"notebooks/{chapter.path.name}"
            print(f"{chapter.number:2}  {chapter.title:30}{chapter.minutes:4} minutes  {where}")
    elif action == "clean":
        for path in book.chosen(numbers):
            started = time.perf_counter()
            book.clean(path)
            print(f"{path.name:40}{time.perf_counter() - started:6.1f} s", flush=True)
    else:
        for path in book.write_versions(out, numbers, solutions=action == "instructor"):
            print(f"wrote {path}")
    return None


def _data(action: str, names: list[str]) -> None:
    act = {"list": catalog.status, "fetch": catalog.fetch, "verify": catalog.verify}[action]
    for name in names or catalog.CATALOG:
        row = act(name)
        state = "verified" if row.verified else "not there"
        print(f"{row.name:14}{row.size:>12,} bytes  {state:10} {row.where}")


# ---------------- their options
#: makes a command, which calls a function with its options; returns `add_argument` of its parser
Command = Callable[..., Callable[..., object]]


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(
        prog="minigrad",
        description="Automatic differentiation to read, to teach with, and to train with.",
    )
    commands = top.add_subparsers(required=True, metavar="command", parser_class=Parser)

    def command(
        name: str, run: Callable[..., object], help: str, description: str | None = None
    ) -> Callable[..., object]:
        made = commands.add_parser(name, help=help, description=description)
        made.set_defaults(run=run)
        return made.add_argument

    for group in (_training, _pictures, _speed, _material):
        group(command)
    return top


def _training(command: Command) -> None:
    add = command("demo", demo, "train and validate all models, print the table, draw the pictures")
    add(
        "--out",
        type=Path,
        default="minigrad-demo",
        help="folder for pictures and numbers (default: minigrad-demo)",
    )
    add("--seeds", type=positive, default=3, help="trainings per model (default: 3)")
    add("--only", nargs="+", choices=EXPERIMENTS, default=(), help="only these experiments")
    add(
        "--jobs",
        dest="n_jobs",
        metavar="JOBS",
        type=positive,
        default=2,
        help="processes for cross-validation (default: 2)",
    )

    add = command("train", _train, "train one model")
    add("name", choices=EXPERIMENTS)
    add("--epochs", type=positive, help="default: the experiment's own")
    add("--batch-size", type=positive, help="default: the experiment's own")
    add("--seed", type=natural, default=0)
    add("--mode", choices=MODES, default="compiled", help="default: compiled")
    add(
        "--out",
        type=Path,
        help="folder for the checkpoint, written after each epoch (default: none)",
    )
    add("--resume", action="store_true", help="continue from the checkpoint in --out")
    add(
        "--distributed",
        action="store_true",
        help="share each batch among the ranks that mpiexec starts",
    )


def _pictures(command: Command) -> None:
    add = command(
        "draw",
        _draw,
        "draw the graph of a model, or what a script of yours builds (it is run for that)",
        description="Draw the graph of a model, or what a script builds. The script is run, with "
        "all that it does: draw only scripts that you would run.",
    )
    names = ", ".join(EXPERIMENTS)
    add(
        "what",
        help=f"{names}, or script.py:name, a node, a Graph or a function that makes one; "
        "this runs the script",
    )
    add(
        "-o",
        "--output",
        type=Path,
        default="graph.svg",
        help=".svg, .png or .pdf (default: graph.svg)",
    )
    add("--gradients", action="store_true", help="compute the gradients first, if there are none")
    add("--depth", type=natural, help="levels of modules to open (default: as many as fit)")
    add(
        "--unroll",
        type=_integer(1, "rolled", "all"),
        help="rolled, all, or a number of time steps (default: closed)",
    )
    add("--theme", choices=("light", "dark", "print"), help="default: the reader's")
    add("--title", help="title above the picture")

    add = command("gallery", gallery, "make every kind of picture, and the page that shows them")
    add(
        "--out",
        type=Path,
        default="minigrad-gallery",
        help="folder for page and pictures (default: minigrad-gallery)",
    )
    add(
        "--only",
        nargs="+",
        metavar="word",
        default=(),
        help="only sections with one of these words in the title",
    )


def _speed(command: Command) -> None:
    add = command("bench", _bench, "time minigrad beside the other libraries that are installed")
    add(
        "section",
        nargs="?",
        choices=(*SECTIONS, "all"),
        default="jobs",
        help="default: jobs; all: every section but distributed, which needs mpiexec",
    )
    add("--only", nargs="+", choices=JOBS, default=list(JOBS), help="these jobs only")
    add("--rounds", type=positive, help="rounds of each race (default: 7, 3 with --quick)")
    add("--quick", action="store_true", help="short rounds, without torch.compile")
    add("--threads", type=positive, help="of every contender (default: 2, or all cores)")
    add("--peers", nargs="+", choices=(*PEERS, "none"), default=PEERS, help="default: all")
    path = {"type": Path, "metavar": "PATH"}
    add("--json", dest="json_path", **path, help="write all numbers here")
    add("--plots", type=Path, metavar="FOLDER", help="write pictures here")
    table = "replace the table of the jobs between the markers of this file"
    add("--readme", **path, help=table)

    command(
        "warmup",
        _warmup,
        "compile the experiments' training steps, so that later starts are quick",
    )


def _material(command: Command) -> None:
    add = command(
        "chapters",
        _chapters,
        "list, open, check and clean the chapters, make student versions",
    )
    add(
        "action",
        nargs="?",
        choices=("list", "open", "check", "clean", "student", "instructor"),
        default="list",
        help="list (default); open in JupyterLab; check the outputs against the stored ones; clean "
        "(run and store); write without solutions (student) or with them (instructor)",
    )
    add("numbers", nargs="*", type=int, metavar="number", help="only these (default: all)")
    add(
        "--out",
        type=Path,
        default="chapters",
        help="folder for student and instructor, and for open "
        "where minigrad is installed without a checkout (default: chapters)",
    )

    add = command("data", _data, "list, fetch and verify data sets")
    add("action", choices=("list", "fetch", "verify"))
    names = ", ".join(catalog.CATALOG)
    add("names", nargs="*", metavar="name", help=f"of {names} (default: all)")


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
    options = vars(parser().parse_args(arguments))
    run = options.pop("run")
    try:
        distribution.check()
        code = run(**options)
        return code if isinstance(code, int) else 0
    except FAILURES as error:
        print(f"minigrad: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("minigrad: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
