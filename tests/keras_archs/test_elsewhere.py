"""Arguments and habits of keras.applications lead to ours."""

from pathlib import Path

import numpy as np
import pytest

import keras_archs
from keras_archs.architecture import ELSEWHERE

PAGE = (Path(__file__).parents[2] / "docs" / "keras_applications.md").read_text()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_argument_that_we_lack_names_ours(name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'") as error:
        keras_archs.MobileNet((64, 64, 3), **{name: 1})
    assert ELSEWHERE[name] in str(error.value)


@pytest.mark.parametrize("name", sorted(ELSEWHERE.keys() - {"minimalistic"}))
def test_the_page_says_the_same(name):
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and name in line]
    assert ELSEWHERE[name] in row


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 64, 64)])
def test_channels_that_come_first_are_said_to_come_last(shape):
    with pytest.raises(ValueError, match="at least 31x31, channels last, for MobileNet"):
        keras_archs.MobileNet(shape)


def test_what_the_page_says_is_so():
    names = [f"`{name}`" for name in ("alpha", "features", "stem", "adapt")]
    assert all(name.strip("`") in PAGE for name in names)
    body = keras_archs.MobileNet((64, 64, 3), classes=10, include_top=False, pooling="avg")
    assert body.output_shape == (None, 1024)
    pixels = np.full((1, 2, 2, 3), 255, np.uint8)
    known = keras_archs.weights.known_weights("MobileNet")[0]
    np.testing.assert_allclose(known.preprocessing(pixels), 1, atol=1e-6)
