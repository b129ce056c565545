"""Many machines, one study: an engine whose trials lie in a database, shared through Optuna.

Any number of workers open the same study. Optuna's RDB storage keeps the trials, its heartbeat
finds those of dead workers, its samplers propose. What a worker changes is one database transaction
under a lock of the study: a trial that is claimed has its configuration and its first heartbeat, or
it was never claimed, whenever the worker, the database or the network dies. A transaction that did
not get through is repeated; where nobody knows whether it did, it finds what it has written.

A trial is tried again, under the same number, when its worker dies (as often as that happens: being
killed is no failure) and when it fails (`retries` times). Times are the database's, in UTC, so the
machines' clocks and time zones do not matter.

With ASHA and Hyperband each rung that a trial is trained to is one of Optuna's trials, all of them
under the same number: what Optuna's own pruners end has ended for good, while here any worker may
train it further, as soon as the scores say so, from the checkpoint in its run folder.
"""

import contextlib
import copy
import json
import logging
import math
import random
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from applications.options import default_of
from applications.searching.engines.local import SCORE, Job, Proposal
from applications.searching.engines.promoting import FAILED, PROMOTING, Scores, ladder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import RDBStorage
    from optuna.storages._cached_storage import _CachedStorage as Storage
    from optuna.trial import FrozenTrial, Trial
    from sqlalchemy import URL, Connection

ALGORITHMS = ("random", "bayesian", *PROMOTING)
_T = TypeVar("_T")

_PATIENCE = 600  # seconds that the database may be away
_FIRST_PATIENCE = 10  # the same before it has answered once
_LONGEST_PAUSE = 5.0  # seconds between two tries
_GUIDED_PROPOSALS = 50  # known proposals in a row after which configurations are drawn at random
_RANDOM_PROPOSALS = 1000  # known draws in a row after which the space counts as exhausted
_POPULATION = 50

# A machine that is gone without a word must not keep its connection, and the lock, for hours.
_POSTGRESQL = {"connect_timeout": 10, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
_POSTGRESQL_SETTINGS = "-c timezone=UTC -c idle_in_transaction_session_timeout=60s"

_logger = logging.getLogger(__name__)


class _Objective(NamedTuple):
    metric: str
    direction: Literal["minimize", "maximize"]


OBJECTIVES = {
    "accuracy": _Objective(SCORE, "maximize"),
    "macs": _Objective("macs", "minimize"),
    "params": _Objective("params", "minimize"),
}


class StudyEngine:
    """An `engines.local.Engine` for workers on any number of machines.

    Args:
        plan: makes the options of `train` from a keras-tuner `hp`, of which it calls Choice, Int,
            Float, Boolean and Fixed alone, a Choice always among the same values; it has no side
            effects and is called many times.
        storage: URL of the database: `postgresql://[USER@]HOST[:PORT]/DATABASE`, with the password
            in PGPASSFILE or PGPASSWORD, or `sqlite:///FILE` for workers on one machine.
        study: name under which the workers find each other; the first one creates it.
        trials: how many are completed, or fail for good, in all; at least 1.
        algorithm: "random", "bayesian" (TPE; NSGA-II where there are several objectives), or
            "asha" or "hyperband", whose trials are drawn at random, for the accuracy alone.
        epochs: of a full training, which those two give to the best alone.
        objectives: names of `OBJECTIVES`, each once.
        seed: of the proposals. "random" proposes the same trials for any number of workers.
        retries: how many times a trial that failed is tried again.
        heartbeat: seconds, at least 1, between two signs of life of a worker.
        grace: seconds of silence after which a worker counts as dead. None: twice the heartbeat.
        options: what else all workers must agree on, as JSON.

    Raises:
        ValueError: for an argument out of range, a database that does not answer, and where the
            study was started with other options.
        ConnectionError: from any method, when the database is away for over ten minutes.
    """

    def __init__(
        self,
        plan: Callable[[Any], dict[str, Any]],
        *,
        storage: str,
        study: str,
        trials: int,
        algorithm: str = "bayesian",
        epochs: int = 1,
        objectives: Sequence[str] = ("accuracy",),
        seed: int = 0,
        retries: int = 1,
        heartbeat: int = 60,
        grace: int | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"`algorithm` must be one of {', '.join(ALGORITHMS)} for a study. "
                f"Received: algorithm={algorithm!r}"
            )
        if not objectives or set(objectives) - OBJECTIVES.keys() or _repeats(objectives):
            raise ValueError(
                f"`objectives` must be some of {', '.join(OBJECTIVES)}, each once. "
                f"Received: objectives={objectives!r}"
            )
        if algorithm in PROMOTING and tuple(objectives) != ("accuracy",):
            raise ValueError(
                f"`objectives` must be accuracy with the algorithm {algorithm!r}. "
                f"Received: objectives={objectives!r}"
            )
        minimums = {"trials": (trials, 1), "retries": (retries, 0), "heartbeat": (heartbeat, 1)}
        for name, (value, minimum) in minimums.items():
            if value < minimum:
                raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value!r}")
        if grace is not None and grace <= heartbeat:
            raise ValueError(
                f"`grace` must be longer than the heartbeat, {heartbeat}. Received: grace={grace!r}"
            )
        self.exhausted = False
        self._plan = plan
        self._name = study
        self._trials = trials
        self._algorithm = algorithm
        self._ladder = ladder(algorithm, trials=trials, epochs=epochs)
        self._objectives = [OBJECTIVES[name] for name in objectives]
        self._seed = seed
        self._retries = retries
        self._claims: dict[int, int] = {}  # the database's key of a trial, by the trial's number
        agreed = {
            "trials": trials,
            "algorithm": algorithm,
            "objectives": list(objectives),
            "seed": seed,
            "retries": retries,
        }
        url = database_url(storage)
        try:
            self._database = _Database(url, study, heartbeat, grace, self._claims)
        except ConnectionError as error:
            raise ValueError(
                "`storage` must be a database that answers. "
                f"Received: storage={storage!r} ({error})"
            ) from None
        agreed |= options or {}
        try:
            self._study_id = self._database.transaction(lambda storage: self._open(storage, agreed))
        except BaseException:
            self._database.close()
            raise
        self._database.start_heartbeat()

    def ask(self) -> Job | None:
        """Claim a trial: one that has to be tried again, else a new one; None: nothing to start."""
        claim = uuid.uuid4().hex
        found = self._database.transaction(lambda storage: self._claim(storage, claim))
        if found is None:
            return None
        trial_id, job = found
        self._claims[job.number] = trial_id
        return job

    def tell(self, job: Job, metrics: Mapping[str, Any]) -> None:
        """Say that a claimed trial is completed.

        Where it was given to another worker, because this one was silent for too long, nothing is
        recorded: the other one's result will be.

        Args:
            metrics: JSON values by name, those of the objectives among them.
        """
        from optuna.trial import TrialState

        values = [float(metrics[objective.metric]) for objective in self._objectives]
        if not all(map(math.isfinite, values)):
            raise ValueError(f"`metrics` must be finite numbers. Received: metrics={metrics!r}")
        trial_id = self._claims[job.number]

        def complete(storage: "Storage") -> bool:
            state = storage.get_trial(trial_id).state
            if state == TrialState.RUNNING:
                storage.set_trial_user_attr(trial_id, "metrics", dict(metrics))
                storage.set_trial_state_values(trial_id, TrialState.COMPLETE, values)
            return state != TrialState.FAIL

        if not self._database.transaction(complete):
            _logger.warning("trial %d was given to another worker", job.number)
        del self._claims[job.number]

    def fail(self, job: Job, reason: str) -> bool:
        """Say that a claimed trial failed. Returns whether it will be tried again."""
        from optuna.trial import TrialState

        trial_id = self._claims[job.number]

        def failed(storage: "Storage") -> bool:
            trial = storage.get_trial(trial_id)
            if trial.state == TrialState.RUNNING:
                failures = trial.user_attrs.get("failures", 0) + 1
                storage.set_trial_user_attr(trial_id, "failures", failures)
                storage.set_trial_user_attr(trial_id, "reason", reason)
                self._end(storage, trial_id, again=failures <= self._retries)
            return self._attempts(storage)[job.number][-1].number > trial.number

        again = self._database.transaction(failed)
        del self._claims[job.number]
        return again

    @property
    def finished(self) -> bool:
        """Whether all trials are completed or failed for good, by whichever worker."""
        attempts = self._database.transaction(self._attempts)
        return self._over(attempts) and self._promotion(attempts) is None

    def records(self) -> list[dict[str, Any]]:
        """Every trial by number, as `applications.searching.engines.local.Engine` has it.

        `attempts` counts how often it was started, after kills too, but not to be trained further;
        `metrics` are those of the last rung that it completed. Trials that an exhausted space has
        no configuration for are not listed.
        """
        from optuna.trial import TrialState

        names = {
            TrialState.WAITING: "waiting",
            TrialState.RUNNING: "running",
            TrialState.COMPLETE: "completed",
            TrialState.FAIL: "failed",
        }
        attempts = self._database.transaction(self._attempts)
        records = []
        for number in range(self._trials):
            trials = attempts.get(number, [])
            if self.exhausted and not trials:
                continue
            status = names[trials[-1].state] if trials else "waiting"
            known = copy.deepcopy(trials[-1].user_attrs) if trials else {}
            done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
            started = sum(trial.state != TrialState.WAITING for trial in trials)
            records.append(
                {
                    "trial": number,
                    "status": status,
                    "reason": known["reason"] if status == "failed" else "",
                    "attempts": started - known.get("rung", 0),
                    "values": known.get("values", {}),
                    "config": known.get("config", {}),
                    "metrics": copy.deepcopy(done[-1].user_attrs["metrics"]) if done else {},
                }
            )
        return records

    def close(self) -> None:
        """Give back what is claimed, which nothing may train any more, and let go of the database.

        Where that does not answer at once, the missing heartbeats will tell the other workers.
        """
        from optuna.trial import TrialState

        def give_back(storage: "Storage") -> None:
            for trial_id in self._claims.values():
                if storage.get_trial(trial_id).state == TrialState.RUNNING:
                    self._end(storage, trial_id, again=True)

        try:
            if self._claims:
                self._database.transaction(give_back, patience=1)
        except ConnectionError as error:
            _logger.warning("%s", error)
        self._claims.clear()
        self._database.close()

    def _open(self, storage: "Storage", options: dict[str, Any]) -> int:
        """The study's key; creates it where it is not there, else its options must be these."""
        import optuna

        options = json.loads(json.dumps(options))
        study = optuna.create_study(
            storage=storage,
            study_name=self._name,
            directions=[each.direction for each in self._objectives],
            load_if_exists=True,
        )
        agreed = study.user_attrs.get("options")
        if agreed is None and not study.get_trials(deepcopy=False):
            study.set_user_attr("options", agreed := options)
        if agreed is None:
            raise ValueError(
                "`study` must be new or one that a search has started. "
                f"Received: study={self._name!r}"
            )
        for name in [*agreed, *options]:
            before = agreed[name] if name in agreed else default_of(name)
            if before != options.get(name):
                raise ValueError(
                    f"`{name}` must be {before!r}, with which the study {self._name!r} "
                    f"was started. Received: {name}={options.get(name)!r}"
                )
        if study.metric_names is None:  # a study of before has none
            with _no_experimental_warnings():
                study.set_metric_names(options["objectives"])
        return storage.get_study_id_from_name(self._name)

    def _study(self, storage: "Storage") -> "Study":
        import optuna

        return optuna.load_study(study_name=self._name, storage=storage)

    def _attempts(self, storage: "Storage") -> dict[int, list["FrozenTrial"]]:
        """Optuna's trials by our number: one for each attempt, the last one has the last word."""
        self.exhausted = "exhausted" in storage.get_study_user_attrs(self._study_id)
        attempts: dict[int, list[FrozenTrial]] = {}
        for trial in storage.get_all_trials(self._study_id, deepcopy=False):
            attempts.setdefault(trial.user_attrs["number"], []).append(trial)
        return attempts

    def _claim(self, storage: "Storage", claim: str) -> tuple[int, Job] | None:
        """A trial that from now on runs here, and its key; `claim` knows it again."""
        import optuna
        from optuna.trial import TrialState

        attempts = self._attempts(storage)
        for number, trials in attempts.items():
            trial = trials[-1]
            if trial.state == TrialState.RUNNING and trial.user_attrs["claim"] == claim:
                return self._key(storage, trial), _job(number, trials)  # an earlier try got through
        if self._database.knows_the_dead():
            with _no_experimental_warnings():
                optuna.storages.fail_stale_trials(self._study(storage))
            attempts = self._attempts(storage)
        waiting = [
            number
            for number, trials in attempts.items()
            # One that this worker was too silent for may still be running here.
            if trials[-1].state == TrialState.WAITING and number not in self._claims
        ]
        if waiting:
            number = min(waiting)
            trial_id = self._key(storage, attempts[number][-1])
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            storage.set_trial_user_attr(trial_id, "claim", claim)
        else:
            promoted = self._promotion(attempts)
            trial = self._further(attempts, *promoted) if promoted else self._new(attempts, storage)
            if trial is None:
                return None
            number = trial.user_attrs["number"]
            trial.user_attrs["claim"] = claim
            trial_id = storage.create_new_trial(self._study_id, trial)
            attempts.setdefault(number, []).append(trial)
        storage.record_heartbeat(trial_id)
        return trial_id, _job(number, attempts[number])

    def _key(self, storage: "Storage", trial: "FrozenTrial") -> int:
        return storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)

    def _over(self, attempts: "dict[int, list[FrozenTrial]]") -> bool:
        """Whether nothing runs, nothing waits, and no new trial will come."""
        ended = all(trials[-1].state.is_finished() for trials in attempts.values())
        return ended and (self.exhausted or len(attempts) == self._trials)

    def _promotion(self, attempts: "dict[int, list[FrozenTrial]]") -> tuple[int, int, int] | None:
        """The number of a trial that is to be trained further, its rung, and to which epoch."""
        if self._ladder is None:
            return None
        found = self._ladder.promotion(_scores(attempts), over=self._over(attempts))
        return found and (*found, self._ladder.epochs(*found))

    def _further(
        self, attempts: "dict[int, list[FrozenTrial]]", number: int, rung: int, epochs: int
    ) -> "FrozenTrial | None":
        """A running trial that goes on with this one; None where it may still be running here."""
        import optuna
        from optuna.trial import TrialState

        if number in self._claims:
            return None
        last = attempts[number][-1]
        kept = ("number", "values", "config", "failures")
        known = {name: last.user_attrs[name] for name in kept if name in last.user_attrs}
        return optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=last.params,
            distributions=last.distributions,
            user_attrs={**known, "rung": rung, "epochs": epochs},
        )

    def _new(
        self, attempts: "dict[int, list[FrozenTrial]]", storage: "Storage"
    ) -> "FrozenTrial | None":
        """A running trial of a new configuration; None where none is wanted or is left."""
        if self.exhausted or len(attempts) == self._trials:
            return None
        number = len(attempts)
        trial = self._propose(number, [trial for trials in attempts.values() for trial in trials])
        if trial is None:
            storage.set_study_user_attr(self._study_id, "exhausted", True)
            self.exhausted = True
            return None
        trial.user_attrs["number"] = number
        if self._ladder is not None:
            trial.user_attrs.update(rung=0, epochs=self._ladder.epochs(number, 0))
        return trial

    def _propose(self, number: int, known: list["FrozenTrial"]) -> "FrozenTrial | None":
        """A running trial of a configuration that no other one has; None where no more is found.

        The sampler works on a copy of the study in memory: vain proposals leave no trace.
        """
        import optuna
        from optuna.trial import TrialState

        study = optuna.create_study(directions=[each.direction for each in self._objectives])
        study.add_trials(trial for trial in known if trial.state != TrialState.WAITING)
        taken = {_canonical(trial.user_attrs["config"]) for trial in known}
        seed = random.Random(f"{self._seed}/{number}").randrange(2**32)
        study.sampler = self._sampler(seed)
        for proposal in range(_GUIDED_PROPOSALS + _RANDOM_PROPOSALS):
            if proposal == _GUIDED_PROPOSALS:
                study.sampler = optuna.samplers.RandomSampler(seed)
            hp = _Hyperparameters(study.ask())
            config = self._plan(hp)
            if _canonical(config) not in taken:
                trial = study.get_trials(deepcopy=False)[-1]
                trial.user_attrs.update(values=hp.values, config=config)
                return trial
        return None

    def _sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

        if self._algorithm != "bayesian":
            return RandomSampler(seed)
        if len(self._objectives) == 1:
            return TPESampler(seed=seed)  # by default multivariate, and wary of what is running
        population = max(2, min(_POPULATION, self._trials // 4))
        return NSGAIISampler(population_size=population, seed=seed)

    def _end(self, storage: "Storage", trial_id: int, again: bool) -> None:
        """End an attempt without a result, and let another one wait for its turn."""
        from optuna.trial import TrialState

        storage.set_trial_state_values(trial_id, TrialState.FAIL)
        retry = storage.get_heartbeat_stale_trial_callback()
        if again and retry is not None:
            retry(self._study(storage), storage.get_trial(trial_id))


def _repeats(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _canonical(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


def _scores(attempts: "dict[int, list[FrozenTrial]]") -> Scores:
    """Of each trial in each rung; the last attempt at a rung has the last word."""
    from optuna.trial import TrialState

    found: dict[tuple[int, int], float | None] = {}
    for number, trials in sorted(attempts.items()):
        for trial in trials:
            scores = {TrialState.COMPLETE: trial.value, TrialState.FAIL: FAILED}
            found[number, trial.user_attrs["rung"]] = scores.get(trial.state)
    return found


def _job(number: int, attempts: "list[FrozenTrial]") -> Job:
    known = attempts[-1].user_attrs
    again = sum(trial.user_attrs.get("rung") == known.get("rung") for trial in attempts)
    # The first attempt is to have what a second one will read from the database.
    values, config = json.loads(json.dumps([known["values"], known["config"]]))
    return Job(number, values, config, known.get("epochs"), attempt=again)


class _Hyperparameters:
    """keras-tuner's `hp`, as far as a plan may use it, on top of an Optuna trial."""

    def __init__(self, trial: "Trial"):
        self.values: dict[str, Any] = {}
        self._trial = trial

    def _kept(self, name: str, value: _T) -> _T:
        self.values[name] = value
        return value

    def Choice(self, name: str, values: Sequence[Any], **_: Any) -> Any:
        return self._kept(name, self._trial.suggest_categorical(name, list(values)))

    def Boolean(self, name: str, default: bool = False, **_: Any) -> bool:
        return self._kept(name, bool(self._trial.suggest_categorical(name, [False, True])))

    def Fixed(self, name: str, value: Any, **_: Any) -> Any:
        return self._kept(name, value)

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str = "linear",
        **_: Any,
    ) -> int:
        log = _is_log(name, step, sampling)
        highest = max_value - (max_value - min_value) % (step or 1)
        value = self._trial.suggest_int(name, min_value, highest, step=step or 1, log=log)
        return self._kept(name, value)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str = "linear",
        **_: Any,
    ) -> float:
        log = _is_log(name, step, sampling)
        if step is not None:
            steps = math.floor((max_value - min_value) / step + 1e-9)
            max_value = round(min_value + steps * step, 12)
        value = self._trial.suggest_float(name, min_value, max_value, step=step, log=log)
        return self._kept(name, value)


def _is_log(name: str, step: float | None, sampling: str) -> bool:
    if sampling == "linear" or (sampling == "log" and step is None):
        return sampling == "log"
    raise ValueError(
        f'`sampling` must be "linear", or "log" without a step, for a study. '
        f"Received: sampling={sampling!r}, step={step!r} for {name!r}"
    )


class StudyOracle:
    """An `engines.local.Oracle`: Optuna's TPE, with a study in memory.

    Args:
        plan: as for `StudyEngine`.
        first: values of the hyperparameters in the first proposal.
        seed: of all that is drawn.
    """

    promotes = False
    exhausted = False

    def __init__(
        self, plan: Callable[[Any], dict[str, Any]], first: Mapping[str, Any], *, seed: int
    ):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._plan, self._first, self._seed = plan, dict(first), seed
        self._study = optuna.create_study(direction="maximize")

    def propose(self, guided: bool, known: Mapping[str, Any] | None = None) -> Proposal:
        from optuna.samplers import RandomSampler, TPESampler

        number = len(self._study.get_trials(deepcopy=False))
        seed = random.Random(f"{self._seed}/{number}").randrange(2**32)
        self._study.sampler = TPESampler(seed=seed) if guided else RandomSampler(seed)
        if known or number == 0:
            self._study.enqueue_trial(dict(known or self._first))
        hp = _Hyperparameters(self._study.ask())
        self._plan(hp)
        return Proposal(str(number), hp.values, None)

    def learn(self, id: str, score: float | None) -> None:
        from optuna.trial import TrialState

        self._study.tell(int(id), score, TrialState.FAIL if score is None else None)

    def state(self) -> None:
        """Repeating the calls brings everything back."""

    def restore(self, state: None) -> None:
        """There is nothing to bring back."""


# ------------------------------------------------------------------------------------ the database


def database_url(storage: str) -> "URL":
    """The URL of a database, with the driver.

    Raises:
        ValueError: for anything but PostgreSQL or an SQLite file, for a password, which it does not
            repeat, and where the libraries are not installed.
    """
    missing = [name for name in ("optuna", "psycopg", "sqlalchemy") if find_spec(name) is None]
    if missing:
        raise ValueError(
            "`storage` must have its libraries installed: pip install 'keras-archs[search]'. "
            f"Received: no {', '.join(missing)}"
        )
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    wanted = "`storage` must be postgresql://[USER@]HOST[:PORT]/DATABASE or sqlite:///FILE."
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):
        raise ValueError(wanted) from None
    if url.password is not None or any("password" in name.lower() for name in url.query):
        raise ValueError("`storage` must not hold a password: use PGPASSFILE or PGPASSWORD.")
    files = url.drivername == "sqlite" and url.database not in (None, "", ":memory:")
    if not files and (url.drivername != "postgresql" or not url.database):
        raise ValueError(f"{wanted} Received: storage={url.render_as_string()!r}")
    return url if files else url.set(drivername="postgresql+psycopg")


class _Database:
    """Optuna's storage, all changes of which are transactions one after the other.

    Args:
        heartbeat, grace: seconds, as for `StudyEngine`.
        alive: a dictionary that others change; its values are the keys of the trials that run here.
    """

    def __init__(
        self, url: "URL", study: str, heartbeat: int, grace: int | None, alive: Mapping[int, int]
    ):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._url = url
        self._study = study
        self._heartbeat = heartbeat
        self._grace = grace
        self._alive = alive
        self._cache: Storage | None = None
        self._in_touch_since: float | None = None
        # Of several workers that create the tables together, all but one fail at first.
        connected = self._persist(lambda _: (self._connect(), self._connect()), _FIRST_PATIENCE)
        self._storage, self._pulse = connected
        if url.drivername == "sqlite":
            _begin_with_the_lock(self._storage)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _connect(self) -> "RDBStorage":
        from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

        arguments: dict[str, Any]
        if self._url.drivername == "sqlite":
            arguments = {"timeout": 60}
        else:
            given = self._url.query
            options = f"{given.get('options', '')} {_POSTGRESQL_SETTINGS}"
            arguments = {name: value for name, value in _POSTGRESQL.items() if name not in given}
            arguments["options"] = options
        with _no_experimental_warnings():
            return RDBStorage(
                self._url.render_as_string(),
                {"pool_pre_ping": True, "connect_args": arguments},
                heartbeat_interval=self._heartbeat,
                grace_period=self._grace,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )

    def transaction(self, work: "Callable[[Storage], _T]", patience: float = _PATIENCE) -> _T:
        """What `work` returns; what it writes to the storage gets through as a whole or not at all.

        It is called again after a failure of the database, also where the first call's writes did
        get through, so it has to look before it writes.

        Args:
            patience: seconds after which a database that does not answer is given up.

        Raises:
            ConnectionError: when it is given up.
        """

        def once(deadline: float) -> _T:
            with self._alone(deadline) as storage:
                return work(storage)

        return self._persist(once, patience, only=_passes)

    @contextlib.contextmanager
    def _alone(self, deadline: float) -> "Iterator[Storage]":
        """The storage within a transaction that holds the lock."""
        from optuna.storages import get_storage
        from sqlalchemy.orm import scoped_session, sessionmaker

        while time.monotonic() < deadline:
            with self._storage.engine.begin() as connection:
                self._answered()
                if self._has_lock(connection):
                    # Optuna's own transactions become savepoints of this one.
                    sessions = sessionmaker(connection, join_transaction_mode="create_savepoint")
                    self._storage.scoped_session = scoped_session(sessions)
                    storage = self._cache or cast("Storage", get_storage(self._storage))
                    self._cache = None
                    yield storage
                    break
            time.sleep(random.uniform(0.01, 0.05))
        else:
            raise ConnectionError(f"{self._url!r} is kept locked by another worker")
        self._cache = storage  # what it remembers has got through

    def _has_lock(self, connection: "Connection") -> bool:
        """Try to be the only worker in a transaction, up to its end."""
        from sqlalchemy import text

        # Waiting within the transaction would be no good: its time stands still at its beginning.
        lock = "SELECT pg_try_advisory_xact_lock(hashtext('keras-archs'), hashtext(:study))"
        if self._url.drivername == "sqlite":
            return True  # it is the transaction's own
        return bool(connection.scalar(text(lock), {"study": self._study}))

    def _persist(
        self,
        work: Callable[[float], _T],
        patience: float,
        only: Callable[[Exception], bool] = lambda _: True,
    ) -> _T:
        """Repeat `work` after the database's errors, or `only` some; it is told when to end."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        deadline = time.monotonic() + patience
        pause = 0.1
        while True:
            try:
                return work(deadline)
            except (StorageInternalError, SQLAlchemyError) as error:
                self._in_touch_since = None
                if not only(error):
                    raise
                reason = " ".join(str(getattr(_cause(error), "orig", None) or error).split())
                if time.monotonic() + pause > deadline:
                    message = f"{self._url!r} has not answered for {patience:.0f} s: {reason}"
                    raise ConnectionError(message) from None
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _answered(self) -> None:
        if self._in_touch_since is None:
            self._in_touch_since = time.monotonic()

    def knows_the_dead(self) -> bool:
        """Whether the living have had the time for a heartbeat since the database came back."""
        since = self._in_touch_since
        return since is not None and time.monotonic() - since > self._heartbeat

    def start_heartbeat(self) -> None:
        self._thread.start()

    def _beat(self) -> None:
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        pause: float = self._heartbeat
        while not self._closed.wait(pause):
            try:
                with self._pulse.engine.connect():
                    self._answered()
                for trial_id in list(self._alive.values()):
                    self._pulse.record_heartbeat(trial_id)
                pause = self._heartbeat
            except (StorageInternalError, SQLAlchemyError):
                self._in_touch_since = None
                pause = min(1, self._heartbeat / 2)

    def close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(_LONGEST_PAUSE)
        self._storage.engine.dispose()
        self._pulse.engine.dispose()


def _cause(error: Exception) -> BaseException | None:
    """SQLAlchemy's error, which Optuna hides in one of its own."""
    from optuna.exceptions import StorageInternalError

    return error.__cause__ if isinstance(error, StorageInternalError) else error


def _passes(error: Exception) -> bool:
    """Whether the error is one of a connection that broke, or of a database that is not up."""
    from sqlalchemy import exc

    cause = _cause(error)
    passing = exc.OperationalError, exc.InterfaceError, exc.PendingRollbackError
    return isinstance(cause, passing) or getattr(cause, "connection_invalidated", False)


def _begin_with_the_lock(storage: "RDBStorage") -> None:
    """Let every transaction on SQLite begin as the only one that writes."""
    from sqlalchemy import event

    def leave_transactions_alone(connection: Any, _: object) -> None:
        connection.isolation_level = None

    def begin(connection: "Connection") -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(storage.engine, "connect", leave_transactions_alone)
    event.listen(storage.engine, "begin", begin)
    storage.engine.dispose()


@contextlib.contextmanager
def _no_experimental_warnings() -> Iterator[None]:
    """Optuna calls its heartbeat experimental, since 2021, and names of objectives, since 2023."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
