"""What proposes the trials of a search: keras-tuner's oracles, or a list known beforehand.

An engine hands out jobs, takes their results and knows every trial. What it knows is on disk before
a job is handed out and after a result came in: one file, written whole or not at all, so that a
search that is killed at any moment resumes where it was. Engines train nothing.
"""

import contextlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from threadpoolctl import threadpool_limits

from applications.files import naming_file, remove_partials, write_json
from applications.options import default_of
from applications.searching.engines.promoting import FACTOR, PROMOTING, best_third, cut, rungs
from keras_archs.checks import choice, count

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

ALGORITHMS = ("random", "bayesian", "hyperband", "asha", "grid")
SCORE = "validation_accuracy"
_GUIDED_COLLISIONS = 5  # known proposals in a row after which a Bayesian oracle draws at random
_COLLISIONS = 2000  # known proposals in a row after which a space counts as exhausted


@dataclass(frozen=True)
class Job:
    """A trial that is to be trained, or trained further.

    Attributes:
        number: the trial's, from 0.
        values: hyperparameters by name.
        config: options of `train` that follow from them.
        epochs: train up to this epoch. None: to the end.
        attempt: 1, and one more for each time that it failed.
    """

    number: int
    values: dict[str, Any]
    config: dict[str, Any]
    epochs: int | None = None
    attempt: int = 1


class Engine(Protocol):
    """What `searching` asks of an engine."""

    exhausted: bool
    """Whether the space holds no further trial."""

    def ask(self) -> Job | None:
        """The next job, which is then the caller's; None where there is nothing to start now."""
        ...

    def tell(self, job: Job, metrics: Mapping[str, Any]) -> None:
        """Say that a job is done; `metrics` are the run's."""
        ...

    def fail(self, job: Job, reason: str) -> bool:
        """Say that a job failed. Returns whether it will be handed out again."""
        ...

    @property
    def finished(self) -> bool:
        """Whether no job is running anywhere and none will come."""
        ...

    def records(self) -> list[dict[str, Any]]:
        """Every trial by number: `trial`, `status` ("waiting", "running", "completed", "failed"),
        `reason`, `attempts`, `values`, `config` and `metrics`."""
        ...

    def close(self) -> None:
        """Let go of what the engine holds."""
        ...


class Proposal(NamedTuple):
    """What an oracle wants to know the score of."""

    id: str
    values: dict[str, Any]
    epochs: int | None


class Oracle(Protocol):
    """Makes proposals and learns their scores; the same calls make the same proposals."""

    promotes: bool
    """Whether a trial may be proposed again, to be trained further."""

    @property
    def exhausted(self) -> bool:
        """Whether no proposal will come any more."""
        ...

    def propose(self, guided: bool, known: Mapping[str, Any] | None) -> Proposal | None:
        """The next proposal; None: not now, or, where `exhausted`, never again.

        Args:
            guided: False draws at random, if the oracle can.
            known: what the oracle proposed here before, when a search is read back.
        """
        ...

    def learn(self, id: str, score: float | None) -> None:
        """The score of a proposal; None: it has none."""
        ...

    def state(self) -> Any:
        """What repeating all calls with what is known does not bring back, as JSON has it."""
        ...

    def restore(self, state: Any) -> None:
        """Bring back what `state` returned, after all calls were repeated."""
        ...


@dataclass
class _Trial:
    trial: int
    values: dict[str, Any]
    config: dict[str, Any]
    status: str = "waiting"
    reason: str = ""
    failures: int = 0
    epochs: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # proposals that wait for its score


_WANTED = "`run_dir` must hold a search"
_STATUSES = ("waiting", "running", "completed", "failed")
_RANKED = (SCORE, "validation_loss", "macs", "epochs", "train_seconds")  # what `studies` reads


def _checked(place: int, values: Any) -> _Trial:
    """A trial as it was saved.

    Raises:
        ValueError, TypeError: a value is none that a trial has.
    """
    trial = _Trial(**values)
    kinds = {"values": dict, "config": dict, "metrics": dict, "asked": list, "reason": str}
    _check_kinds(vars(trial), **kinds)
    choice("status", trial.status, _STATUSES)
    count("trial", trial.trial, least=place, most=place)
    count("failures", trial.failures, least=0)
    if trial.epochs is not None:
        count("epochs", trial.epochs)
    ranked = (name for name in _RANKED if name in (SCORE, *trial.metrics))
    for name in ranked if trial.status == "completed" else ():
        if not isinstance(trial.metrics[name], int | float) or math.isnan(trial.metrics[name]):
            raise ValueError(f"`{name}` must be a number. Received: {trial.metrics[name]!r}")
    return trial


def _check_kinds(found: Mapping[str, Any], /, **kinds: type) -> None:
    for name, kind in kinds.items():
        if not isinstance(found[name], kind):
            raise ValueError(f"`{name}` must be {kind.__name__}. Received: {found[name]!r}")


class LocalEngine:
    """Trials of one machine, kept in a file.

    Args:
        oracle: what proposes; in the state in which it was made.
        plan: makes options of `train` of hyperparameters. Calls nothing but the methods of
            keras-tuner's `HyperParameters`.
        file: where all is kept. What it holds already is resumed.
        options: of the search; those of a search that is resumed must be the same.
        trials: most configurations.
        retries: how often a trial that failed is tried again.

    Raises:
        ValueError: the file is of a search with other options, or cannot be read back.
    """

    def __init__(
        self,
        oracle: Oracle,
        plan: Callable[[Mapping[str, Any]], dict[str, Any]],
        *,
        file: str | os.PathLike[str],
        options: Mapping[str, Any],
        trials: int,
        retries: int = 1,
    ):
        self._oracle, self._plan, self._file = oracle, plan, Path(file)
        self._options, self._cap, self._retries = dict(options), trials, retries
        self._trials: list[_Trial] = []
        self._by_key: dict[str, int] = {}
        self._events: list[dict[str, Any]] = []
        self.exhausted = False
        remove_partials(self._file.parent)
        if self._file.exists():
            self._read()
        self._save()

    def ask(self) -> Job | None:
        for trial in self._trials:
            if trial.status == "waiting":
                return self._start(trial)
        collisions = 0
        while not self.exhausted:
            if len(self._trials) >= self._cap and not self._oracle.promotes:
                return None
            proposal = self._propose(guided=collisions < _GUIDED_COLLISIONS)
            if proposal is None:
                return None
            trial = self._trial_of(proposal)
            if trial.status == "waiting":
                return self._start(trial)
            collisions += 1
            self.exhausted = collisions > _COLLISIONS
        self._save()
        return None

    def tell(self, job: Job, metrics: Mapping[str, Any]) -> None:
        trial = self._trials[job.number]
        trial.status, trial.reason, trial.metrics = "completed", "", dict(metrics)
        self._answer(trial)
        self._save()

    def fail(self, job: Job, reason: str) -> bool:
        trial = self._trials[job.number]
        trial.failures += 1
        trial.reason = reason
        again = trial.failures <= self._retries
        trial.status = "waiting" if again else "failed"
        if not again:
            self._answer(trial)
        self._save()
        return again

    @property
    def finished(self) -> bool:
        if any(trial.status in ("waiting", "running") for trial in self._trials):
            return False
        return self.exhausted or (len(self._trials) >= self._cap and not self._oracle.promotes)

    def records(self) -> list[dict[str, Any]]:
        shown = ("trial", "status", "reason", "values", "config", "metrics")
        return [
            {name: getattr(trial, name) for name in shown} | {"attempts": _attempts(trial)}
            for trial in self._trials
        ]

    def close(self) -> None:
        """There is nothing to let go of."""

    def _start(self, trial: _Trial) -> Job:
        trial.status = "running"
        self._save()
        return Job(trial.trial, trial.values, trial.config, trial.epochs, trial.failures + 1)

    def _propose(self, guided: bool, known: Mapping[str, Any] | None = None) -> Proposal | None:
        # A Gaussian process is small: its threads would wait for those of the trainings.
        with threadpool_limits(1):
            proposal = self._oracle.propose(guided, known)
        if proposal is None:
            self.exhausted = self._oracle.exhausted
        self._events.append({"propose": proposal.values if proposal else None, "guided": guided})
        return proposal

    def _trial_of(self, proposal: Proposal) -> _Trial:
        """The trial of a proposal: a new one, one that is to be trained further, or a known one."""
        config = self._plan(proposal.values)
        key = json.dumps(config, sort_keys=True, default=_plain)
        number = self._by_key.setdefault(key, len(self._trials))
        if number == len(self._trials):
            self._trials.append(_Trial(number, proposal.values, config, epochs=proposal.epochs))
        trial = self._trials[number]
        trial.asked.append(proposal.id)
        if trial.status == "completed":
            if proposal.epochs is not None and trial.metrics["epochs"] < proposal.epochs:
                trial.status, trial.epochs = "waiting", proposal.epochs
            else:
                self._answer(trial)
        elif trial.status == "failed":
            self._answer(trial)
        return trial

    def _answer(self, trial: _Trial) -> None:
        """Tell the oracle what it asked about a trial that has ended."""
        score = trial.metrics[SCORE] if trial.status == "completed" else None
        for id in trial.asked:
            self._oracle.learn(id, score)
            self._events.append({"learn": id, "score": score})
        trial.asked = []

    def _save(self) -> None:
        write_json(
            self._file,
            {
                "options": self._options,
                "exhausted": self.exhausted,
                "trials": [asdict(trial) for trial in self._trials],
                "events": self._events,
                "oracle": self._oracle.state(),
            },
        )

    def _read(self) -> None:
        with naming_file(self._file, _WANTED):
            state = json.loads(self._file.read_text(encoding="utf-8"))
            trials = [_checked(number, trial) for number, trial in enumerate(state["trials"])]
            options, events, exhausted = state["options"], state["events"], state["exhausted"]
            _check_kinds(state, options=dict, events=list, exhausted=bool)
            oracle = state["oracle"]
        check_options(options, self._options)
        try:
            self._repeat(events)
            self._oracle.restore(oracle)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{_WANTED}. Received: {self._file} (an event or the oracle's state: {error})"
            ) from None
        self._events, self._trials, self.exhausted = events, trials, exhausted
        for trial in self._trials:
            self._by_key[json.dumps(trial.config, sort_keys=True)] = trial.trial
            if trial.status == "running":
                trial.status = "waiting"
        if len(self._trials) < self._cap:
            self.exhausted = self._oracle.exhausted

    def _repeat(self, events: list[dict[str, Any]]) -> None:
        """Bring the oracle into the state in which these events left it."""
        for event in events:
            if "learn" in event:
                self._oracle.learn(event["learn"], event["score"])
                continue
            again = self._oracle.propose(event["guided"], event["propose"])
            if (again and again.values) != event["propose"]:
                raise ValueError(
                    "`resume` must meet the keras-tuner that the search was begun with: this one "
                    f"makes other proposals. Received: {self._file}"
                )


def check_options(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the first option that differs from those of a search's beginning.

    One that the search did not know yet had its default.
    """
    for name in given:
        before = recorded[name] if name in recorded else default_of(name)
        if before != given[name]:
            raise ValueError(
                f"`{name}` must be as in the search that is resumed, {before!r}. "
                f"Received: {name}={given[name]!r}"
            )


def _attempts(trial: _Trial) -> int:
    return trial.failures + (trial.status in ("running", "completed"))


def _plain(value: Any) -> Any:
    """A NumPy scalar as JSON has it."""
    return value.item()


class Listed:
    """Proposes what is known beforehand."""

    promotes = False

    def __init__(self, values: Sequence[dict[str, Any]]):
        self._values = list(values)
        self._next = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def exhausted(self) -> bool:
        return self._next >= len(self._values)

    def propose(self, guided: bool, known: Mapping[str, Any] | None = None) -> Proposal | None:
        if self.exhausted:
            return None
        self._next += 1
        return Proposal(str(self._next), self._values[self._next - 1], None)

    def learn(self, id: str, score: float | None) -> None:
        """What is listed depends on no score."""

    def state(self) -> None:
        """Repeating the calls brings everything back."""

    def restore(self, state: None) -> None:
        """There is nothing to bring back."""


class KerasTuner:
    """An oracle of keras-tuner, without its files. Its first proposal is the default point.

    Args:
        algorithm: one of `ALGORITHMS`.
        space: the hyperparameters.
        trials: most configurations; Hyperband's brackets are cut to it.
        epochs: of a full training, which Hyperband and ASHA give to the best alone.
        seed: of all that is drawn, >= 0.
    """

    def __init__(
        self, algorithm: str, space: "HyperParameters", *, trials: int, epochs: int, seed: int
    ):
        import keras_tuner

        self.promotes = algorithm in PROMOTING
        self._models = algorithm == "bayesian"
        options: dict[str, Any] = {
            "objective": keras_tuner.Objective(SCORE, "max"),
            "hyperparameters": space,
            "seed": seed + 1,  # 0 would mean a random one
            "max_consecutive_failed_trials": float("inf"),
        }
        oracles = keras_tuner.oracles
        if self.promotes:
            promoting = _hyperband if algorithm == "hyperband" else _asha
            self._oracle: Any = promoting(trials)(
                max_epochs=epochs,
                factor=FACTOR,
                hyperband_iterations=None,
                **options,
            )
        else:
            kind = {
                "random": oracles.RandomSearchOracle,
                "bayesian": oracles.BayesianOptimizationOracle,
                "grid": _grid(),
            }[algorithm]
            if self._models:  # the default, three a hyperparameter, is more than most searches try
                options["num_initial_points"] = max(3, trials // 3)
            self._oracle = kind(max_trials=None, **options)
        self._oracle.verbose = 0
        # Its own saves are plain writes of several files, which a kill can leave in two minds.
        self._oracle.save = lambda: None
        self._oracle._save_trial = lambda trial: None
        self._oracle._max_collisions = _COLLISIONS
        self._defaults = dict(space.values)
        self._asked = 0
        self.exhausted = False

    def propose(self, guided: bool, known: Mapping[str, Any] | None = None) -> Proposal | None:
        self._asked += 1
        proposing = self._repeating(known) if known else self._unguided(not guided)
        with proposing, warnings.catch_warnings():
            # scikit-learn's, of a model of the scores whose bounds are keras-tuner's own
            warnings.simplefilter("ignore")
            trial = self._oracle.create_trial(f"worker {self._asked}")
        if trial.status != "RUNNING":
            self.exhausted = trial.status == "STOPPED"
            return None
        values = trial.hyperparameters.values
        if self._asked == 1:
            values.update(self._defaults)
        epochs = values.get("tuner/epochs")
        plain = {name: _item(value) for name, value in values.items()}
        return Proposal(trial.trial_id, plain, epochs)

    def learn(self, id: str, score: float | None) -> None:
        trial = self._oracle.trials[id]
        trial.status = "FAILED" if score is None else "COMPLETED"
        if score is not None:
            self._oracle.update_trial(id, {SCORE: score})
        self._oracle.end_trial(trial)

    def state(self) -> dict[str, Any] | None:
        if not self._models:
            return None
        name, keys, *rest = self._oracle._random_state.get_state()
        return {"seed": self._oracle._seed_state, "random": [name, keys.tolist(), *rest]}

    def restore(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self._oracle._seed_state = state["seed"]
            self._oracle._random_state.set_state(tuple(state["random"]))

    @contextlib.contextmanager
    def _repeating(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Propose these values: fitting a model of the scores once more would take seconds."""
        if self._models:
            known = {"status": "RUNNING", "values": dict(values)}
            self._oracle.populate_space = lambda trial_id: known
        try:
            yield
        finally:
            self._oracle.__dict__.pop("populate_space", None)

    @contextlib.contextmanager
    def _unguided(self, active: bool) -> Iterator[None]:
        """Draw at random what a model of the scores would have proposed."""
        if not (active and self._models):
            yield
            return
        before = self._oracle.num_initial_points
        self._oracle.num_initial_points = float("inf")
        try:
            yield
        finally:
            self._oracle.num_initial_points = before


def _item(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _grid() -> type:
    """keras-tuner's grid, whose points follow at once: its own waits for all but two to end, for
    hyperparameters that they might bring; here all are known."""
    import keras_tuner

    class Grid(keras_tuner.oracles.GridSearchOracle):
        def populate_space(self, trial_id):
            found = super().populate_space(trial_id)
            if found["status"] == "RUNNING":
                self._populate_next.append(trial_id)
            return found

    return Grid


def _hyperband(trials: int) -> type:
    """keras-tuner's Hyperband, with brackets that are cut to the configurations that are left."""
    import keras_tuner

    class Hyperband(keras_tuner.oracles.HyperbandOracle):
        def _start_new_bracket(self):
            self._room = trials - self._begun()
            super()._start_new_bracket()

        def _begun(self) -> int:
            return sum(
                trial.hyperparameters.values.get("tuner/initial_epoch") == 0
                for trial in self.trials.values()
            )

        def _get_size(self, bracket_num, round_num):
            size = super()._get_size(bracket_num, round_num)
            if bracket_num != self._current_bracket:
                return size
            return cut(size, super()._get_size(bracket_num, 0), self._room)

        def _random_trial(self, trial_id, bracket):
            if self._begun() >= trials:
                return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}
            return super()._random_trial(trial_id, bracket)

    return Hyperband


def _asha(trials: int) -> type:
    """Asynchronous successive halving, by `best_third`.

    Whoever is free is given what that promotes; where there is nothing, a new trial in rung 0.
    Departure from the paper, whose configurations never end: they end at `trials`.
    """
    import keras_tuner

    class Asha(keras_tuner.oracles.HyperbandOracle):
        def populate_space(self, trial_id):
            if promoted := self._promoted(over=False):
                return promoted
            known = [trial.hyperparameters.values for trial in self.trials.values()]
            begun = sum(values["tuner/rung"] == 0 for values in known)
            if begun < trials and (drawn := self._random_values()):
                return self._into(0, drawn)
            if self.ongoing_trials:
                return {"status": "IDLE"}
            return self._promoted(over=True) or {"status": "STOPPED"}

        def _promoted(self, over: bool) -> dict | None:
            in_rungs: list[dict[str, float]] = [{} for _ in rungs(self.max_epochs)]
            for trial in self.trials.values():
                if trial.status == "COMPLETED":
                    rung = trial.hyperparameters.values["tuner/rung"]
                    in_rungs[rung][trial.trial_id] = trial.score
            known = [trial.hyperparameters.values for trial in self.trials.values()]
            promoted = {values.get("tuner/trial_id") for values in known}
            found = best_third(in_rungs, promoted, over=over)
            if found is None:
                return None
            id, rung = found
            return self._into(rung, self.trials[id].hyperparameters.values, id)

        def _into(self, rung: int, values: dict[str, Any], promoted: str | None = None) -> dict:
            """`promoted`: the trial of the rung below that has these values."""
            added: dict[str, Any] = {
                "tuner/rung": rung,
                "tuner/epochs": rungs(self.max_epochs)[rung],
            }
            if promoted is not None:
                added["tuner/trial_id"] = promoted
            return {"status": "RUNNING", "values": {**values, **added}}

        def _compute_values_hash(self, values):
            plain = {name: v for name, v in values.items() if not name.startswith("tuner/")}
            return super()._compute_values_hash(plain)

    return Asha
