"""Whatever a builder takes: what it costs is what its weights and maps say, and surgery and files
keep what it computes.

`ANY_NETWORK_CASES=500 pytest -m slow -s tests/keras_archs/test_any_network.py` tries more than CI
does, others each time.
"""

import math
import os
from collections import Counter

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers
from networks import DEEP, KINDS, LONG_TO_BUILD, own_arguments
from running import randomize, run

import keras_archs
from keras_archs.graph import calls, without_values

pytestmark = pytest.mark.slow
ASKED = int(os.environ.get("ANY_NETWORK_CASES", 0))
NAMES = [name for name in KINDS if name != DEEP and (ASKED or name not in LONG_TO_BUILD)]


def cases(count):
    """As many in CI, the same each time; else as many as are asked for."""
    return settings(
        max_examples=ASKED or count,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def networks(draw, most_params):
    """A name, and arguments that its builder takes, with which it has few parameters."""
    name = draw(st.sampled_from(NAMES))
    own = {
        argument: draw(st.sampled_from(values))
        for argument, values in own_arguments(name).items()
        if len(values) > 1
    }
    rho = draw(st.sampled_from([1.0, 0.75, 0.5]))
    side = math.ceil(keras_archs.info(name).min_size_for(**own) / rho)
    shape = (side + draw(st.integers(0, 5)), side + draw(st.integers(0, 5)))
    options = {
        **{"input_shape": (*shape, draw(st.integers(1, 4))), "classes": draw(st.integers(1, 12))},
        **{"alpha": draw(st.floats(0.01, 0.3)), "rho": rho, **own},
    }
    if own.get("variant") == "1998":
        return name, options | {"alpha": 1.0}
    while keras_archs.profile(name, **options).params > most_params and options["alpha"] > 1e-3:
        options["alpha"] /= 2
    return name, options


def counted(model):
    """Parameters and multiply-adds, from the shapes of weights and maps alone."""
    params = sum(math.prod(weight.shape) for weight in model.weights)
    macs = 0
    for call in calls(model):
        kernel = getattr(call.operation, "kernel", None)
        if isinstance(call.operation, layers.Dense):
            macs += math.prod(kernel.shape) * math.prod(call.outputs[0].shape[1:-1])
        elif kernel is not None:
            macs += math.prod(kernel.shape) * math.prod(call.outputs[0].shape[1:3])
    return params, macs


@pytest.fixture(scope="module")
def tried():
    """How many cases there were of each test, which is printed."""
    tried = Counter()
    yield tried
    print(f"\ncases: {dict(tried)}")


def test_a_profile_is_what_the_weights_and_maps_say(tried):
    @cases(25)
    @given(networks(most_params=200_000))
    def try_one(network):
        name, options = network
        profile = keras_archs.profile(name, **options)
        with without_values():
            model = keras_archs.build(name, **options)
        assert counted(model) == (profile.params, profile.macs)
        assert model.count_params() == profile.params
        assert keras_archs.profile(model).rows == profile.rows
        keras.utils.clear_session(free_memory=False)
        tried["counted"] += 1

    try_one()


def test_a_network_is_the_same_from_a_file_and_folded(tried, tmp_path):
    @cases(3)
    @given(networks(most_params=50_000), st.sampled_from([".keras", ".kac", ".weights.h5"]))
    def try_one(network, suffix):
        name, options = network
        model = keras_archs.build(name, **options)
        randomize(model)
        images = np.random.default_rng(0).uniform(-1, 1, (2, *model.input_shape[1:]))
        wanted = run(model, images.astype("float32"))
        path = tmp_path / f"network{suffix}"
        if suffix == ".kac":
            keras_archs.save_compressed(model, path)
            loaded = keras_archs.load_compressed(path)
        elif suffix == ".keras":
            model.save(path)
            loaded = keras.saving.load_model(path, _own(), compile=False)
        else:
            model.save_weights(path)
            loaded = keras_archs.build(name, **options, weights=path)
        _same(run(loaded, images.astype("float32")), wanted, 0)
        _same(run(keras_archs.fold_batch_norm(model), images.astype("float32")), wanted, 1e-4)
        keras.utils.clear_session(free_memory=False)
        tried["saved, loaded and folded"] += 1

    try_one()


def _own():
    return {
        "keras_archs>LocalResponseNormalization": keras_archs.LocalResponseNormalization,
    }


def _same(found, wanted, tolerance):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=0)
