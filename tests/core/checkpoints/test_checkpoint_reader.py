"""Tests the checkpoint reader: it executes nothing and reports damage in one line.

Expected messages are written by hand; sound values come from torch.load.
"""

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import torch

from fairseq_gnmt.patches.checkpoint_reading import BROADCAST
from gnmt.checkpoints.nvidia_checkpoint import NVIDIA
from gnmt.checkpoints.reader import TRAINING, read
from gnmt.errors import UserError

STORAGES = {f"torch.{kind}Storage" for kind in "Double Float Half BFloat16 Long Int Short Char Byte Bool".split()}
FUNCTIONS = {
    "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "builtins.set",
    "builtins.bytes", "_codecs.encode", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
}  # fmt: skip


class Call:
    """An object whose pickle calls a function with the given arguments, and optionally sets a state."""

    def __init__(self, function: Callable, *arguments: Any, state: Any = None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def save(value: Any, path: Path, old_format: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not old_format)
    return path


def save_pickle(pickled: bytes, path: Path) -> Path:
    """Writes an archive in the format of torch.save with the given pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    return path


def messages_of(paths: List[Path]) -> List[str]:
    """Reads each file in a child process, which isolates crashes. Returns the error messages, or "read"."""
    program = """if True:
        import json, sys
        from gnmt.checkpoints.reader import read
        from gnmt.errors import UserError
        for path in json.load(sys.stdin):
            try:
                read(path)
                print(json.dumps("read"))
            except UserError as error:
                print(json.dumps(str(error)))
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(list(map(str, paths))),
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, f"the reader ended with {done.returncode} after {done.stdout}: {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- functions that a file can name


def test_the_list_of_globals_is_closed():
    assert set(TRAINING.constants) == STORAGES | {"numpy.ndarray"}
    assert set(TRAINING.functions) == FUNCTIONS
    assert TRAINING.classes == {"argparse.Namespace": argparse.Namespace}
    assert set(NVIDIA.constants) - set(TRAINING.constants) == {"builtins.long"}
    assert set(NVIDIA.functions) - FUNCTIONS == {"functools.partial", "collections.defaultdict"}
    assert set(NVIDIA.classes) - set(TRAINING.classes) == {"subword_nmt.apply_bpe.BPE"}
    types = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
    assert set(BROADCAST.constants) - set(TRAINING.constants) == {f"torch.{name}" for name in types}
    assert set(BROADCAST.functions) - FUNCTIONS == {"torch.Size", "torch.device"}
    assert set(BROADCAST.classes) - set(TRAINING.classes) == {"fairseq.distributed.utils._TensorPlaceholder"}


@pytest.mark.parametrize("allowed", [TRAINING, NVIDIA, BROADCAST])
def test_allowed_functions_belong_to_this_project(allowed):
    prefixes = ("gnmt.checkpoints.", "fairseq_gnmt.")
    assert all(function.__module__.startswith(prefixes) for function in allowed.functions.values())
    assert not any(callable(constant) for constant in allowed.constants.values())


def test_safe_globals_of_torch_are_not_extended():
    packages = {function.__module__.split(".")[0] for function in torch.serialization.get_safe_globals()}
    assert packages <= {"torch"}  # torch adds functions itself when some of its modules are imported


@pytest.mark.end_to_end
def test_calls_are_refused(tmp_path):
    """With torch.load or an unpickler, each call would execute code or create an object at a chosen address."""
    sprung = tmp_path / "sprung"
    code = f"open({str(sprung)!r}, 'w')"
    rebuild = torch._tensor._rebuild_from_type_v2
    calls = {
        "posix.system": Call(os.system, f"touch {sprung}"),
        "io.open": Call(open, str(sprung), "w"),
        "builtins.eval": Call(eval, code),
        "builtins.exec": Call(exec, code),
        "builtins.getattr": Call(getattr, "", "join"),
        "builtins.__import__": Call(__import__, "os"),
        "numpy.ndarray": Call(np.ndarray, (1,), "O", b"AAAAAAAA"),
        "numpy.dtype": Call(np.dtype, "O"),
        "numpy.frombuffer": Call(np.frombuffer, b"AAAAAAAA", "O"),
        "torch._tensor._rebuild_from_type_v2": Call(rebuild, np.ndarray, np.ndarray, ((1,), "O", b"AAAAAAAA"), {}),
        "torch._utils._rebuild_device_tensor_from_numpy": Call(
            torch._utils._rebuild_device_tensor_from_numpy, None, torch.float32, "cpu", False
        ),
        "torch._utils._rebuild_sparse_tensor": torch.eye(2).to_sparse(),
        "torch._utils._rebuild_qtensor": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
        "torch._utils._rebuild_wrapper_subclass": Call(torch._utils._rebuild_wrapper_subclass, torch.Tensor),
        "torch.serialization._get_layout": Call(torch.serialization._get_layout, "torch.strided"),
        "torch.load": Call(torch.load, str(sprung)),
        "torch.Tensor": Call(torch.Tensor, 10**12),
        "builtins.bytearray": Call(bytearray, 10**12),
        "collections.Counter": Call(Counter, "abc"),
        "collections.defaultdict": Call(defaultdict, list),
        "functools.partial": Call(__import__("functools").partial, print),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", str(sprung)]),
        "pickle.loads": Call(pickle.loads, b""),
    }
    paths = [save({"model": call}, tmp_path / f"{name}.pt") for name, call in calls.items()]
    paths += [save({"model": call}, tmp_path / f"{name}.old.pt", old_format=True) for name, call in calls.items()]
    for path, message in zip(paths, messages_of(paths)):
        name = path.name.removesuffix(".pt").removesuffix(".old")
        if name == "numpy.dtype":
            assert (
                "is not a valid checkpoint (it has numbers of numpy that are not plain integers or floats)" in message
            )
        elif name == "numpy.ndarray":
            assert "is not a valid checkpoint (its pickle calls an object that is not a function)" in message
        else:
            assert " would run " in message and name.split(".")[-1] in message and "it was not read" in message
    assert not sprung.exists()


# -- allowed functions with forged arguments


def numbers() -> Any:
    return torch.arange(6.0)._typed_storage()


def tensor(*, storage=None, offset=0, size=(2, 3), stride=(3, 1), gradient=False, hooks=None, **more) -> Call:
    storage = numbers() if storage is None else storage
    hooks = OrderedDict() if hooks is None else hooks
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, gradient, hooks, *more.values())


SCALAR, RECONSTRUCT = np.float64(1).__reduce__()[0], np.zeros(1).__reduce__()[0]
LAYOUT = (3, "<", None, None, None, -1, -1, 0)


def array(shape=(2,), code="f8", order=False, content=bytes(16), version=1) -> Call:
    return Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(version, shape, np.dtype(code), order, content))


FORGED = {
    "too large": tensor(size=(7,), stride=(1,)),
    "beyond its memory": tensor(offset=1),
    "far beyond its memory": tensor(offset=2**62),
    "before its memory": tensor(offset=-1),
    "a negative size": tensor(size=(-2, 3)),
    "a negative stride": tensor(stride=(-3, 1)),
    "a stride beyond its memory": tensor(stride=(2**62, 1)),
    "more numbers than its memory": tensor(size=(10**9, 3), stride=(0, 1)),
    "an absurd empty size": tensor(size=(0, 2**63), stride=(1, 1)),
    "sizes that are no numbers": tensor(size=(2.0, 3)),
    "sizes that are bool": tensor(size=(True, 3)),
    "sizes in a list": tensor(size=[2, 3]),
    "sizes without strides": tensor(stride=()),
    "many dimensions": tensor(size=(1,) * 65, stride=(1,) * 65),
    "an offset that is a text": tensor(offset="0"),
    "memory that is a text": tensor(storage="numbers"),
    "memory that is a tensor": tensor(storage=torch.ones(6)),
    "hooks": tensor(hooks={1: "call me"}),
    "metadata": tensor(metadata={"conj": True}),
    "a gradient of text": tensor(gradient="yes"),
    "a tensor of nothing": Call(torch._utils._rebuild_tensor_v2),
    "a tensor that is given a state": Call(
        torch._utils._rebuild_tensor_v2,
        numbers(),
        0,
        (2, 3),
        (3, 1),
        False,
        OrderedDict(),
        state=(numbers(), 0, (9,), (9,)),
    ),
    "a parameter of text": Call(torch._utils._rebuild_parameter, "data", True, OrderedDict()),
    "a parameter of integers": Call(
        torch._utils._rebuild_parameter, torch.ones(2, dtype=torch.int64), True, OrderedDict()
    ),
    "a dict of something": Call(OrderedDict, [("a", 1)]),
    "a set of a text": Call(set, "abc"),
    "a set of lists": Call(set, [[1]]),
    "bytes of another encoding": Call(__import__("_codecs").encode, "abc", "rot13"),
    "bytes of a number": Call(bytes, 10**12),
    "a number of an object": Call(SCALAR, np.dtype("O"), bytes(8)),
    "a number of a record": Call(SCALAR, np.dtype([("a", "f8")]), bytes(8)),
    "a number of text": Call(SCALAR, np.dtype("U2"), bytes(8)),
    "a number of too few bytes": Call(SCALAR, np.dtype("f8"), bytes(7)),
    "a number without a type": Call(SCALAR, "f8", bytes(8)),
    "a type in another order": np.dtype(">f8"),
    "a type with flags": Call(np.dtype, "f8", False, True, state=(*LAYOUT[:-1], 63)),
    "a type with fields": Call(np.dtype, "f8", False, True, state=(3, "<", None, ("a",), {"a": 1}, -1, -1, 0)),
    "a type with a short state": Call(np.dtype, "f8", False, True, state=LAYOUT[:-1]),
    "an array of objects": array(code="O"),
    "an array larger than its content": array(shape=(3,)),
    "an array of an absurd shape": array(shape=(2**62, 2**62)),
    "an empty array of an absurd shape": array(shape=(0, 2**62), content=b""),
    "an array of a negative shape": array(shape=(-1,)),
    "an array of a list": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), np.dtype("f8"), False, [1])),
    "an array of another class": Call(RECONSTRUCT, argparse.Namespace, (0,), b"b"),
    "an array that begins as objects": Call(RECONSTRUCT, np.ndarray, (1,), b"O"),
    "options with a class": Call(argparse.Namespace, state={"__class__": 1}),
}


@pytest.mark.end_to_end
def test_forged_arguments_give_a_message_and_never_a_crash(tmp_path):
    paths = [save({"model": call}, tmp_path / f"{name}.pt") for name, call in FORGED.items()]
    for path, message in zip(paths, messages_of(paths)):
        assert message.startswith(f"{path} is not a valid checkpoint (it"), f"{path.stem}: {message}"


def test_valid_arguments_are_read(tmp_path):
    sound = {
        "tensor": tensor(),
        "array": array(),
        "transposed": tensor(size=(3, 2), stride=(1, 3)),
        "scalar": tensor(size=(), stride=()),
    }
    checkpoint = read(save(sound, tmp_path / "sound.pt"))
    assert checkpoint["tensor"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert checkpoint["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert checkpoint["array"].tolist() == [0, 0] and checkpoint["scalar"].tolist() == 0


@pytest.mark.end_to_end
def test_pickles_beyond_protocol_2_and_memory_bombs_are_refused(tmp_path):
    nested = b"\x80\x02]" + b"]" * 200_000 + b"a" * 200_000 + b"."
    doubled = []
    for _ in range(90):
        doubled = (doubled, doubled)
    bombs = {
        "uses FRAME": pickle.dumps(Call(os.system, "true"), protocol=4),
        "uses INST": b"(ios\nsystem\n.",
        "100 levels deep": nested,
        "refers to more than": pickle.dumps(doubled, protocol=2),
        "a key": pickle.dumps({((1,),): 2}, protocol=2),
        "appends to a dict": b"\x80\x02}K\x01a.",
        "sets items of a list": b"\x80\x02]K\x01K\x02s.",
        "calls an object that is not a function": b"\x80\x02K\x01)R.",
        "makes an object from something that is not a class": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        "sets the state of a Global": b"\x80\x02ccollections\nOrderedDict\n}b.",
        "sets the state of a dict": b"\x80\x02}}b.",
        "ends too early": b"\x80\x02K\x01K\x02.",
        "memory of a tensor": b"\x80\x02X\x04\x00\x00\x00fileQ.",
        "its containers": b"\x80\x02]q\x00h\x00a.",
    }
    paths = [save_pickle(pickled, tmp_path / f"{number}.pt") for number, pickled in enumerate(bombs.values())]
    for words, message in zip(bombs, messages_of(paths)):
        assert "is not a valid checkpoint (" in message and words in message, message


# -- content of checkpoints


def is_identical(first: Any, second: Any) -> bool:
    """Returns True if two values are equal in value and type, bit for bit."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and first.shape == second.shape and first.equal(second)
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()
    if isinstance(first, dict):
        return list(first) == list(second) and all(is_identical(value, second[name]) for name, value in first.items())
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(is_identical, first, second))
    if isinstance(first, argparse.Namespace):
        return is_identical(vars(first), vars(second))
    return first == second


@pytest.fixture
def small() -> Dict[str, Any]:
    """Returns a checkpoint of a few kilobytes with all entries that fairseq stores."""
    torch.manual_seed(1)
    shared = torch.randn(5, 4)
    linear = torch.nn.Linear(4, 3).half()
    return {
        "args": None,
        "cfg": {"_name": None, "model": argparse.Namespace(arch="lstm", sizes=[1, 2]), "task": {"data": "bin", "ß": "ü"}},
        "model": OrderedDict(a=shared, b=shared, c=shared[1:3], d=shared.t(), **linear.state_dict()),
        "optimizer_history": [{"num_updates": 2**40, "lr_scheduler_state": {"best": 1.5}}],
        "extra_state": {
            "metrics": OrderedDict(default=[(10, "loss", "AverageMeter", {"sum": torch.tensor(3.0), "count": 7})]),
            "flags": {True, 3},
            "bytes": b"\x00\xff",
            "none": b"",
        },
        "integers": [torch.ones(3).to(kind) for kind in (torch.int8, torch.uint8, torch.int64, torch.bool)],
        "last_optimizer_state": {"state": {0: {"step": 1, "exp_avg": torch.zeros(0)}}, "param_groups": [{"betas": (0.9, 0.999)}]},
    }  # fmt: skip


@pytest.mark.parametrize("old_format", [False, True])
def test_checkpoints_are_read_back_unchanged(small, old_format, tmp_path):
    checkpoint = read(save(small, tmp_path / "small.pt", old_format))
    assert is_identical(checkpoint, small)
    assert (
        checkpoint["model"]["a"].data_ptr()
        == checkpoint["model"]["b"].data_ptr()
        == checkpoint["model"]["d"].data_ptr()
    )
    assert type(checkpoint["model"]) is OrderedDict


@pytest.mark.parametrize("kind", "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split())
def test_every_dtype_is_read(kind, tmp_path):
    value = (100 * torch.randn(4, 3)).to(getattr(torch, kind))
    assert is_identical(read(save(value, tmp_path / "tensor.pt")), value)
    structure = read(tmp_path / "tensor.pt", with_weights=False)
    assert structure.device.type == "meta" and structure.dtype == value.dtype and structure.shape == value.shape


def test_parameters_keep_their_gradient(tmp_path):
    parameters = read(
        save([torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), False)], tmp_path / "p.pt")
    )
    assert [type(parameter) for parameter in parameters] == [torch.nn.Parameter] * 2 and [
        parameter.requires_grad for parameter in parameters
    ] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    "kind", "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bool".split()
)
def test_numpy_scalars_are_read(kind, tmp_path):
    """Meters of fairseq's own --eval-bleu contain numpy scalars."""
    array = np.array([[0, 1, 2], [100, 5, 6]]).astype(kind)
    checkpoint = read(
        save({"number": array[1, 0], "array": array, "by columns": np.asfortranarray(array)}, tmp_path / "n.pt")
    )
    assert checkpoint["number"] == array[1, 0].item() and type(checkpoint["number"]) is type(array[1, 0].item())
    assert is_identical(checkpoint["array"], array) and is_identical(checkpoint["by columns"], np.asfortranarray(array))


# -- damage


@pytest.mark.parametrize("seed", range(4))
def test_every_flipped_bit_is_detected_or_has_no_effect(small, seed, tmp_path):
    """Covers all bytes; a flipped bit in the tables of the archive either makes it unreadable or has no effect."""
    path = save(small, tmp_path / "small.pt")
    whole, choose = path.read_bytes(), random.Random(seed)
    detected = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        try:
            assert is_identical(read(path), small)
        except UserError as error:
            assert str(error).startswith(f"{path} is not a valid checkpoint") or "would run" in str(error)
            detected += 1
    assert detected > 20  # in such a small file, most bytes are padding between records


def test_every_flipped_bit_of_a_record_is_detected(small, tmp_path):
    path = save(small, tmp_path / "small.pt")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        records = [(info.header_offset, info.filename, archive.read(info)) for info in archive.infolist()]
    for offset, name, content in records:
        if not content:
            continue
        place = whole.index(content, offset)
        for index in {0, len(content) // 2, len(content) - 1}:
            damaged = bytearray(whole)
            damaged[place + index] ^= 64
            path.write_bytes(damaged)
            with pytest.raises(UserError, match="is not a valid checkpoint"):
                read(path)
                pytest.fail(f"a flipped bit of {name} was not detected")


@pytest.mark.parametrize("old_format", [False, True])
def test_truncated_files_are_refused(small, old_format, tmp_path):
    path = save(small, tmp_path / "small.pt", old_format)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="is not a valid checkpoint"):
            read(path)


def test_flipped_bits_of_the_old_format_never_crash(small, tmp_path):
    """The old format has no checksums, so changed values cannot be detected."""
    path = save(small, tmp_path / "small.pt", old_format=True)
    whole, choose = path.read_bytes(), random.Random(5)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        try:
            read(path)
        except UserError as error:
            assert "Traceback" not in str(error)


def test_compressed_archives_are_refused(tmp_path):
    """A small compressed archive can expand to fill a disk."""
    path = save({"model": torch.zeros(10**6)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for info in archive.infolist():
            bomb.writestr(info.filename, archive.read(info))
    with pytest.raises(UserError, match="is compressed"):
        read(tmp_path / "bomb.pt")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("no checkpoint")
    os.mkfifo(tmp_path / "pipe.pt")
    for name, words in (
        ("none.pt", "is missing"),
        (".", "not a regular file"),
        ("pipe.pt", "not a regular file"),
        ("text.pt", "is not a valid checkpoint"),
    ):
        with pytest.raises(UserError, match=words):
            read(tmp_path / name)
