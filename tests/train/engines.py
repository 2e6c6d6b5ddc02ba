"""Run as a script by `test_selection.py`: the same grid search on an engine that this process
starts, on loopback.

python engines.py ENGINE FOLDER [kill]; the last line is the scores, as JSON. With `kill`, a worker
dies in the middle.
"""

import json
import os
import signal
import sys
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path

import joblib
import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.train import grid_search

DATA = mg.data.circle(200)
RECIPE = {"folds": 4, "epochs": 15, "batch_size": 20, "mode": "replay"}


def search(folder):
    def make(hidden):  # in here, so that it is sent with its code
        (folder / uuid.uuid4().hex).touch()  # a fit begins
        if hidden == 0:
            raise ArithmeticError("no neurons")
        return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def scores(hidden):
        grid = {"hidden": hidden, "lr": [0.02, 0.01]}
        return grid_search(make, DATA.x_train, DATA.y_train, grid, progress=True, **RECIPE)

    found = [
        [s.train_loss, s.test_loss, s.train_accuracy, s.test_accuracy]
        for _, s in scores([4, 8]).rows
    ]
    try:
        scores([0, 4])
    except mg.train.FoldError as error:
        failed = {
            "message": str(error),
            "finished": [[p, fold, row] for p, fold, row in error.finished],
        }
    return {"scores": found, "failed": failed, "fits": len(list(folder.iterdir()))}


@contextmanager
def dask(folder, kill):
    from distributed import Client, LocalCluster

    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "host": "127.0.0.1",
    }
    with (
        LocalCluster(**options) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        before = set(client.run(os.getpid).values())

        def shoot():
            while len(list(folder.iterdir())) < 4:
                time.sleep(0.01)
            time.sleep(np.random.default_rng().uniform(0, 0.1))
            os.kill(min(before), signal.SIGKILL)

        if kill:
            threading.Thread(target=shoot, daemon=True).start()
        yield
        if kill:
            client.wait_for_workers(2, timeout=60)
            print("replaced", len(set(client.run(os.getpid).values()) - before))


@contextmanager
def ray(folder, kill):
    import ray
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    try:
        with joblib.parallel_config("ray", n_jobs=2):
            yield
    finally:
        ray.shutdown()


def main(engine, folder, *kill):
    with ExitStack() as stack:
        if engine in ("dask", "ray"):
            stack.enter_context({"dask": dask, "ray": ray}[engine](folder, kill))
        else:
            stack.enter_context(joblib.parallel_config(engine, n_jobs=2))
        found = search(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
