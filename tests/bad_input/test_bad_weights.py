"""Weights files that are damaged, lie, or are programs, and names of models that are none."""

import json
import math
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from made_up import make_network
from safetensors.torch import save
from torch import nn

from bad_input.judge import answer, folder, within
from bad_input.pictures import damaged
from bad_input.values import anything
from xaibench.errors import UserError
from xaibench.models.model_loader import load_model
from xaibench.models.networks.unet import VesselUNet

STATE = {k: v.contiguous() for k, v in make_network().state_dict().items()}
ARCHITECTURE = make_network().architecture
DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool)


def weights(state: dict[str, torch.Tensor] = STATE, card: Any = None) -> bytes:
    return save(state, metadata={"card": json.dumps({"architecture": ARCHITECTURE} if card is None else card)})


WHOLE = weights()


def lying(header: bytes, length: int, rest: bytes = bytes(100)) -> bytes:
    """A safetensors file of any header, which says any length of itself."""
    return struct.pack("<Q", length % 2**64) + header + rest


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A whole file of a network that is not this one."""
    name = draw(st.sampled_from(sorted(STATE)))
    tensor, other = STATE[name], draw(st.text(min_size=1, max_size=9))
    rest = {k: v for k, v in STATE.items() if k != name}
    changes = {
        "none": STATE,
        "missing": rest,
        "renamed": rest | {other: tensor},
        "extra": STATE | {other: torch.zeros(draw(st.integers(0, 3)))},
        "dtype": STATE | {name: tensor.to(draw(st.sampled_from(DTYPES)))},
        "shape": STATE | {name: torch.zeros(draw(st.lists(st.integers(0, 5), max_size=4)))},
    }
    if tensor.is_floating_point():
        changes |= {str(value): STATE | {name: torch.full_like(tensor, value)} for value in (math.nan, math.inf, -1)}
    return weights(changes[draw(st.sampled_from(sorted(changes)))])


numbers = st.lists(st.one_of(st.integers(-1, 64), st.sampled_from([2**16, 10**9, 2**63, 10**30])), max_size=20)
architectures = st.fixed_dictionaries(
    {},
    optional={
        "channels": st.one_of(st.just(ARCHITECTURE["channels"]), numbers, anything),
        "strides": st.one_of(st.just(ARCHITECTURE["strides"]), numbers, anything),
        "mean": st.one_of(st.just([0.5, 0.3, 0.2]), anything),
        "std": anything,
        "more": anything,
    },
)
cards = st.one_of(anything, st.builds(lambda a: {"architecture": a}, st.one_of(anything, architectures)))
headers = st.one_of(
    anything.map(lambda v: json.dumps(v).encode()),
    st.dictionaries(
        st.text(max_size=5),
        st.fixed_dictionaries(
            {"dtype": st.sampled_from(["F32", "I64", "X"]), "shape": numbers, "data_offsets": numbers}
        ),
        max_size=3,
    ).map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=60),
)
lengths = st.sampled_from([0, 1, 7, 10**8, 10**8 + 1, 2**32, 2**63, 2**64 - 1])
files = st.one_of(
    changed(),
    damaged(st.just(WHOLE)),
    st.builds(lambda card: weights(card=card), cards),
    st.builds(lying, headers, lengths),
    headers.map(lambda h: lying(h, len(h))),
    st.binary(max_size=40),
)


@given(files)
@example(weights(STATE | {"std": torch.zeros(3, 1, 1)}))
@example(weights(card={"architecture": ARCHITECTURE | {"channels": [4, 8, 8, 8, 65535]}}))
@example(save(STATE, metadata={"card": "[" * 100_000}))
@example(weights(card=["architecture"]))
def test_a_weights_file_of_any_content(content: bytes) -> None:
    with folder({"w.safetensors": content}) as place:
        found = answer("weights file", lambda: load_model(place / "w.safetensors"))
        if not isinstance(found, UserError):
            assert isinstance(found, VesselUNet) and isinstance(found.card, dict)
            assert all(torch.isfinite(t).all() for t in found.state_dict().values())
            with torch.no_grad():
                assert found(torch.rand(1, 3, 9, 11)).shape == (1, 1, 9, 11)


def test_a_network_too_large_to_be_there_takes_no_memory() -> None:
    card = {"architecture": {"channels": [4, 8, 8, 60000, 60000], "strides": ARCHITECTURE["strides"]}}
    with folder({"w.safetensors": weights(card=card)}) as place, within(100):
        assert isinstance(answer("weights file", lambda: load_model(place / "w.safetensors")), UserError)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("ending", ["safetensors", "pt", "pth", "ckpt", "bin", "pkl", "", "npz"])
@pytest.mark.parametrize("how", ["pickle", "torch", "torch of old"])
def test_a_program_is_refused_and_never_run(ending: str, how: str) -> None:
    with folder() as place:
        path, mark = place / f"w.{ending}", place.parent / "ran"
        if how == "pickle":
            path.write_bytes(pickle.dumps(Trap(mark)))
        else:
            torch.save({"state": Trap(mark)}, path, _use_new_zipfile_serialization=how == "torch")
        for name in (path, str(path)):
            assert isinstance(answer("weights file: programs", lambda name=name: load_model(name)), UserError)
        assert not mark.exists()
        with path.open("rb") as file:  # so that the trap is one
            if how == "pickle":
                pickle.load(file)
            else:
                torch.load(file, weights_only=False)
        assert mark.exists()
        mark.unlink()


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_ends.py").write_text("import sys\nsys.exit(0)")
    (tmp_path / "bad_speaks.py").write_text("raise ValueError('one\\n\\x1b[2Jtwo\\n')")
    (tmp_path / "bad_made.py").write_text(
        "import sys\ndef ends(): sys.exit(0)\ndef lines(): raise RuntimeError('a\\nb')\nnothing = None\n"
        "class Deep:\n    def __call__(self): return self()\ndeep = Deep()"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    "name",
    ["bad_ends:x", "bad_speaks:x", "bad_made:ends", "bad_made:lines", "bad_made:nothing", "bad_made:deep", "bad_made:"],
)
def test_a_module_that_ends_the_program_or_speaks_in_lines(name: str) -> None:
    assert isinstance(answer("model names", lambda: load_model(name)), UserError)


# No name of a module that is there: what a user names is imported, which runs it. That is what naming it is for.
COLONS = ": :: .:x ..a:b xaibench.errors: xaibench.errors:UserError xaibench:\udcff \udcff:x"
PLACES = "~nobody/w.safetensors /dev/zero / unet-phantom[x=1]"
names = st.one_of(
    st.text(max_size=30).map("no_module_{}".format),
    st.builds("no_module_{}:{}".format, st.text(max_size=9), st.text(max_size=9)),
    st.text(max_size=12).map("xaibench.errors:{}".format),
    st.sampled_from([*f"{COLONS} {PLACES}".split(), "", "\0", "\0:\0", "a\n.safetensors", "x" * 5000]),
)


@given(names)
def test_a_model_by_any_words(name: str) -> None:
    found = answer("model names", lambda: load_model(name))
    assert isinstance(found, UserError | nn.Module)
