"""Files of torch.save: zip archives since torch 1.6, before that a sequence of pickles and raw memory.

Each record of an archive is read once and its CRC-32 is checked, which torch.load does not do. The old format has no
checksums. Tensor memory is read directly into tensors.
"""

import os
import struct
import zipfile
from typing import IO, Any, BinaryIO, Dict

import torch

from gnmt.checkpoints.pickles import Globals, InvalidPickle, unpickle
from gnmt.checkpoints.tensors import Storage, StorageId, storage_id

CHUNK = 1 << 20  # bytes
ZIP_MARK = b"PK\x03\x04"
MAGIC_NUMBER, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the old format
SIZE = struct.Struct("<q")  # elements, before the memory of each tensor in the old format
NO_GLOBALS = Globals({}, {}, {}, {})


def load(file: BinaryIO, allowed: Globals, with_memory: bool = True) -> Any:
    """Returns the value that torch.save stored.

    Args:
        file: open file.
        allowed: globals that the file may name.
        with_memory: read the tensors' memory; otherwise tensors are on the meta device.

    Raises:
        ForbiddenGlobal: for a global that is not allowed. A damaged file raises any exception.
    """
    mark = file.read(len(ZIP_MARK))
    file.seek(0)
    if mark == ZIP_MARK:
        return load_archive(file, allowed, with_memory)
    return load_old_format(file, allowed, with_memory)


def load_archive(file: BinaryIO, allowed: Globals, with_memory: bool) -> Any:
    """Returns the value of a file in the current format, a zip archive.

    Args:
        file: open file.
        allowed: globals that the file may name.
        with_memory: read the tensors' memory; otherwise tensors are on the meta device.
    """
    with zipfile.ZipFile(file) as archive:
        records = {info.filename: info for info in archive.infolist()}
        (pickle_name,) = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
        folder = pickle_name.removesuffix("data.pkl")
        check_records(records, size_of(file))
        if folder + "byteorder" in records and archive.read(folder + "byteorder") != b"little":
            raise InvalidPickle("its numbers are not little-endian")
        storages: Dict[str, torch.UntypedStorage] = {}

        def load_storage(identity: tuple) -> Storage:
            expected = storage_id(identity)
            if expected.key not in storages:
                storages[expected.key] = read_storage(archive, f"{folder}data/{expected.key}", with_memory)
            return as_storage(storages[expected.key], expected)

        value = unpickle(archive.read(pickle_name), allowed, load_storage)
        if with_memory:
            read_names = {f"{folder}data/{key}" for key in storages} | {pickle_name}
            for name in records.keys() - read_names:
                read_storage(archive, name, with_memory)  # checks its checksum
        return value


def check_records(records: Dict[str, zipfile.ZipInfo], size: int) -> None:
    """Checks the records of an archive.

    Args:
        records: records by name.
        size: size of the file in bytes.

    Raises:
        InvalidPickle: for compressed records, which torch.save never writes, or records longer than the file.
    """
    for name, record in records.items():
        if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
            raise InvalidPickle(f"its record {name} is compressed")
    if sum(record.file_size for record in records.values()) > size:
        raise InvalidPickle("its records are longer than the file")


def read_storage(archive: zipfile.ZipFile, name: str, with_memory: bool) -> torch.UntypedStorage:
    """Reads a record to its end, where zipfile checks the CRC-32.

    Args:
        archive: open archive.
        name: name of the record.
        with_memory: return the content; otherwise only check it.
    """
    size = archive.getinfo(name).file_size
    if not with_memory:
        return torch.UntypedStorage(size, device="meta")
    memory = torch.UntypedStorage(size)
    with archive.open(name) as record:
        read_into(record, memory)
        if record.read(1):
            raise InvalidPickle(f"its record {name} is longer than its entry in the archive")
    return memory


def as_storage(memory: torch.UntypedStorage, expected: StorageId) -> Storage:
    """Returns memory as a storage of the required type.

    Args:
        memory: content of a record.
        expected: type and size that the pickle describes.

    Raises:
        InvalidPickle: if the size of the memory differs.
    """
    if memory.nbytes() != expected.bytes:
        raise InvalidPickle(f"it has {memory.nbytes()} bytes for {expected.elements} numbers of {expected.dtype}")
    return Storage(expected.dtype, expected.elements, memory)


def load_old_format(file: BinaryIO, allowed: Globals, with_memory: bool) -> Any:
    """Returns the value of a file in the format before torch 1.6.

    Args:
        file: open file.
        allowed: globals that the file may name.
        with_memory: read the tensors' memory; otherwise tensors are on the meta device.
    """
    header = [unpickle(file, NO_GLOBALS, storage_id) for _ in range(2)]
    if header != [MAGIC_NUMBER, PROTOCOL]:
        raise InvalidPickle("it is not a file of torch.save")
    unpickle(file, NO_GLOBALS, storage_id)  # description of the machine that wrote the file
    size = size_of(file)
    ids: Dict[str, StorageId] = {}
    storages: Dict[str, torch.UntypedStorage] = {}

    def load_storage(identity: tuple) -> Storage:
        expected = storage_id(identity)
        if expected.key not in storages:
            ids[expected.key] = expected
            if sum(each.bytes for each in ids.values()) > size:
                raise InvalidPickle("it is truncated")
            storages[expected.key] = torch.UntypedStorage(expected.bytes, device=None if with_memory else "meta")
        return as_storage(storages[expected.key], expected)

    value = unpickle(file, allowed, load_storage)
    keys = unpickle(file, NO_GLOBALS, storage_id)
    if with_memory:
        if sorted(keys) != sorted(storages):
            raise InvalidPickle("its memory does not match its tensors")
        for key in keys:
            if SIZE.unpack(file.read(SIZE.size)) != (ids[key].elements,):
                raise InvalidPickle("it has a tensor with memory of another size")
            read_into(file, storages[key])
    return value


def read_into(file: IO[bytes], memory: torch.UntypedStorage) -> None:
    """Fills memory from a file without a copy."""
    size = memory.nbytes()
    if size == 0:
        return
    target = memoryview(torch.empty(0, dtype=torch.uint8).set_(memory).numpy())
    for start in range(0, size, CHUNK):
        part = target[start : start + CHUNK]
        chunk = file.read(len(part))
        if len(chunk) < len(part):
            raise InvalidPickle("it is truncated")
        part[:] = chunk


def size_of(file: BinaryIO) -> int:
    """Returns the size of a file in bytes; its position is unchanged."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size
