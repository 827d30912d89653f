"""Named arrays as npz archives. Somebody else may have written what is read; nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from xaibench.disk import MOST, read_member
from xaibench.errors import first_line

if TYPE_CHECKING:
    import numpy as np

_MEMBERS = 32  # a picture has six


def pack(arrays: Mapping[str, np.ndarray | float]) -> bytes:
    """The content of a compressed npz file with these arrays or numbers."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file.

    Sizes that a file declares are checked against its content; it may take 1 GiB of memory at most.

    Raises:
        ValueError: if it is no such file, damaged, larger, or holds objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS or sum(m.file_size for m in members) > MOST:
                raise ValueError("it declares more than a picture has")
            return {m.filename.removesuffix(".npy"): _array(read_member(archive, m)) for m in members}
    except Exception as error:  # a damaged archive can fail in any way
        raise ValueError(first_line(error)) from error


def _array(content: bytes) -> np.ndarray:
    import numpy as np

    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):  # later ones are for headers of structured arrays
        raise ValueError(f"it is of format {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"it holds values of {dtype.kind!r}, which are no numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError("its header does not agree with what it holds")
    values = np.frombuffer(content, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C").copy()
