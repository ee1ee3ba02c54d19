"""Numbers and arrays of numpy in checkpoints, such as the meters of --eval-bleu.

numpy's own functions would follow the pointers of an object array. These functions accept only plain integers and
floats, given by their bytes.
"""

import math
from typing import Any, Union

import numpy as np

from gnmt.checkpoints.pickles import Global, InvalidPickle
from gnmt.checkpoints.tensors import MAX_DIMENSIONS, MAX_ELEMENTS

TYPES = ("b1", *(f"i{size}" for size in (1, 2, 4, 8)), *(f"u{size}" for size in (1, 2, 4, 8)), "f2", "f4", "f8")
ORDERS = ("<", "|", "=")  # little-endian, not applicable, native
ARRAY = Global("numpy.ndarray")
EMPTY_ARRAY = (ARRAY, (0,), b"b")  # initial array in pickles, which the state then fills
PLAIN = (None, None, None, -1, -1, 0)  # fields, metadata, alignment and flags of integers and floats


class StoredType:
    """Plain numeric type of numpy.

    Args:
        code: type without byte order, such as "f4".
        align: flag in the pickle, without an effect.
        copy: flag in the pickle, without an effect.

    Raises:
        InvalidPickle: for any other type.
    """

    def __init__(self, code: str, align: bool = False, copy: bool = True):
        if code not in TYPES or type(align) is not bool or type(copy) is not bool:
            raise InvalidPickle("it has numbers of numpy that are not plain integers or floats")
        self.dtype = np.dtype(code)


def set_order(stored: StoredType, state: tuple) -> None:
    """Checks the byte order, the only variable part in the state of a plain type.

    Args:
        stored: type of the numbers.
        state: state in the pickle.

    Raises:
        InvalidPickle: for any other state.
    """
    if type(state) is not tuple or len(state) != 8 or state[0] != 3 or state[1] not in ORDERS or state[2:] != PLAIN:
        raise InvalidPickle("it has a type of numpy that is not a plain integer or float")


def number(stored: StoredType, content: bytes) -> Union[int, float, bool]:
    """Returns a number of numpy as a Python number.

    Args:
        stored: type of the number.
        content: bytes of the number.

    Raises:
        InvalidPickle: if the bytes are not one number of the type.
    """
    check_length(stored, content, 1)
    return np.frombuffer(content, stored.dtype)[0].item()


def empty_array(kind: Global, shape: tuple, code: bytes) -> np.ndarray:
    """Returns the empty array from which every array is unpickled.

    Args:
        kind: class of the array, which must be numpy.ndarray.
        shape: shape in the pickle.
        code: type in the pickle.
    """
    if (kind, shape, code) != EMPTY_ARRAY:
        raise InvalidPickle("it has an array of numpy that is not made of bytes")
    return np.empty(0, "i1")


def fill_array(array: np.ndarray, state: tuple) -> None:
    """Sets shape, type and content of an empty array, in place.

    Args:
        array: result of `empty_array`.
        state: version, shape, type, order and content in the pickle.

    Raises:
        InvalidPickle: if the state is malformed, or the length of the content does not match.
    """
    if type(state) is not tuple or len(state) != 5 or array.size:
        raise InvalidPickle("it describes an array of numpy wrongly")
    version, shape, stored, by_columns, content = state
    if version != 1 or type(by_columns) is not bool or type(shape) is not tuple or len(shape) > MAX_DIMENSIONS:
        raise InvalidPickle("it describes an array of numpy wrongly")
    if not all(type(length) is int and 0 <= length <= MAX_ELEMENTS for length in shape):
        raise InvalidPickle("it describes an array of numpy wrongly")
    check_length(stored, content, math.prod(shape))
    array.__setstate__((version, shape, stored.dtype, by_columns, content))


def check_length(stored: Any, content: Any, count: int) -> None:
    """Checks the length of a content.

    Args:
        stored: type of the numbers.
        content: their bytes.
        count: required number of numbers.

    Raises:
        InvalidPickle: if the length does not match.
    """
    if type(stored) is not StoredType or type(content) is not bytes or len(content) != count * stored.dtype.itemsize:
        raise InvalidPickle("it has numbers of numpy whose length does not match their type")
