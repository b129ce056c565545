"""Search a space of networks: train trials side by side, survive a kill, keep the best.

>>> import tuning
>>> result = tuning.search(data="digits", budget=tuning.Budget(params=60_000), trials=12)
>>> result.best  # the run of the winner

Trials are trained by processes of `--workers`, each one trial after another, so that a crash ends
one trial alone. A process that dies or grows is replaced (`pool` says when). With the engine "ray"
such processes are on the machines of a cluster. All that is known lies in the search's folder: see
`search`.
"""

import contextlib
import dataclasses
import functools
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import applications
import keras_archs
from applications import runs
from applications.comparison.reporting import REPORT, write_report
from applications.console import plain_console
from applications.files import write_atomic, write_json
from applications.options import SEARCHED, TUNED, Group, Options, Search, takes
from applications.recipes import recipe
from applications.recipes.schema import OPTIMIZERS
from applications.searching.engines.local import (
    SCORE,
    Engine,
    Job,
    KerasTuner,
    Listed,
    LocalEngine,
    Oracle,
)
from applications.searching.engines.optuna import StudyEngine, StudyOracle
from applications.searching.engines.promoting import PROMOTING, rung_of, rungs
from applications.searching.engines.ray import Cluster, check_installed
from applications.searching.pool import (
    Event,
    Workers,
    shared_cores,
    trial_folder,
    visible_gpus,
)
from keras_archs.registry import builder, check_arch
from tuning.principles import PRINCIPLES
from tuning.spaces import arch_space, settings, space

if TYPE_CHECKING:
    import pandas as pd
    from keras_tuner import HyperParameters

    from applications.data.sources import Source

STATE, TABLE, BEST, ISOLATION = "search.json", "trials.csv", "best.yaml", "isolation.csv"
_OF_NETWORKS = ("stochastic_depth", "progressive")  # of `TUNED`, what not every network takes
_POLL = 1.0  # seconds after which an engine is asked again though nothing happened here
_DISCOVERY = 100  # random points at which a space is asked for its hyperparameters
_METRICS = {  # column of the table -> key of metrics.json
    "validation_accuracy": SCORE,
    "validation_macro_f1": "validation_macro_f1",
    "validation_loss": "validation_loss",
    "params": "params",
    "macs": "macs",
    "peak_activation_bytes": "peak_activation_bytes",
    "weight_bytes": "weight_bytes",
    "latency_ms_p50": "latency_ms_p50",
    "latency_ms_p95": "latency_ms_p95",
    "epochs": "epochs",
    "train_seconds": "train_seconds",
    "test_accuracy": "test_accuracy",
    "macro_f1": "macro_f1",
}
_OPTIONS = ("arch", "alpha", "rho", "recipe", "learning_rate", "weight_decay", "shift", "seed")


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        path: its folder.
        trials: `trials.csv`.
        best: the run of the winner, tested; None where no trial was completed.
        front: numbers of the trials that no other one beats in every objective; the winner's alone
            where there is one objective.
    """

    path: Path
    trials: "pd.DataFrame"
    best: runs.Run | None
    front: tuple[int, ...]


@takes(Group(Search), SEARCHED)
def search(asked: Search, shared: Mapping[str, Any]) -> SearchResult:
    """Search for the network with the highest validation accuracy; test the winner alone.

    The folder holds `search.json` (all that a killed search needs to continue), `trials.csv`, a run
    folder `trial-0000`, ... each, `best.yaml` (the winner's options for `train --config`),
    `report.html`, a page that shows the trials, and, for isolation, `isolation.csv`. Columns of
    `trials.csv`: `trial`, its number; `status`, "waiting", "running", "completed" or "failed", with
    the `reason`; `attempts`; `validation_accuracy` and `validation_macro_f1` in 0..1;
    `validation_loss`; `params`; `macs`; `peak_activation_bytes` and `weight_bytes`, as the budget
    counts them where it limits memory, else as the run's `profile`; `latency_ms_p50`,
    `latency_ms_p95` of one image; `epochs`; `train_seconds`; `test_accuracy` and `macro_f1`, the
    winner's alone; `remarks` on what makes these figures mean less than they seem to; `run`, its
    folder; the options of `train` that differ between trials; `hp/NAME`, each hyperparameter; with
    ASHA `rung`, from 0, the highest that it was trained to; with `transfer` `parent`, the trial
    whose weights it began with. Options of a training are the same for all trials.

    Args:

    Raises:
        ValueError, TypeError: an argument is wrong, the data cannot be used, the budget is too
            small for any network, the search that is resumed has other options, or no trial could
            be completed.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
    """
    if asked.engine == "ray":
        check_installed()
    plan = _SearchPlan(asked, shared)
    is_shared = asked.engine == "optuna"  # whoever comes second finds the folder of the first
    name = f"search-{plan.arch}-{plan.data_name}-s{plan.base.seed}"
    folder = _folder(asked.run_dir, asked.resume or is_shared, Path("runs", name))
    with contextlib.ExitStack() as stack:
        engine = None
        try:
            engine = _engine(asked, plan, folder)
            stack.callback(engine.close)
            cluster = None
            if asked.engine == "ray" and not engine.finished:
                cluster = stack.enter_context(_connected(asked, folder))
        except BaseException:
            if asked.engine == "ray" and engine and not engine.records():
                (folder / STATE).unlink()
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
                if asked.run_dir is None:
                    folder.parent.rmdir()
            raise
        return _Search(asked, plan, engine, folder, cluster).run()


@contextlib.contextmanager
def _connected(asked: Search, folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(asked.address, cpus=asked.cpus_per_trial or 1, gpus=asked.gpus_per_trial or 0)
    console = plain_console(stderr=True, quiet=not asked.verbose)
    with contextlib.ExitStack() as stack:
        with console.status("connecting to Ray" if asked.address else "starting Ray"):
            stack.enter_context(cluster)
            cluster.check(folder)
        yield cluster


# ------------------------------------------------------------------------------------------ options


def _threads(asked: Search) -> int | None:
    """Of a trial that has a part of the processors; None where the backend decides."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    if asked.engine == "ray":
        return None if asked.gpus_per_trial else asked.cpus_per_trial or 1
    if asked.workers == 1 or visible_gpus():
        return None
    return max(1, (os.cpu_count() or 1) // asked.workers)


class _SearchPlan:
    """Turns hyperparameters into the options of a training.

    Attributes:
        arch: the architecture that is built.
        base: of all trials, what a trial's hyperparameters do not say.
        shape: (height, width, channels) before `rho`.
        classes: of the data.
        data_name: short name of the data.
        epochs: of a full training.
    """

    def __init__(self, asked: Search, shared: Mapping[str, Any]):
        chosen = asked.space
        name = chosen if isinstance(chosen, str) else getattr(chosen, "arch", None)
        if name is None:
            raise ValueError(
                "`space` must be an architecture or a function with an attribute `arch`. "
                f"Received: space={chosen!r}"
            )
        self.arch = check_arch(name).lower()
        if isinstance(chosen, str):
            chosen = self.arch
        for name, unset in (("isolate", None), ("principles", "all")):
            if getattr(asked, name) != unset and chosen != space.arch:
                raise ValueError(
                    f"`{name}` needs the space {space.arch!r}. Received: space={chosen!r}"
                )
        options = Options(arch=self.arch, **shared)
        source = applications.data.open_source(str(options.data), seed=options.seed)
        plan = options.planned(source)
        self.shape: tuple[int, int, int] = plan.build_arguments["input_shape"]
        self.classes: int = plan.build_arguments["classes"]
        self.data_name = plan.data_name
        settled: dict[str, Any] = {"learning_rate": options.learning_rate}  # each trial's recipe's
        # Side by side trials share the processors; a number in the options, so that `train` with
        # them comes to the same weights.
        if options.threads is None and (threads := _threads(asked)):
            settled["threads"] = threads
        self.epochs = plan.epochs if options.epochs is not None else math.ceil(plan.epochs / 2)
        self.base = dataclasses.replace(plan.options, **settled, epochs=self.epochs)
        self._asked = asked
        if not isinstance(chosen, str):
            self._space = chosen
        elif self.arch == space.arch:
            principles = asked.principles
            if asked.isolate is not None:
                principles = [name for name in PRINCIPLES if name != asked.isolate]
            self._space = functools.partial(space, principles=principles)
        else:
            self._space = arch_space(self.arch, rho=True, **(self.base.args or {}))
        self._check_tuned(source)

    def _check_tuned(self, source: "Source") -> None:
        """Raise ValueError where the network of the default point cannot take what is tuned."""
        for name in (name for name in _OF_NETWORKS if name in self._asked.tune):
            options = Options(**{**self.of({}), name: TUNED[name][-1]})  # which asks the most
            try:
                applications.training.optimizing.check_varied(options.planned(source))
            except ValueError as error:
                raise ValueError(f"`tune` must not hold {name} here: {error}") from None

    def __call__(self, hp: "HyperParameters") -> dict[str, Any]:
        """The options of one trial."""
        arguments = self._space(
            hp, input_shape=self.shape, classes=self.classes, budget=self._asked.budget
        )
        multipliers = {name: arguments.pop(name) for name in ("alpha", "rho") if name in arguments}
        args = {**(self.base.args or {}), **arguments}
        found = {**multipliers, **self._tuned(hp), "args": args}
        return dataclasses.replace(self.base, **found).as_dict()

    def _tuned_option(self, hp: "HyperParameters", name: str) -> Any:
        """One of `TUNED`; the first proposal is what the search has of it, or its recipe."""
        values, first = list(TUNED[name]), getattr(self.base, name)
        if first is None and name in ("optimizer", "schedule"):
            first = values[0]
        elif first is None:
            first = getattr(recipe(self.base.recipe), name) or values[0]
        if first not in values:
            values.append(first)
        return hp.Choice(name, values, default=first)

    def _tuned(self, hp: "HyperParameters") -> dict[str, Any]:
        tune, base = self._asked.tune, self.base
        chosen, own = recipe(base.recipe), recipe(self.arch)
        found: dict[str, Any] = {}
        if "recipe" in tune:
            names = [chosen.name]
            if own.name != chosen.name and not (own.teaching or own.pretrained_from):
                names.append(own.name)
            found["recipe"] = hp.Choice("recipe", names, default=chosen.name)
        for name in TUNED:
            if name in tune:
                found[name] = self._tuned_option(hp, name)
        if "learning_rate" in tune:
            rate, name = base.learning_rate or chosen.learning_rate, "learning_rate"
            if "optimizer" in tune:  # each has a range of its own
                rate = base.learning_rate or OPTIMIZERS[found["optimizer"]]["learning_rate"]
                name += f"_{found['optimizer']}"
            found["learning_rate"] = hp.Float(
                name, rate / 8, rate * 8, sampling="log", default=rate
            )
        if "weight_decay" in tune:
            decay = base.weight_decay or chosen.weight_decay or 1e-4
            found["weight_decay"] = hp.Float(
                "weight_decay", decay / 100, decay * 100, sampling="log", default=decay
            )
        if "augmentation" in tune:
            shift = chosen.shift if base.shift is None else base.shift
            most = max(0.2, shift)
            found["shift"] = hp.Float("shift", 0.0, most, step=most / 8, default=shift)
        return found

    def memory(self, config: Mapping[str, Any]) -> dict[str, int]:
        """Of the network of a configuration, as the budget counts it; {} where it does not."""
        budget = self._asked.budget
        if budget is None or budget.memory is None:
            return {}
        shape = {"input_shape": self.shape, "classes": self.classes}
        scale = {name: config[name] for name in ("alpha", "rho") if config[name] is not None}
        arguments = {**shape, **scale, **config["args"]}
        of = keras_archs.deployment if budget.memory == "int8" else keras_archs.profile
        found = of(self.arch, **arguments)
        names = ("peak_activation_bytes", "weight_bytes")
        return {name: getattr(found, name) for name in names}

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options for these values of hyperparameters; what is missing has its default."""
        from keras_tuner import HyperParameters

        hp = HyperParameters()
        hp.values = {name: v for name, v in values.items() if not name.startswith("tuner/")}
        seed = hp.values.pop("seed", None)
        config = self(hp)
        return config if seed is None else {**config, "seed": seed}

    def hyperparameters(self) -> "HyperParameters":
        """All that the space asks for, at its default point and at random ones."""
        from keras_tuner import HyperParameters

        found = HyperParameters()
        self(found)
        for number in range(_DISCOVERY):
            sample = found.copy()
            sample.values = {
                hp.name: hp.random_sample(1000 * number + index)
                for index, hp in enumerate(found.space)
            }
            self(sample)
            new = [hp for hp in sample.space if not found._exists(hp.name, hp.conditions)]
            found.merge(new)
        return found


def _folder(run_dir: str | os.PathLike[str] | None, resume: bool, default: Path) -> Path:
    """The search's folder, made where it is missing."""
    if not resume:
        if run_dir is None:
            return runs.make_numbered(default)
        runs.check_new(run_dir)
    path = Path(run_dir or default)
    if path.exists() and not (path / STATE).exists() and any(path.iterdir()):
        raise FileExistsError(
            f"`run_dir` must be the folder of a search or new. Received: run_dir={path}, which has "
            f"no {STATE}"
        )
    path.mkdir(parents=True, exist_ok=True)
    return path


def _engine(asked: Search, plan: _SearchPlan, folder: Path) -> Engine:
    recorded = _recorded(asked, plan)
    if asked.engine == "optuna":
        study = asked.study or folder.resolve().name
        engine = StudyEngine(
            plan,
            storage=str(asked.storage),
            study=study,
            trials=asked.trials,
            algorithm=asked.algorithm,
            epochs=plan.epochs,
            objectives=asked.objectives,
            seed=plan.base.seed,
            retries=asked.retries,
            heartbeat=asked.heartbeat,
            options=recorded,
        )
        write_json(folder / STATE, {"options": recorded, "study": study})
        return engine
    return LocalEngine(
        _oracle(asked, plan),
        plan.of,
        file=folder / STATE,
        options=recorded,
        trials=_total(asked, plan),
        retries=asked.retries,
    )


def _oracle(asked: Search, plan: _SearchPlan) -> Oracle:
    """What proposes the trials where no database does."""
    if asked.isolate is not None:
        return Listed(_isolated(asked, plan))
    on_ray, space, seed = asked.engine == "ray", plan.hyperparameters(), plan.base.seed
    if on_ray and asked.algorithm == "bayesian":
        return StudyOracle(plan, space.values, seed=seed)
    # Ray's ASHA ends trials, which are drawn at random.
    algorithm = "random" if on_ray and asked.algorithm == "asha" else asked.algorithm
    return KerasTuner(algorithm, space, trials=asked.trials, epochs=plan.epochs, seed=seed)


# Options that may differ where a search is resumed.
_FREE = (
    *("run_dir", "resume", "storage", "study", "heartbeat", "workers", "keep", "verbose"),
    *("address", "cpus_per_trial", "gpus_per_trial", "space", "budget"),
)


def _recorded(asked: Search, plan: _SearchPlan) -> dict[str, Any]:
    """The options that must not change when a search is resumed, as JSON has them."""
    free = {*_FREE} if asked.algorithm in PROMOTING else {*_FREE, "trials"}
    kept = {
        each.name: getattr(asked, each.name)
        for each in dataclasses.fields(asked)
        if each.name not in free
    }
    kept = {
        name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()
    }
    if not isinstance(asked.principles, str):
        kept["principles"] = sorted(asked.principles)
    budget = asked.budget
    limits = {
        "budget_params": budget and budget.params,
        "budget_macs": budget and budget.macs,
        "budget_sram": budget and budget.peak_activation_bytes,
        "budget_flash": budget and budget.weight_bytes,
        "budget_dtype": budget and budget.memory,
    }
    base = {
        name: value
        for name, value in plan.base.as_dict().items()
        if name not in ("arch", "alpha", "rho")
    }
    return {"arch": plan.arch, **kept, **limits, **base}


def _isolated(asked: Search, plan: _SearchPlan) -> list[dict[str, Any]]:
    """Values of the hyperparameters: each setting of the principle with each seed."""
    return [
        {"setting": label, "seed": seed, **values}
        for label, values in settings(str(asked.isolate), input_shape=plan.shape)
        for seed in asked.seeds
    ]


def _total(asked: Search, plan: _SearchPlan) -> int:
    """Most trials."""
    return asked.trials if asked.isolate is None else len(_isolated(asked, plan))


# --------------------------------------------------------------------------------------- the search


def pareto(records: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    """Numbers of the trials that no other one beats in accuracy and MACs, best accuracy first.

    Of trials that are equal in both the first is named.
    """
    front, least = [], math.inf
    for record in sorted(
        records, key=lambda r: (-r["metrics"][SCORE], r["metrics"]["macs"], r["trial"])
    ):
        if record["metrics"]["macs"] < least:
            least = record["metrics"]["macs"]
            front.append(record["trial"])
    return tuple(front)


def ranking(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Completed trials, the best first: those that were trained longest, then by accuracy.

    One that ended early was trained as long as it wants to be. On few validation images several
    have the same accuracy; then the loss decides.
    """
    done = [r for r in records if r["status"] == "completed"]
    longest = max((r["metrics"]["epochs"] for r in done), default=0)
    return sorted(
        done,
        key=lambda r: (
            -longest if r["metrics"].get("ended") else -r["metrics"]["epochs"],
            -r["metrics"][SCORE],
            r["metrics"]["validation_loss"],
        ),
    )


class _Search:
    """Trains what an engine hands out, here or on a cluster, and keeps the table."""

    def __init__(
        self,
        asked: Search,
        plan: _SearchPlan,
        engine: Engine,
        folder: Path,
        cluster: Cluster | None = None,
    ):
        self._asked, self._plan, self._engine, self._folder = asked, plan, engine, folder
        self._cluster = cluster
        self._console = plain_console(stderr=True, quiet=not asked.verbose)
        self._began = time.monotonic()
        self._done_here = 0
        self._total = _total(asked, plan)
        self._memory: dict[int, dict[str, int]] = {}  # of each trial, once it was counted

    def run(self) -> SearchResult:
        self._completed_runs()  # one that is damaged is said before others are trained
        with self._console.status("starting") as status:
            try:
                cluster = self._cluster
                best = self._on_ray(cluster, status) if cluster else self._here(status)
            except KeyboardInterrupt:
                done = self._count("completed")
                raise KeyboardInterrupt(
                    f"interrupted after {done} of {self._total} trials: `--resume` continues from "
                    f"there ({self._folder})"
                ) from None
        return self._finish(best)

    def _here(self, status: Any) -> runs.Run | None:
        """Train the trials by processes of this machine; returns the winner, tested."""
        with self._workers() as workers:
            self._train(workers, status)
            return self._tested(lambda message: _done_by(workers, message))

    def _on_ray(self, cluster: Cluster, status: Any) -> runs.Run | None:
        """Train the trials by machines of a cluster; returns the winner, tested."""
        completed = (r["trial"] for r in self._engine.records() if r["status"] == "completed")
        cluster.train(
            self._engine,
            self._message,
            lambda event: self._heard(event, status),
            self._lost,
            rungs(self._plan.epochs) if self._asked.algorithm == "asha" else (),
            [trial_folder(self._folder, number) for number in completed],
        )
        return self._tested(cluster.do)

    def _count(self, *statuses: str) -> int:
        return sum(record["status"] in statuses for record in self._engine.records())

    def _workers(self) -> Workers:
        count = self._asked.workers
        gpus = visible_gpus() if count > 1 else []
        confined = count > 1 and not gpus and self._plan.base.threads is None
        return Workers(count, gpus, shared_cores(count) if confined else None)

    def _train(self, workers: Workers, status: Any) -> None:
        workers.prepare()
        while True:
            while workers.free and (job := self._engine.ask()):
                workers.start(job, self._message(job))
            if not workers.busy and self._engine.finished:
                return
            if event := workers.wait(_POLL):
                self._heard(event, status)

    def _heard(self, event: Event, status: Any) -> None:
        """Note what became of a job."""
        if event.row is not None:
            status.update(self._progress(event.tag, event.row))
        elif event.error is not None:
            self._failed(event.tag, event.error)
        elif event.metrics is not None:
            self._completed(event.tag, event.metrics)

    def _message(self, job: Job) -> dict[str, Any]:
        """What a worker is told of a job."""
        columns = {
            name: value for name, value in job.values.items() if not name.startswith("tuner/")
        }
        return {
            "kind": "train",
            "config": job.config,
            "folder": str(trial_folder(self._folder, job.number)),
            "threads": job.config.get("threads"),
            "until": job.epochs,
            "columns": columns,
            "parents": self._parents(job) if self._asked.transfer else [],
        }

    def _parents(self, job: Job) -> list[str]:
        """Names of the run folders of the trials that its network may be grown from, best first."""
        may_grow = applications.training.transferring.may_grow
        folders = [
            trial_folder(self._folder, record["trial"])
            for record in ranking(self._engine.records())
            if record["trial"] != job.number and may_grow(record["config"], job.config)
        ]
        return [folder.name for folder in folders if (folder / "model.keras").is_file()]

    def _progress(self, job: Job, row: Mapping[str, Any]) -> str:
        return (
            f"trial {job.number + 1} of {self._total}, epoch {row['epoch']} of "
            f"{job.epochs or self._plan.epochs}: {100 * row['val_accuracy']:.1f} % validation "
            "accuracy"
        )

    def _lost(self, job: Job) -> None:
        self._console.print(
            f"trial {job.number + 1} of {self._total} lost its machine: another one goes on with it"
        )

    def _failed(self, job: Job, reason: str) -> None:
        again = self._engine.fail(job, reason)
        self._write_table()
        self._console.print(
            f"trial {job.number + 1} of {self._total} failed: {reason}"
            f"{' (will be tried again)' if again else ''}",
            markup=False,
            soft_wrap=True,
        )

    def _completed(self, job: Job, metrics: Mapping[str, Any]) -> None:
        self._engine.tell(job, metrics)
        self._done_here += 1
        ranked = ranking(self._engine.records())
        if not self._asked.transfer:  # what comes later may begin with any of them
            self._prune(ranked)
        self._write_table()
        best = ranked[0]
        left = self._total - self._count("completed", "failed")
        seconds = (time.monotonic() - self._began) / self._done_here * left
        self._console.print(
            f"trial {job.number + 1} of {self._total}"
            f"{f', {job.epochs} epochs' if job.epochs else ''}: "
            f"{100 * metrics[SCORE]:.2f} % validation accuracy, {metrics['params']:,} parameters, "
            f"{metrics['macs']:,} MACs, {metrics['train_seconds']:.0f} s; best "
            f"{100 * best['metrics'][SCORE]:.2f} % (trial {best['trial'] + 1}); "
            f"ETA {timedelta(seconds=round(seconds))}",
            soft_wrap=True,
        )

    def _prune(self, ranked: list[dict[str, Any]]) -> None:
        """Delete the models of all trials but the best, and those of a front."""
        front = self._front(ranked)
        for record in ranked[self._asked.keep :]:
            if record["trial"] not in front:
                model = trial_folder(self._folder, record["trial"]) / "model.keras"
                model.unlink(missing_ok=True)

    def _front(self, ranked: list[dict[str, Any]]) -> tuple[int, ...]:
        """Numbers of the trials that no other one beats in every objective."""
        if not ranked:
            return ()
        if len(self._asked.objectives) == 1:
            return (ranked[0]["trial"],)
        return pareto(ranked)

    def _tested(self, do: Callable[[dict[str, Any]], Event]) -> runs.Run | None:
        """Let the winner meet the test images; `do` does what a worker is told."""
        ranked = ranking(self._engine.records())
        if not ranked:
            return None
        folder = trial_folder(self._folder, ranked[0]["trial"])
        run = runs.load(folder)
        if "test_accuracy" in run.metrics:
            return run
        threads = run.config["threads"]
        event = do({"kind": "test", "folder": str(folder), "threads": threads})
        if event.error is not None:
            raise ValueError(f"the winner {folder} could not be tested: {event.error}")
        return runs.load(folder)

    def _finish(self, best: runs.Run | None) -> SearchResult:
        for record in self._engine.records():  # Hyperband keeps them until nothing is promoted
            folder = trial_folder(self._folder, record["trial"])
            if record["status"] == "completed":
                shutil.rmtree(folder / runs.CHECKPOINTS, ignore_errors=True)
        table = self._write_table(best)
        if best is None:
            reasons = "; ".join(sorted({r["reason"] for r in self._engine.records()})[:3])
            raise ValueError(f"no trial of {self._folder} could be completed: {reasons}")
        kept = {name: value for name, value in best.config.items() if name not in runs.DERIVED}
        runs.write_config(self._folder / BEST, kept)
        if self._asked.isolate is not None:
            self._write_isolation(table)
        ranked = ranking(self._engine.records())
        self._prune(ranked)
        self._write_report()
        front = self._front(ranked)
        if self._asked.verbose:
            self._print(best, front)
        return SearchResult(self._folder, table, best, front)

    def _write_table(self, best: runs.Run | None = None) -> "pd.DataFrame":
        import pandas as pd

        rows = []
        for record in self._engine.records():
            folder = trial_folder(self._folder, record["trial"])
            tested = best if best is not None and folder == best.path else None
            metrics: Any = tested.metrics if tested else record["metrics"]
            rows.append(
                {
                    **{name: record[name] for name in ("trial", "status", "reason", "attempts")},
                    **{column: metrics.get(key) for column, key in _METRICS.items()},
                    **self._memory_of(record),
                    **self._rung_of(record),
                    **self._parent_of(record),
                    "remarks": "; ".join(runs.remarks(metrics, self._plan.classes)),
                    "run": str(folder),
                    **{name: record["config"].get(name) for name in _OPTIONS},
                    **{
                        f"hp/{name}": value
                        for name, value in record["values"].items()
                        if not name.startswith("tuner/")
                    },
                }
            )
        leading = ["trial", "status", "reason", "attempts", *_METRICS, "remarks", "run", *_OPTIONS]
        table = pd.DataFrame(rows, columns=None if rows else leading)
        write_atomic(self._folder / TABLE, table.to_csv(index=False, lineterminator="\n"))
        return table

    def _rung_of(self, record: Mapping[str, Any]) -> dict[str, int | None]:
        """Of ASHA; {} where trials have none."""
        if self._asked.algorithm != "asha":
            return {}
        trained = record["metrics"].get("epochs")
        return {"rung": trained and rung_of(self._plan.epochs, trained)}

    def _parent_of(self, record: Mapping[str, Any]) -> dict[str, int | None]:
        """Number of the trial that it began with; {} where none does."""
        if not self._asked.transfer:
            return {}
        parent = record["metrics"].get("parent")
        return {"parent": parent and int(parent["run"].rpartition("-")[2])}

    def _memory_of(self, record: Mapping[str, Any]) -> dict[str, int]:
        """As the budget counts it; {} where it does not."""
        number = record["trial"]
        if number not in self._memory and record["config"]:
            self._memory[number] = self._plan.memory(record["config"])
        return self._memory.get(number, {})

    def _completed_runs(self) -> list[runs.Run]:
        """The best first."""
        numbers = (record["trial"] for record in ranking(self._engine.records()))
        return [runs.load(trial_folder(self._folder, number)) for number in numbers]

    def _write_report(self) -> None:
        """A page that shows all trials that were completed, the best first."""
        trials = self._completed_runs()
        title = f"Search for {self._plan.arch} on {self._plan.data_name}: {len(trials)} trials"
        write_report(self._folder / REPORT, trials, title=title, score=SCORE)

    def _write_isolation(self, table: "pd.DataFrame") -> None:
        """Mean and spread of each setting over the seeds, into isolation.csv and on the screen."""
        done = table[table["status"] == "completed"].astype({"validation_macro_f1": float})
        groups = done.groupby("hp/setting", sort=False)
        effect = groups["validation_accuracy"].agg(["count", "mean", "min", "max", "std"])
        effect.insert(2, "macro_f1", groups["validation_macro_f1"].mean())
        effect = effect.join(groups[["params", "macs"]].first()).reset_index()
        effect = effect.rename(columns={"hp/setting": "setting", "count": "seeds"})
        effect.insert(0, "principle", self._asked.isolate)
        text = effect.to_csv(index=False, lineterminator="\n")
        write_atomic(self._folder / ISOLATION, text)
        if self._asked.verbose:
            from rich import box
            from rich.table import Table

            title = f"{self._asked.isolate}: validation accuracy in %, by setting"
            shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
            columns = "setting", "seeds", "mean", "macro F1", "lowest..highest", "params", "MACs"
            for column in columns:
                shown.add_column(column, justify="left" if column == "setting" else "right")
            for row in effect.to_dict("records"):
                shown.add_row(
                    row["setting"],
                    str(row["seeds"]),
                    f"{100 * row['mean']:.2f}",
                    f"{100 * row['macro_f1']:.2f}",
                    f"{100 * row['min']:.2f}..{100 * row['max']:.2f}",
                    f"{row['params']:,}",
                    f"{row['macs']:,}",
                )
            plain_console().print(shown)

    def _print(self, best: runs.Run, front: tuple[int, ...]) -> None:
        if self._engine.exhausted and len(self._engine.records()) < self._total:
            print("the space holds no further network: the search ended before its last trial")
        if len(front) > 1:
            print(f"no other trial beats these in both objectives: {', '.join(map(str, front))}")
        metrics = best.metrics
        validation = f"{100 * metrics['validation_accuracy']:.2f} % validation"
        print(
            f"best: {best.path}, {100 * metrics['test_accuracy']:.2f} % test accuracy, macro F1 "
            f"{100 * metrics['macro_f1']:.2f} % ({'; '.join([validation, *best.remarks])}), "
            f"{metrics['params']:,} parameters, {metrics['macs']:,} MACs"
        )
        print(python_call(best.config, self._plan.shape, self._plan.classes))
        print(f"keras-archs train --config {self._folder / BEST}")
        print(
            f"{self._folder / TABLE} has all trials, report.html beside it is for a browser. "
            f"Curves: keras-archs dashboard {self._folder}"
        )


def _done_by(workers: Workers, message: dict[str, Any]) -> Event:
    """How one more job of these workers ended."""
    while not workers.free:
        workers.wait(_POLL)
    workers.start("test", message)
    event = None
    while workers.busy:
        event = workers.wait(_POLL) or event
    return event or Event("test", error="its worker said nothing")


def python_call(config: Mapping[str, Any], input_shape: Sequence[int], classes: int) -> str:
    """The call that builds a configuration's network."""
    arguments = [str(tuple(input_shape)), str(classes)]
    arguments += [f"{k}={config[k]!r}" for k in ("alpha", "rho") if config.get(k, 1) != 1]
    for name, value in config["args"].items():
        if isinstance(value, list):
            lines = "".join(f"\n        {item!r}," for item in value)
            arguments.append(f"{name}=[{lines}\n    ]")
        else:
            arguments.append(f"{name}={value!r}")
    call = "".join(f"\n    {argument}," for argument in arguments)
    return f"keras_archs.{builder(config['arch']).__name__}({call}\n)"
