"""An architecture's builder by its name: its module is imported when it is asked for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras_archs
from keras_archs.checks import nearest

if TYPE_CHECKING:
    import keras

    from keras_archs.architecture import ArchInfo


def check_arch(name: str) -> str:
    """The title (`"MobileNet"`) of the architecture `name` in any case, else ValueError."""
    titles = {title.lower(): title for titles in keras_archs.MODULES.values() for title in titles}
    if not isinstance(name, str) or name.lower() not in titles:
        raise ValueError(
            "`arch` must be one of keras_archs.list_archs()."
            f"{nearest(name, titles)} Received: arch={name!r}"
        )
    return titles[name.lower()]


def builder(name: str) -> Callable:
    """The builder that is registered as `name`; case does not matter.

    Raises:
        ValueError: no architecture has this name; the message names the nearest one.
    """
    return getattr(keras_archs, check_arch(name))


def build(name: str, *args: Any, **kwargs: Any) -> "keras.Model":
    """Build the architecture `name`, as `list_archs` spells it, with its builder's arguments."""
    return builder(name)(*args, **kwargs)


def info(name: str) -> "ArchInfo":
    """What is known of the architecture `name` without building it."""
    return builder(name).info
