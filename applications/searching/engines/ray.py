"""Trials on a cluster: Ray Tune trains what an engine hands out.

The engine keeps the search, as it does on one machine, and proposes. Ray Tune finds a trial its
place, starts it again on another machine when its own is lost, and ends it with ASHA. There it is
trained by `worker` in its run folder, from whose checkpoint it goes on wherever it is started. So
all that a search consists of lies in its folder, none of it a pickle: Ray's own files are thrown
away, and a search that is resumed makes a new experiment for Ray of what its engine knows.
"""

import functools
import json
import logging
import os
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import keras_archs
from applications import runs
from applications.console import one_line
from applications.searching.engines.local import SCORE, Engine, Job
from applications.searching.engines.promoting import FACTOR, rung_of
from applications.searching.pool import Event, Workers

if TYPE_CHECKING:
    from ray.tune import Callback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import Searcher

_LOSSES = 10  # processes or machines that a trial may lose before that is a failure
_POLL = 1.0  # seconds
_PATIENCE = 10  # seconds for a cluster to answer
_OBJECTS = 100 * 2**20  # bytes of shared memory for Ray on this machine: trials share nothing in it
_RESOURCE = "resource"  # what ASHA counts in: 1, 3, 9, ... at the ends of rungs, else 0
_SHARE = 0.9  # of its part of a GPU's memory: what JAX takes at once
_ENVIRONMENT = {  # of this process while it has to do with Ray
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of its future default
    "RAY_AIR_NEW_OUTPUT": "0",  # the old one can be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a run folder has logs of its own
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}


def check_installed() -> None:
    """Raise ValueError where Ray Tune or Optuna is not installed."""
    missing = [name for name in ("ray", "pyarrow", "optuna") if find_spec(name) is None]
    if missing:
        raise ValueError(
            "`engine` must have its libraries installed: pip install 'keras-archs[ray]'. "
            f"Received: engine='ray', no {', '.join(missing)}"
        )


class Cluster:
    """The machines of a Ray cluster. A `with` block connects to it.

    Args:
        address: "auto" or HOST:PORT. None: Ray is started on this machine, for the block.
        cpus: processors of a trial.
        gpus: GPUs of a trial; below 1 it shares one with others.

    Raises:
        ValueError: on entry: no cluster answers.
    """

    def __init__(self, address: str | None, *, cpus: int, gpus: float):
        self._address = address
        self._resources = {"CPU": cpus, "GPU": gpus}
        self._connection = ExitStack()

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            import ray

            if not ray.is_initialized():
                stack.callback(ray.shutdown)
                self._connect()
            self._connection = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def _connect(self) -> None:
        import ray

        own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECTS}
        try:
            if self._address not in (None, "auto"):  # Ray itself would try for minutes
                host, _, port = str(self._address).rpartition(":")
                socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
            ray.init(
                self._address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **({} if self._address else own),
            )
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            raise ValueError(
                "`address` must be that of a Ray cluster that answers. "
                f"Received: address={self._address!r} ({one_line(error)})"
            ) from None

    def check(self, folder: Path) -> None:
        """Check that trials can be trained there.

        Args:
            folder: of the search, which exists.

        Raises:
            ValueError: this machine alone has less than a trial is to have, or a machine of the
                cluster lacks this package or does not see the folder.
        """
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        if self._address:
            self._check_machines(nodes, folder)
            return
        for option, kind in (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU")):
            most = max(node["Resources"].get(kind, 0) for node in nodes)
            if self._resources[kind] > most:
                raise ValueError(
                    f"`{option}` must be at most {most:g}, which is what this machine has. "
                    f"Received: {option}={self._resources[kind]}"
                )

    def _check_machines(self, nodes: Sequence[Mapping[str, Any]], folder: Path) -> None:
        import ray
        from ray.exceptions import NodeDiedError, RayError, TaskUnschedulableError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look: Any = ray.remote(_lacking)
        wanted = keras_archs.__version__, str(folder.resolve()), os.getcwd()
        strategies = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
        answers = [
            look.options(num_cpus=0, scheduling_strategy=each).remote(*wanted)
            for each in strategies
        ]
        for node, answer in zip(nodes, answers, strict=True):
            try:
                lacking = ray.get(answer)
            except (NodeDiedError, TaskUnschedulableError):
                continue  # the cluster has yet to hear that this machine is lost
            except RayError as error:
                lacking = str(error).strip().splitlines()[-1]
            if lacking:
                raise ValueError(
                    "`address` must be that of a Ray cluster whose machines have keras-archs "
                    f"{keras_archs.__version__} and see the search's folder. "
                    f"Received: {node['NodeManagerAddress']}, which says: {one_line(lacking)}"
                )

    def train(
        self,
        engine: Engine,
        message: Callable[[Job], dict[str, Any]],
        heard: Callable[[Event], None],
        lost: Callable[[Job], None],
        rungs: Sequence[int] = (),
        ended: Sequence[Path] = (),
    ) -> None:
        """Train all that an engine hands out.

        Args:
            engine: whose jobs are trained.
            message: what `worker` is told of a job.
            heard: called with each event, whose tag is the job; it tells the engine how a job
                ended.
            lost: called with a job whose machine is lost, before another one goes on with it.
            rungs: epochs at which Ray's ASHA ends all but the best trials; the last are all.
                (): none is ended.
            ended: run folders of the trials that ended before.
        """
        from ray import tune

        talk = _Talk(engine, message, heard, lost, self._environment, rungs)
        with tempfile.TemporaryDirectory() as scratch:
            tune.Tuner(
                tune.with_resources(_trial, self._resources),
                tune_config=tune.TuneConfig(
                    search_alg=_searcher(talk),
                    scheduler=asha(rungs, ended) if rungs else None,
                    num_samples=-1,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="search",
                    storage_path=scratch,
                    callbacks=[_listener(talk)],
                    failure_config=tune.FailureConfig(max_failures=_LOSSES),
                    verbose=0,
                ),
            ).fit()

    def do(self, message: Mapping[str, Any]) -> Event:
        """Let a machine do one thing, with what a trial has; returns how it ended."""
        import ray

        kinds = {f"num_{kind.lower()}s": amount for kind, amount in self._resources.items()}
        told = json.dumps({"message": message, "environment": self._environment})
        return Event(None, **ray.get(ray.remote(_result).options(**kinds).remote(told)))

    @property
    def _environment(self) -> dict[str, str]:
        """Variables of a worker's environment."""
        import keras

        found = {"KERAS_BACKEND": keras.backend.backend(), "PWD": os.getcwd()}
        gpus = self._resources["GPU"]
        if gpus == 0:
            found["CUDA_VISIBLE_DEVICES"] = ""
        elif gpus < 1:  # else the first one on a GPU takes all of its memory
            found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
            found["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{_SHARE * gpus:.3f}"
        return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray and Ray Tune say nothing: neither of what they do nor of what they will be."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    logger = logging.getLogger("ray")
    level = logger.level
    os.environ.update(_ENVIRONMENT)
    try:
        from ray._private import worker  # which sets the level of the logger

        logger.setLevel(logging.CRITICAL)
        # The last words of its machines would be printed whatever is logged.
        said, worker.print_to_stdstream = worker.print_to_stdstream, lambda *_, **__: None
        try:
            yield
        finally:
            worker.print_to_stdstream = said
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ------------------------------------------------------------------------------- between the two


@dataclass
class _Talk:
    """What Ray Tune asks an engine and tells it, by the ids of Ray's trials."""

    engine: Engine
    message: Callable[[Job], dict[str, Any]]
    heard: Callable[[Event], None]
    lost: Callable[[Job], None]
    environment: Mapping[str, str]
    rungs: Sequence[int]
    jobs: dict[str, Job] = field(default_factory=dict)
    ends: dict[str, Event] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=deque)
    waiting: bool = False  # for a job to end: before that the engine has nothing more to start

    def ask(self, id: str) -> Job | None:
        """The next job; None where there is nothing to start now."""
        if self.waiting:
            return None
        job = self.engine.ask()
        if job is None:
            self.waiting = bool(self.jobs)
        else:
            self.jobs[id] = job
        return job

    def told(self, job: Job) -> str:
        """What `_trial` is told of a job."""
        until = list(self.rungs) or [job.epochs]
        said = {"message": self.message(job), "until": until, "environment": self.environment}
        return json.dumps(said)

    def say(self, id: str, said: dict[str, Any]) -> None:
        """Something that a trial said."""
        event = Event(self.jobs[id], **said)
        if event.row is not None:
            self.events.append(event)
        else:  # the last of them is how the job ended
            self.ends[id] = event

    def end(self, id: str, error: str | None = None) -> None:
        """A trial ended, or was lost too often."""
        job = self.jobs.pop(id)
        event = self.ends.pop(id, None)
        if event is None or error is not None:
            event = Event(job, error=error or "it ended before it had begun")
        self.events.append(event)

    def pass_on(self) -> None:
        """Tell what has been said."""
        while self.events:
            event = self.events.popleft()
            self.heard(event)
            if event.row is None:
                self.waiting = False


def _searcher(talk: _Talk) -> "Searcher":
    from ray.tune.search import Searcher

    class Proposals(Searcher):
        """An engine's jobs; how they end is told to `talk` by the callback."""

        def suggest(self, trial_id):
            job = talk.ask(trial_id)
            if job is not None:
                return {"told": talk.told(job)}
            return Searcher.FINISHED if talk.engine.finished else None

        def on_trial_complete(self, trial_id, result=None, error=False):
            """The callback has heard it."""

        def save_to_dir(self, checkpoint_dir, session_str="default"):
            """The engine saves itself."""

        def save(self, checkpoint_path):
            """The engine saves itself."""

        def restore(self, checkpoint_path):
            """It is never restored."""

        def __reduce__(self):  # Ray pickles it into its own files, which are thrown away
            return (object, ())

    return Proposals()


def _listener(talk: _Talk) -> "Callback":
    from ray import tune

    class Listener(tune.Callback):
        """Passes on what trials say between two steps of Ray's, where an error ends the search."""

        def on_trial_result(self, iteration, trials, trial, result, **info):
            talk.say(trial.trial_id, json.loads(result["said"]))

        def on_trial_complete(self, iteration, trials, trial, **info):
            talk.end(trial.trial_id)

        def on_trial_recover(self, iteration, trials, trial, **info):
            talk.lost(talk.jobs[trial.trial_id])

        def on_trial_error(self, iteration, trials, trial, **info):
            lines = str(trial.get_error()).strip().splitlines()
            talk.end(trial.trial_id, one_line(lines[-1]))

        def on_step_end(self, iteration, trials, **info):
            talk.pass_on()

        def __reduce__(self):
            return (object, ())

    return Listener()


def asha(rungs: Sequence[int], ended: Sequence[Path] = ()) -> "ASHAScheduler":
    """Ray's ASHA with our rungs: Ray's have powers of 3 as epochs, which most trainings have not.

    A trial counts what it was given in powers of 3 instead, and says so at the end of a rung alone.

    Args:
        rungs: epochs of each.
        ended: run folders of the trials that ended before; they count in the rungs they reached.
    """
    from ray.tune.schedulers import ASHAScheduler

    scheduler = ASHAScheduler(
        time_attr=_RESOURCE,
        metric=SCORE,
        mode="max",
        grace_period=1,
        reduction_factor=FACTOR,
        max_t=FACTOR ** (len(rungs) - 1),
    )
    controller: Any = None  # which it does not look at
    for path in ended:
        trial: Any = SimpleNamespace(trial_id=str(path))
        scheduler.on_trial_add(controller, trial)
        last = runs.load(path).metrics["epochs"]
        for rung in range(rung_of(rungs[-1], last) + 1):
            result = {_RESOURCE: FACTOR**rung, SCORE: _accuracy(path, rungs[rung])}
            scheduler.on_trial_result(controller, trial, result)
    return scheduler


# ------------------------------------------------------------------------- on the machine of Ray's


def _lacking(version: str, *folders: str) -> str:
    """What this machine lacks of what a trial needs; "" where it is nothing."""
    if keras_archs.__version__ != version:
        return f"keras-archs {keras_archs.__version__}"
    missing = [folder for folder in folders if not os.path.isdir(folder)]
    return f"no {missing[0]}" if missing else ""


def _trial(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train one trial for Ray Tune, which goes on with it when it has heard what a rung came to.

    A process of Ray's has a worker of its own: what breaks there is a failure of the trial, and
    what breaks the process of Ray's is a loss.
    """
    told = json.loads(config["told"])
    for rung, until in enumerate(told["until"]):
        event = Event(None)
        for event in _events({**told["message"], "until": until}, told["environment"]):
            said = {"row": event.row, "metrics": event.metrics, "error": event.error}
            result = {"said": json.dumps(said), SCORE: 0.0, _RESOURCE: 0}
            if event.metrics is not None and len(told["until"]) > 1:
                accuracy = _accuracy(told["message"]["folder"], until)
                result |= {SCORE: accuracy, _RESOURCE: FACTOR**rung}
            yield result
        if event.metrics is None or event.metrics.get("ended"):
            return


def _result(told: str) -> dict[str, Any]:
    """How one message to a worker ended."""
    *_, event = _events(**json.loads(told))
    return {"metrics": event.metrics, "error": event.error}


def _events(message: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Event]:
    """What the worker of this process says while it does what it is told."""
    os.environ.update(environment)
    os.chdir(environment["PWD"])  # paths in a configuration are relative to it
    workers = _workers()
    while not workers.free:
        workers.wait(_POLL)
    workers.start(None, dict(message))
    while workers.busy:
        if event := workers.wait(_POLL):
            yield event


@functools.cache
def _workers() -> Workers:
    return Workers(1)


def _accuracy(folder: str | os.PathLike[str], epochs: int) -> float:
    """Validation accuracy of a run after these epochs, or its last, if that was before."""
    history = runs.load(folder).history
    return float(history.loc[history["epoch"] <= epochs, "val_accuracy"].iloc[-1])
