"""Interpreter of pickles that treats them as data.

Python's own unpickler imports and calls any object by its name. torch's restricted unpickler calls the functions and
classes of a list with arbitrary arguments. This can run code if a class such as numpy.ndarray is on the list. In this
interpreter a global is only a name. A file can call only the functions of a closed table, which check their arguments.
It can set the state only of the types in another table.
"""

import pickletools
from typing import Any, BinaryIO, Callable, Dict, List, Mapping, NamedTuple, Tuple, Union

MAX_DEPTH = 100  # maximum nesting of containers; checkpoints have about 10
MAX_VALUES = 50_000_000  # a value with two references counts twice

PLAIN_KEYS = (str, bytes, int, float, bool, type(None))


class InvalidPickle(ValueError):
    """Pickle that is damaged, or is not from a checkpoint."""


class ForbiddenGlobal(InvalidPickle):
    """Pickle that names a function or class outside the table."""

    def __init__(self, name: str):
        super().__init__(f"it names {name}")
        self.name = name


class Global(NamedTuple):
    """Name of a function or class in a pickle."""

    name: str


class Globals(NamedTuple):
    """Globals that a type of pickle may name, and their permitted uses."""

    constants: Mapping[str, Any]  # values that cannot be called, such as types of numbers
    functions: Mapping[str, Callable[..., Any]]  # called with arguments from the file, which they check
    classes: Mapping[str, type]  # made without arguments
    # Called with the object and a state from the file, which they check.
    states: Mapping[type, Callable[[Any, Any], None]]

    def __or__(self, other: "Globals") -> "Globals":
        """Returns the union of two tables."""
        return Globals(
            {**self.constants, **other.constants},
            {**self.functions, **other.functions},
            {**self.classes, **other.classes},
            {**self.states, **other.states},
        )

    def __contains__(self, name: object) -> bool:
        return name in self.constants or name in self.functions or name in self.classes


def unpickle(pickled: Union[bytes, BinaryIO], allowed: Globals, load_storage: Callable[[tuple], Any]) -> Any:
    """Returns the value of the pickle at the current position of a file, and moves the position to its end.

    Args:
        pickled: bytes or open file.
        allowed: globals that the pickle may name.
        load_storage: returns the memory of a tensor from its persistent id, a tuple.

    Raises:
        ForbiddenGlobal: for a global that is not allowed.
        InvalidPickle: for a damaged pickle, which may also raise any other exception.
    """
    machine = Machine(allowed, load_storage)
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name not in OPERATIONS:
            raise InvalidPickle(f"its pickle uses {opcode.name}, which torch.save does not")
        OPERATIONS[opcode.name](machine, argument)
    (value,) = machine.stack
    check_nesting(value)
    return value


class Machine:
    """Stack machine of the pickle protocol.

    Args:
        allowed: globals that the pickle may name.
        load_storage: returns the memory of a tensor from its persistent id, a tuple.
    """

    def __init__(self, allowed: Globals, load_storage: Callable[[tuple], Any]):
        self.allowed = allowed
        self.load_storage = load_storage
        self.stack: List[Any] = []
        self.below: List[List[Any]] = []  # stacks below the open marks
        self.memo: Dict[int, Any] = {}

    def push(self, value: Any) -> None:
        """Pushes a value."""
        self.stack.append(value)

    def mark(self, _: None) -> None:
        """Sets a mark: following values are pushed above it."""
        self.below.append(self.stack)
        self.stack = []

    def pop_marked(self) -> List[Any]:
        """Removes the last mark and the values above it; returns the values."""
        marked, self.stack = self.stack, self.below.pop()
        return marked

    def push_tuple(self, _: None) -> None:
        """Replaces the values above the last mark by a tuple of them."""
        marked = self.pop_marked()
        self.push(tuple(marked))

    def push_small_tuple(self, size: int) -> None:
        """Replaces the last `size` values by a tuple of them."""
        if len(self.stack) < size:
            raise InvalidPickle("its pickle has a tuple with missing values")
        values = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.push(values)

    def push_global(self, names: str) -> None:
        """Pushes a global from "module name", if it is allowed."""
        module, name = names.split(" ", 1)
        full_name = f"{MODULES_OF_PYTHON_2.get(module, module)}.{name}"
        if full_name not in self.allowed:
            raise ForbiddenGlobal(full_name)
        self.push(self.allowed.constants.get(full_name, Global(full_name)))

    def put(self, index: int) -> None:
        """Stores the last value in the memo."""
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        """Pushes a value of the memo."""
        self.push(self.memo[index])

    def append(self, _: None) -> None:
        """Appends the last value to the list below it."""
        value = self.stack.pop()
        self.extend_list([value])

    def appends(self, _: None) -> None:
        """Appends the values above the last mark to the list below it."""
        self.extend_list(self.pop_marked())

    def extend_list(self, values: List[Any]) -> None:
        """Appends values to the list at the top of the stack."""
        if type(self.stack[-1]) is not list:
            raise InvalidPickle(f"its pickle appends to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(values)

    def set_item(self, _: None) -> None:
        """Sets one item of the dict below the last key and value."""
        value, key = self.stack.pop(), self.stack.pop()
        self.update_dict([key, value])

    def set_items(self, _: None) -> None:
        """Sets items of the dict below the last mark."""
        self.update_dict(self.pop_marked())

    def update_dict(self, keys_and_values: List[Any]) -> None:
        """Sets items of the dict at the top of the stack, from alternating keys and values."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(keys_and_values) % 2:
            raise InvalidPickle(f"its pickle sets items of a {type(target).__name__}")
        for key, value in zip(keys_and_values[::2], keys_and_values[1::2]):
            check_key(key)
            target[key] = value

    def reduce(self, _: None) -> None:
        """Calls an allowed function with the tuple of arguments above it, and pushes the result."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or function.name not in self.allowed.functions:
            raise InvalidPickle("its pickle calls an object that is not a function")
        if type(arguments) is not tuple:
            raise InvalidPickle(f"its pickle calls {function.name} without a tuple of arguments")
        try:
            self.push(self.allowed.functions[function.name](*arguments))
        except TypeError as error:
            raise InvalidPickle(f"it calls {function.name} with wrong arguments") from error

    def new_object(self, _: None) -> None:
        """Makes an object of an allowed class, without arguments."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, Global) or name.name not in self.allowed.classes or arguments != ():
            raise InvalidPickle("its pickle makes an object from something that is not a class, or with arguments")
        kind: Any = self.allowed.classes[name.name]
        self.push(kind.__new__(kind))

    def build(self, _: None) -> None:
        """Sets the state of the object below it by the function for the type of the object."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) not in self.allowed.states:
            raise InvalidPickle(f"its pickle sets the state of a {type(target).__name__}")
        self.allowed.states[type(target)](target, state)

    def push_storage(self, _: None) -> None:
        """Replaces a persistent id by the memory of a tensor."""
        identity = self.stack.pop()
        if type(identity) is not tuple:
            raise InvalidPickle("its pickle has a reference that is not to the memory of a tensor")
        self.push(self.load_storage(identity))

    def stop(self, _: None) -> None:
        """Checks that the stack contains only the result."""
        if self.below or len(self.stack) != 1:
            raise InvalidPickle("its pickle ends too early")


MODULES_OF_PYTHON_2 = {"__builtin__": "builtins"}

OPERATIONS: Dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE"), Machine.push),
    "MARK": Machine.mark,
    "TUPLE": Machine.push_tuple,
    "TUPLE1": lambda machine, _: machine.push_small_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_small_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_small_tuple(3),
    "GLOBAL": Machine.push_global,
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object,
    "BUILD": Machine.build,
    "BINPERSID": Machine.push_storage,
    "STOP": Machine.stop,
}


def check_key(key: Any) -> None:
    """Checks a key of a dict or set: hashing a deeply nested tuple would overflow the interpreter's stack.

    Raises:
        InvalidPickle: unless the key is plain, or a tuple of plain values.
    """
    parts = key if type(key) is tuple else (key,)
    if not all(type(part) in PLAIN_KEYS for part in parts):
        raise InvalidPickle(f"its pickle has a {type(key).__name__} as a key")


def check_nesting(value: Any) -> None:
    """Checks the containers in a value: a few bytes of a pickle can refer to 2^100 values.

    Raises:
        InvalidPickle: for containers that contain themselves, are too deep, or refer to too many values.
    """
    measured: Dict[int, Tuple[int, int]] = {}  # by identity, so that shared containers are visited once

    def measure(container: Any, depth: int) -> Tuple[int, int]:
        """Returns the number of values and the number of levels of a container.

        Args:
            container: container, or a value in one.
            depth: number of containers around it.
        """
        contents = contained(container)
        if not contents:
            return 1, 0
        if id(container) not in measured:
            parts = [measure(element, depth + 1) for element in contents] if depth < MAX_DEPTH else [(0, MAX_DEPTH)]
            measured[id(container)] = 1 + sum(values for values, _ in parts), 1 + max(levels for _, levels in parts)
        if measured[id(container)][1] > MAX_DEPTH:
            raise InvalidPickle(f"its containers are more than {MAX_DEPTH} levels deep")
        return measured[id(container)]

    values, _ = measure(value, 0)
    if values > MAX_VALUES:
        raise InvalidPickle(f"it refers to more than {MAX_VALUES:,} values")


def contained(value: Any) -> Tuple[Any, ...]:
    """Returns the values in a container or in the attributes of an object."""
    if isinstance(value, dict):
        return tuple(value.values())
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return tuple(getattr(value, "__dict__", {}).values())
