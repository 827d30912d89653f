"""Names of methods, metrics and data sets, numbers of the command line, and environment variables: any text at all."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_up import draw_eye, make_network, target_on

from bad_input.judge import answer
from xaibench import registry
from xaibench.cli.main import COMMANDS
from xaibench.cli.parser import SEED, Parser, number, specs
from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.data.datasets.drive import drive
from xaibench.data.datasets.local_copy import copy_place, find_copy
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.parameter_checks import at_least
from xaibench.registry import Spec, parse
from xaibench.running.devices import chosen_device
from xaibench.running.sandbox.memory import allowed_mb
from xaibench.scorer import Scorer

METHODS, MEASURES, SETS = (registry.names(kind) for kind in ("explainer", "metric", "dataset"))
KEYS = sorted({key for kind in ("explainer", "metric") for p in registry.available(kind)[0] for key in p.parameters})
PLAIN = "-1 0 1 1e9 1e999 -1e999 nan inf True None 0x10 1_0 １２ 1j 3.0"
NUMBERS = (*PLAIN.split(), "9" * 30, "9" * 5000, "1" + "0" * 400)
SIGNS = "[ ] 'x' {} a=b \x1b[2J \udcff last lambda:0 __import__('os').system('false')"
ODD = (*SIGNS.split(), "", " ", "\xa0", "(" * 200, "-" * 50_000 + "1", "[" * 5000)
PLACES = "~no-such-user/x ~no-such-user ~ / . .. /dev/zero /dev/null /proc/self/mem /nowhere \udcff"
PATHS = (*PLACES.split(), "\n", "x" * 5000, "a/" * 3000)
values = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(ODD), st.text(max_size=12), st.integers().map(str), st.floats().map(str)
)


OWN = {p.name: sorted(p.parameters) for kind in registry.KINDS for p in registry.available(kind)[0]}


@st.composite
def expressions(draw: st.DrawFn, names: list[str], keys: list[str]) -> str:
    """Nearly ``name[key=value,…]``, and now and then just that."""
    name = draw(st.one_of(st.sampled_from(names), st.sampled_from(names), st.text(max_size=9)))
    own = OWN.get(name, [])
    if own and draw(st.booleans()):
        key = draw(st.sampled_from(own))
        return f"{name}[{key}={draw(st.one_of(values, st.sampled_from(['0.5', '16', '300', 'mean', 'last'])))}]"
    parts = draw(st.lists(st.tuples(st.one_of(st.sampled_from(keys), st.text(max_size=4)), values), max_size=3))
    inner = draw(st.sampled_from([",", ",,", ";"])).join(
        f"{k}{draw(st.sampled_from(['=', '=', '=', '==', '', ' = ']))}{v}" for k, v in parts
    )
    opening, closing = draw(
        st.sampled_from([("[", "]"), ("[", "]"), ("[", ""), ("", "]"), ("[[", "]]"), ("(", ")"), ("[", "]x")])
    )
    return f"{name}{opening}{inner}{closing}"


@given(st.one_of(expressions(METHODS, KEYS), expressions(MEASURES, KEYS), st.text(max_size=60)))
@example("occlusion[patch=16,patch=32]")
@example("smoothgrad[noise=1e999]")
@example("smoothgrad[noise=1" + "0" * 150 + "]")
@example("occlusion[patch=" + "9" * 30 + "]")
@example("occlusion[patch=" + "-" * 199 + "1]")
@example("gradcam[layer=a\xa0b]")
@example("srg[fill=mean,fill=blur]")
@example("srg[steps=1e999]")
def test_a_method_or_metric_of_any_text(text: str) -> None:
    """What is parsed can be kept, and computed with."""
    for reader, kind in (("method strings", "explainer"), ("metric strings", "metric")):
        found = answer(reader, lambda kind=kind: parse(kind, text))
        if isinstance(found, Spec):
            assert str(parse(kind, str(found))) == str(found) and str(found).isprintable()
            for value in dict(found.given).values():
                assert isinstance(value, str | int | float | bool | None)
                assert not isinstance(value, int | float) or (math.isfinite(value) and abs(value) < 2**64)


@given(
    st.one_of(
        expressions(SETS, ["size", "root"]),
        st.text(max_size=40),
        st.sampled_from(["phantom", *(f"phantom[size={size}]" for size in (128, 8192, 0, 100000, -1))]),
        st.sampled_from(["drive[root=\0]", "drive[root=~no-such-user]", "./\0", *PATHS]),
    ),
    st.sampled_from(["test", "test", "train", "", "\0", "x" * 99]),
    st.sampled_from([None, 1, 3, 0, -1, 10**30]),
)
@example("phantom[size=100000]", "test", None)
def test_a_data_set_of_any_text(data: str, split: str, count: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaibench.data.io.source._MOST_ENTRIES", 2000)  # a whole disk is told sooner
        found = answer("data set strings", lambda: load_cases(data, split=split, count=count))
    assert isinstance(found, UserError) or (isinstance(found, Cases) and len(found))


# -------------------------------------------------------------------------------------------------- numbers, options


def option(convert: Callable[[str], Any], text: str) -> Any:
    """The value of a command-line option with that text."""
    parser = Parser("xaibench x", "")
    parser.add_argument("--n", type=convert)
    return parser.parse([f"--n={text}"]).n


@given(values, st.sampled_from([int, float]), st.sampled_from([(-math.inf, math.inf), (0, math.inf), (1, 10), (0, 1)]))
@example("1" + "0" * 400, int, (0, math.inf))
def test_a_number_of_any_text(text: str, kind: type, bounds: tuple[float, float]) -> None:
    found = answer("numbers of the command line", lambda: option(number(kind, *bounds), text))
    assert isinstance(found, UserError) or (type(found) is kind and bounds[0] <= found <= bounds[1])


@given(st.one_of(values, expressions(METHODS, KEYS)))
def test_a_list_of_plugins_of_any_text(text: str) -> None:
    found = answer("lists of plugins", lambda: option(specs, text))
    assert isinstance(found, UserError) or (all(found) and isinstance(found, list))


VALUES = "-- - x -1 1e9 --cases=-1 --format=x --threshold=nan"
OPTIONS = "--cases --seed --device --target --data --method --out --size --count --force --json -q"
words = st.one_of(
    st.sampled_from([*OPTIONS.split(), *VALUES.split()]),
    st.text(max_size=10).map(lambda t: f"--{t}"),
    values,
)


@given(st.sampled_from(sorted(COMMANDS)), st.lists(words, max_size=6))
def test_options_of_any_text(command: str, argv: list[str]) -> None:
    if {"-h", "--help"} & set(argv):
        return
    parser = Parser(f"xaibench {command}", "")
    COMMANDS[command].configure(parser)
    answer("options", lambda: parser.parse(argv))


DEVICES = "cuda:99 cuda:-1 cuda:99999999999999999999 cuda cpu:7 meta mps xla privateuseone CPU cuda:x \0 \udcff"


@given(st.text(max_size=12) | st.sampled_from(["", *DEVICES.split()]))
def test_a_device_of_any_text(text: str) -> None:
    found = answer("devices", lambda: chosen_device(text))
    assert isinstance(found, UserError) or found.startswith(("cpu", "cuda"))


environment = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(environment | st.sampled_from(PATHS))
def test_a_place_of_drive_of_any_text(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAIBENCH_DRIVE", text)
        patch.setattr("xaibench.data.io.source._MOST_ENTRIES", 2000)  # a whole disk is told sooner
        answer("XAIBENCH_DRIVE: copy_place", lambda: copy_place(drive.traits))
        assert answer("XAIBENCH_DRIVE: find_copy", lambda: find_copy(drive.traits)) is None
        assert isinstance(answer("XAIBENCH_DRIVE: drive", lambda: load_cases("drive")), UserError)


@given(st.one_of(values.filter(lambda v: "\0" not in v), environment))
def test_an_allowance_of_memory_of_any_text(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAIBENCH_MEMORY", text)
        found = answer("XAIBENCH_MEMORY", allowed_mb)
        assert isinstance(found, UserError) or found > 0


@given(values)
def test_a_seed_of_any_text(text: str) -> None:
    found = answer("seeds", lambda: option(SEED, text))
    assert isinstance(found, UserError) or 0 <= found < 2**63


# ------------------------------------------------------------------------------- what lets itself be written, is run

EYE, NETWORK = draw_eye(), make_network()
LOW = [
    f"{name}[{key}={value}]"
    for name in METHODS
    for key, default in registry.get("explainer", name).parameters.items()
    if isinstance(default, int | float) and not isinstance(default, bool)
    for value in (-1, 0)
]


@pytest.mark.parametrize("text", LOW)
def test_a_count_or_size_that_makes_no_sense_is_refused_or_bears_a_map(text: str) -> None:
    scorer = Scorer(NETWORK, target_on(EYE))
    found = answer("parameters of methods", lambda: explain(scorer, EYE.image, method=text, case=EYE), Skipped)
    if not isinstance(found, Exception):
        assert found.shape == EYE.fov.shape


def test_a_bound_says_the_name() -> None:
    with pytest.raises(UserError, match="patch=0"):
        at_least(1, "patch", 0)
