"""Which trials are trained further, whoever trains them."""

import pytest

from applications.searching.engines.promoting import (
    FAILED,
    Asha,
    Hyperband,
    best_third,
    ladder,
    rung_of,
    rungs,
)

SCORES = [0.1, 0.5, 0.3, 0.2, 0.4, 0.9, 0.6, 0.7, 0.8]


def handed(rules, scores, failing=()):
    """What one worker is handed, as (trial, epochs), where a trial always has its own score.

    `failing`: those that have none in any rung but the first.
    """
    known, found = {}, []
    while True:
        begun = {trial for trial, _ in known}
        over = len(begun) == len(scores)
        step = rules.promotion(known, over=over)
        if step is None and over:
            return found
        trial, rung = step or (len(begun), 0)
        assert (trial, rung) not in known
        known[trial, rung] = FAILED if trial in failing and rung else scores[trial]
        found.append((trial, rules.epochs(trial, rung)))


def rounds(found):
    """The trials by the epochs that they were trained to."""
    return {epochs: {t for t, each in found if each == epochs} for _, epochs in found}


def test_rungs_have_three_times_the_epochs_of_the_one_below():
    assert [rungs(epochs) for epochs in (1, 2, 3, 9, 10, 30)] == [
        *([1], [2], [1, 3], [1, 3, 9], [2, 4, 10], [2, 4, 10, 30]),
    ]
    assert [rung_of(9, trained) for trained in (1, 2, 3, 8, 9)] == [0, 0, 1, 1, 2]


def test_asha_promotes_as_algorithm_2_of_its_paper():
    """By hand, rungs of 1, 3 and 9 epochs, of which a third goes on, rounded down."""
    assert handed(Asha(9), SCORES) == [
        *((0, 1), (1, 1), (2, 1), (1, 3)),  # the best of three
        *((3, 1), (4, 1), (5, 1), (5, 3)),  # the best two of six are 5 and 1
        *((6, 1), (6, 3)),  # of seven 5 and 6
        (5, 9),  # the best of three in rung 1, before any in rung 0
        *((7, 1), (7, 3)),  # the best two of eight are 5 and 7
        *((8, 1), (8, 3)),  # the best three of nine 5, 8 and 7
    ]


def test_asha_promotes_early_what_is_stopped_and_later_what_has_become_the_best_of_what_is_left():
    """Trial 0 is stopped at its first rung, and goes on when six worse ones have been."""
    assert handed(Asha(3), [0.8, 0.9, 0.7, 0.1, 0.2, 0.3])[-1] == (0, 3)


def test_of_equal_scores_the_first_is_promoted():
    assert best_third([{"a": 0.5, "b": 0.5, "c": 0.5}, {}], (), over=False) == ("a", 1)


def test_a_short_asha_trains_its_best_to_the_end_and_a_failed_one_gives_its_place_away():
    assert handed(Asha(9), [0.2, 0.7]) == [(0, 1), (1, 1), (1, 3), (1, 9)]
    assert handed(Asha(3), [0.2, 0.7], failing=[1]) == [(0, 1), (1, 1), (1, 3), (0, 3)]
    assert handed(Asha(3), [0.2], failing=[0]) == [(0, 1), (0, 3)]


def test_hyperband_has_the_brackets_of_its_paper():
    """By hand: of 9 epochs, with keras-tuner's sizes, 9 trials, then 5, then 3, and again."""
    plan = Hyperband(17 + 9, 9)
    assert [[tuple(each) for each in bracket] for bracket in plan._brackets] == [
        [(9, 1), (3, 3), (1, 9)],
        [(5, 3), (2, 9)],
        [(3, 9)],
        [(9, 1), (3, 3), (1, 9)],
    ]
    assert [plan._bracket.count(number) for number in range(4)] == [9, 5, 3, 9]


def test_hyperband_trains_the_best_of_each_round_further_and_deals_out_all_trials():
    found = handed(Hyperband(9, 9), SCORES)
    assert rounds(found) == {1: set(range(9)), 3: {5, 8, 7}, 9: {5}}
    later = handed(Hyperband(14, 9), [*SCORES, 0.1, 0.2, 0.9, 0.4, 0.3])
    assert rounds(later)[9] == {5, 11, 12}
    cut = rounds(handed(Hyperband(4, 9), SCORES[:4]))
    assert cut == {1: {0, 1, 2, 3}, 3: {1, 2}, 9: {1}}


def test_hyperband_promotes_as_soon_as_it_is_certain():
    """Of nine trials three go on: the best of seven is among them whatever the last two come to."""
    plan = Hyperband(9, 9)
    known = {(trial, 0): SCORES[trial] for trial in range(6)}
    assert plan.promotion(known | {(6, 0): None}, over=False) is None
    assert plan.promotion(known | {(6, 0): 0.6, (7, 0): None}, over=False) == (5, 1)


def test_hyperband_goes_on_with_what_failures_have_left():
    found = handed(Hyperband(9, 9), SCORES, failing=[5, 8])
    assert rounds(found) == {1: set(range(9)), 3: {5, 8, 7}, 9: {7}}
    nothing = Hyperband(9, 9).promotion({(t, 0): FAILED for t in range(9)}, over=True)
    assert nothing is None


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "grid"])
def test_other_algorithms_promote_nothing(algorithm):
    assert ladder(algorithm, trials=9, epochs=9) is None
