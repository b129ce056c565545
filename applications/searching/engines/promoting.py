"""Which trials are trained further: the rules of ASHA and Hyperband, for any engine.

A trial is trained to a rung, the first of which is 0; the best of a rung go on to the next one from
their checkpoints.
"""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

PROMOTING = ("hyperband", "asha")  # those that train the best trials further
FACTOR = 3  # between the epochs of a rung, or a round of Hyperband, and those of the next
FAILED = -math.inf  # the score of a trial that has none

_Key = TypeVar("_Key", bound=Hashable)
Scores = Mapping[tuple[int, int], float | None]
"""Score of each (trial, rung) that was begun; None: it has not ended."""


class Ladder(Protocol):
    """The rules of one search."""

    def epochs(self, trial: int, rung: int) -> int:
        """Epochs to which a trial is trained in all for this rung."""
        ...

    def promotion(self, scores: Scores, *, over: bool) -> tuple[int, int] | None:
        """A trial and the rung that it is to be trained to; None: none is now.

        Args:
            scores: of what was begun.
            over: whether no trial is being trained and none will be begun.
        """
        ...


def ladder(algorithm: str, *, trials: int, epochs: int) -> Ladder | None:
    """The rules of an algorithm; None where it promotes nothing.

    Args:
        algorithm: of the search.
        trials: most configurations, >= 1.
        epochs: of a full training, >= 1.
    """
    if algorithm == "hyperband":
        return Hyperband(trials, epochs)
    return Asha(epochs) if algorithm == "asha" else None


def rungs(epochs: int) -> list[int]:
    """Epochs of ASHA's rungs, the last of which are all: each has about 3 times those before it."""
    found = [epochs]
    while epochs >= FACTOR ** len(found):
        found.append(-(-epochs // FACTOR ** len(found)))
    return found[::-1]


def rung_of(epochs: int, trained: int) -> int:
    """The highest rung, from 0, that a trial which was trained for so many epochs has reached."""
    return max(0, sum(trained >= least for least in rungs(epochs)) - 1)


def best_third(
    in_rungs: Sequence[Mapping[_Key, float]], promoted: Collection[_Key], *, over: bool
) -> tuple[_Key, int] | None:
    """What ASHA trains further: Algorithm 2 of Li et al. 2018, arXiv:1810.05934.

    One that is among the best third of its rung, from the highest rung down, and was not promoted.
    Nobody waits for a rung to be full. Departure: if none has reached the last rung when all is
    over, which takes 3 trials a rung, the best of the highest goes on to it.

    Args:
        in_rungs: scores of what has completed each rung. Of equal ones the first is the better.
        promoted: what went on already.
        over: whether nothing is being trained and nothing will be begun.

    Returns:
        It and the rung that it goes on to; None: none does.
    """
    below = [
        (rung, sorted(scores, key=lambda key, scores=scores: -scores[key]))
        for rung, scores in enumerate(in_rungs[:-1])
    ][::-1]
    thirds = [(rung, ranked[: len(ranked) // FACTOR]) for rung, ranked in below]
    for rung, ranked in [*thirds, *(below if over and not in_rungs[-1] else ())]:
        for key in ranked:
            if key not in promoted:
                return key, rung + 1
    return None


class Asha:
    """A `Ladder`: asynchronous successive halving.

    Args:
        epochs: of a full training.
    """

    def __init__(self, epochs: int):
        self._rungs = rungs(epochs)

    def epochs(self, trial: int, rung: int) -> int:
        return self._rungs[rung]

    def promotion(self, scores: Scores, *, over: bool) -> tuple[int, int] | None:
        in_rungs: list[dict[tuple[int, int], float]] = [{} for _ in self._rungs]
        for (trial, rung), score in scores.items():
            if score is not None and score > FAILED:
                in_rungs[rung][trial, rung] = score
        promoted = {(trial, rung - 1) for trial, rung in scores}
        found = best_third(in_rungs, promoted, over=over)
        return found and (found[0][0], found[1])


class Round(NamedTuple):
    """A round of a bracket of Hyperband: so many trials, trained to so many epochs."""

    size: int
    epochs: int


def cut(size: int, whole: int, room: int) -> int:
    """Trials of a round whose bracket of `whole` trials has room for only so many."""
    return -(-size * min(whole, room) // whole)


class Hyperband:
    """A `Ladder`: the brackets of keras-tuner's Hyperband (Li et al. 2016, arXiv:1603.06560).

    They follow one another, and again from the first, until all trials are dealt out; the last one
    is cut to what is left. The best of a round go on as soon as it is certain that they are; of one
    in which trials failed, when all is over.

    Args:
        trials: most configurations.
        epochs: of a full training.
    """

    def __init__(self, trials: int, epochs: int):
        import keras_tuner

        plan = keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, factor=FACTOR)
        self._brackets: list[list[Round]] = []
        self._bracket: list[int] = []  # of each trial
        kinds = plan._get_num_brackets()
        while len(self._bracket) < trials:
            number = kinds - 1 - len(self._brackets) % kinds
            sizes = [plan._get_size(number, each) for each in range(plan._get_num_rounds(number))]
            room = trials - len(self._bracket)
            self._bracket += [len(self._brackets)] * min(sizes[0], room)
            self._brackets.append(
                [
                    Round(cut(size, sizes[0], room), plan._get_epochs(number, each))
                    for each, size in enumerate(sizes)
                ]
            )

    def epochs(self, trial: int, rung: int) -> int:
        return self._brackets[self._bracket[trial]][rung].epochs

    def promotion(self, scores: Scores, *, over: bool) -> tuple[int, int] | None:
        for number, bracket in enumerate(self._brackets):
            for rung in range(1, len(bracket)):
                begun = [
                    trial
                    for trial, at in scores
                    if at == rung - 1 and self._bracket[trial] == number
                ]
                left = [trial for trial in begun if (trial, rung) not in scores]
                each = {trial: scores[trial, rung - 1] for trial in left}
                ended = {trial: score for trial, score in each.items() if score is not None}
                size, past = bracket[rung].size, bracket[rung - 1].size
                if len(begun) - len(left) < size and (over or len(ended) > past - size):
                    best = max(ended, key=ended.__getitem__, default=None)
                    if best is not None and ended[best] != FAILED:
                        return best, rung
        return None
