"""The command line: the commands and their options; other modules do the work."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from . import __version__, distribution, experiments, kernels
from .bench.jobs import JOBS
from .bench.machine import cores
from .bench.report import bench
from .bench.sections import ALL, SECTIONS
from .bench.session import PEERS, Session
from .data import catalog
from .demo import demo
from .errors import DataError, GraphError
from .experiments import EXPERIMENTS, prepare, train_once
from .gallery import gallery
from .teach import book
from .teach.site import site
from .train import History, Trainer, save
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
def _train(name: str, out: Path | None, resume: bool, **options: Any) -> int | None:
    experiment = EXPERIMENTS[name]
    path = out / f"{name}.safetensors" if out else None
    if out:
        out.mkdir(parents=True, exist_ok=True)  # fails before the training, not after it
    elif resume:
        raise ValueError("train: --resume needs --out, the folder with the checkpoint")
    ranks = Ranks(options["distributed"])
    say = tqdm.write if ranks.first else (lambda line: None)

    def after_epoch(trainer: Trainer, history: History) -> None:
        loss, accuracy = history.epoch_loss[-1], history.accuracy[-1]
        told = f"loss {loss:.4f}, held-out accuracy {accuracy:.4f}"
        say(f"epoch {trainer.state.epoch}: {told}, {history.epoch_seconds[-1]:.2f} s")
        if path:
            save(trainer, path)

    options |= {"follow": True, "callbacks": [after_epoch], "resume": path if resume else None}
    with ranks.together("", FAILURES):
        arrays = prepare(experiment)
        say(f"{experiment.title}: {arrays.source}")
        run = train_once(experiment, arrays, **options)
    train, test = run.train["accuracy"], run.test["accuracy"]
    say(f"training accuracy {train:.4f}, held-out accuracy {test:.4f}")
    if path:
        save(run.trainer, path)
        say(f"saved {path}")
    if run.history.interrupted and ranks.first:
        raise KeyboardInterrupt
    return INTERRUPTED if run.history.interrupted else None


def _draw(what: str, output: Path, gradients: bool, **options: Any) -> None:
    graph: Any
    if what in EXPERIMENTS:  # as it is after one epoch; one step is not worth compiling
        experiment = EXPERIMENTS[what]
        arrays = prepare(experiment)
        run = train_once(experiment, arrays, samples=32, epochs=1, mode="replay", progress=False)
        graph = run.loss(arrays)
    else:
        graph = from_script(what)
    if not isinstance(graph, Drawing):
        if gradients:
            backward(graph)
        graph = draw(graph, **options)
    graph.save(output)
    print(f"drew {output}")


def _bench(
    section: str, quick: bool, threads: int | None, rounds: int | None, **options: Any
) -> None:
    session = Session(
        jobs=options.pop("only") or list(JOBS),
        peers=[peer for peer in options.pop("peers") or PEERS if peer != "none"],
        threads=threads or min(2, cores()),
        quick=quick,
        rounds=rounds or (3 if quick else 5),
        unit=0.05 if quick else 0.2,
        say=partial(print, file=sys.stderr),
    )
    sections = ALL if section == "all" else [section]
    bench(sections, session, json_path=options.pop("json"), **options)


def _warmup() -> None:
    for name, experiment in EXPERIMENTS.items():
        started = time.perf_counter()
        experiments.warm_up(experiment)
        print(f"{name:14}{experiment.title:34}{time.perf_counter() - started:6.1f} s", flush=True)
    for folder in kernels.cache.forget_old():
        print(f"deleted {folder}: of another version, unused for a month")


def _data(action: str, names: list[str]) -> None:
    act = {"list": catalog.status, "fetch": catalog.fetch, "verify": catalog.verify}[action]
    for name in names or catalog.CATALOG:
        row = act(name)
        state = "verified" if row.verified else "not there"
        print(f"{row.name:14}{row.size:>12,} bytes  {state:10} {row.where}")


# ---------------- their options
def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(
        prog="minigrad",
        description="Automatic differentiation to read, to teach with, and to train with.",
    )
    top.add_argument("--version", action="version", version=f"minigrad {__version__}")
    commands = top.add_subparsers(required=True, metavar="command")
    for name, (run, told, *options) in COMMANDS.items():
        command = commands.add_parser(name, help=told, description=told)
        command.set_defaults(run=run)
        for flags, kind, default, text, *count in options:
            how: dict[str, Any] = {"type": kind} if callable(kind) else {"choices": kind}
            how |= {"nargs": count[0]} if count else {}
            if kind is bool:
                how = {"action": "store_true"}
            if default:
                text += f" (default: {default})"
            command.add_argument(*flags.split(), default=default, help=text, **how)
    return top


#: name -> function, help, and options: flags; type, or choices; default; help; and, where several
#: arguments are taken, how many
COMMANDS: dict[str, tuple[Any, ...]] = {
    "demo": (
        demo,
        "train and validate all models, print the table, draw the pictures",
        ("--out", Path, "minigrad-demo", "folder for pictures and numbers"),
        ("--seeds", positive, 3, "trainings per model"),
        ("--only", EXPERIMENTS, (), "only these experiments", "+"),
        ("--jobs", positive, 2, "processes for cross-validation"),
    ),
    "train": (
        _train,
        "train one model",
        ("name", EXPERIMENTS, None, "the experiment"),
        ("--epochs", positive, None, "default: the experiment's own"),
        ("--batch-size", positive, None, "default: the experiment's own"),
        ("--seed", natural, 0, "of initial weights and the order of samples (default: 0)"),
        ("--mode", MODES, "compiled", "how graphs run"),
        ("--out", Path, None, "folder for the checkpoint, written after each epoch"),
        ("--resume", bool, False, "continue from the checkpoint in --out"),
        ("--distributed", bool, False, "share each batch among the ranks that mpiexec starts"),
    ),
    "draw": (
        _draw,
        "draw the graph of a model, or what a script builds. The script is run, with all that it "
        "does: draw only scripts that you would run.",
        (
            "what",
            str,
            None,
            f"{', '.join(EXPERIMENTS)}, or script.py:name, a node, a Graph or a function that "
            "makes one; this runs the script",
        ),
        ("-o --output", Path, "graph.svg", ".svg, .png or .pdf"),
        ("--gradients", bool, False, "compute the gradients first, if there are none"),
        ("--depth", natural, None, "levels of modules to open (default: as many as fit)"),
        (
            "--unroll",
            _integer(1, "rolled", "all"),
            None,
            "rolled, all, or a number of time steps (default: closed)",
        ),
        ("--theme", ("light", "dark", "print"), None, "default: the reader's"),
        ("--title", str, None, "title above the picture"),
    ),
    "gallery": (
        gallery,
        "make every kind of picture, and the page that shows them",
        ("--out", Path, "minigrad-gallery", "folder for page and pictures"),
        ("--only", str, (), "only sections with one of these words in the title", "+"),
    ),
    "bench": (
        _bench,
        "time minigrad beside the other libraries that are installed",
        (
            "section",
            (*SECTIONS, "all"),
            "jobs",
            "all: every section but distributed, which needs mpiexec",
            "?",
        ),
        ("--only", JOBS, (), "these jobs only", "+"),
        ("--rounds", positive, None, "rounds of each race (default: 5, 3 with --quick)"),
        ("--quick", bool, False, "short rounds, without torch.compile"),
        ("--threads", positive, None, "of every contender (default: 2, or all cores)"),
        ("--peers", (*PEERS, "none"), (), "default: all", "+"),
        ("--json", Path, None, "file for all numbers; its other jobs stay"),
        ("--plots", Path, None, "folder for pictures"),
        ("--page", Path, None, "file whose tables, between markers, are replaced"),
    ),
    "warmup": (
        _warmup,
        "compile the experiments' training steps, so that later starts are quick",
    ),
    "chapters": (
        book.chapters,
        "list, open, check and clean the chapters, make student versions",
        (
            "action",
            book.ACTIONS,
            "list",
            "open in JupyterLab; check the outputs against the stored ones; clean (run and store); "
            "write without solutions (student) or with them (instructor); write the pictures "
            "(figures)",
            "?",
        ),
        ("numbers", str.upper, (), "only these chapters: 0, 1, …, A", "*"),
        (
            "--out",
            Path,
            "chapters",
            "folder for student, instructor and figures, and for open where minigrad is installed "
            "without a checkout",
        ),
    ),
    "site": (
        site,
        "make the site of the book, the gallery and the reference",
        ("--out", Path, "minigrad-site", "folder for the pages, which begin with index.html"),
    ),
    "data": (
        _data,
        "list, fetch and verify data sets",
        ("action", ("list", "fetch", "verify"), None, "what to do"),
        ("names", str, (), f"of {', '.join(catalog.CATALOG)} (default: all)", "*"),
    ),
}


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
