from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from faults import python

from xaibench import explainer, metric, registry
from xaibench.errors import UserError
from xaibench.registry import Plugin, Spec, available, get, names, parse

Register = Callable[..., None]


@explainer("typed", family="cam")
def typed(
    scorer: Any,
    image: Any,
    *,
    rng: np.random.Generator,
    count: int = 3,
    radius: float = 1.5,
    wide: bool = False,
    layer: str = "last",
    limit: int | None = None,
    mixed: float | str = 2.0,
    plain=4,
    free=None,
    any_: Any = 1,
) -> Any:
    """All kinds of parameters."""


@explainer("needy", family="cam")
def needy(scorer: Any, image: Any, *, rng: Any, layer: str) -> Any:
    """It cannot do without."""


@metric("a-metric", family="overlap", better="higher", range=(0, 1))
def a_metric(attribution: Any, case: Any, scorer: Any, *, rng: Any) -> Any:
    """Not an explainer."""


number = 3


@pytest.fixture
def typed_and_needy(register_plugin: Register) -> None:
    for name in ("typed", "needy"):
        register_plugin(name, f"{__name__}:{name}")


def test_the_built_in_names_are_there() -> None:
    assert {"gradcam", "random"} <= set(names("explainer")) and {"srg", "auroc-thin", "passes"} <= set(names("metric"))
    assert {"drive", "phantom"} <= set(names("dataset")) and "unet-phantom" in names("model")
    for kind in registry.KINDS:
        assert names(kind) == sorted(names(kind))
        plugins, broken = available(kind)
        assert [p.name for p in plugins] == names(kind) and broken == {}
        assert all(p.distribution[0] == "xaibench" and p.summary for p in plugins)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("typed", {}),
        ("typed[]", {}),
        ("  typed[ count = 5 ]  ", {"count": 5}),
        ("typed[count=3]", {}),  # the default is the same as nothing given
        ("typed[radius=2]", {"radius": 2.0}),
        ("typed[radius=1e-3,count=-2]", {"count": -2, "radius": 1e-3}),
        ("typed[wide=true]", {"wide": True}),
        ("typed[wide=FALSE]", {}),
        ("typed[layer=decoder-1/2]", {"layer": "decoder-1/2"}),
        ("typed[layer=3]", {"layer": "3"}),
        ("typed[layer=a=b]", {"layer": "a=b"}),
        ("typed[limit=7]", {"limit": 7}),
        ("typed[limit=none]", {}),
        ("typed[mixed=x]", {"mixed": "x"}),
        ("typed[plain=8]", {"plain": 8}),
        ("typed[free=8]", {"free": 8}),
        ("typed[free=abc]", {"free": "abc"}),
        ("typed[any-=x]", {"any_": "x"}),
        ("needy[layer=last]", {"layer": "last"}),
    ],
)
def test_parameters_are_parsed_by_their_types(typed_and_needy: None, text: str, given: dict[str, Any]) -> None:
    spec = parse("explainer", text)
    assert dict(spec.given) == given
    assert [type(v) for _, v in spec.given] == [type(given[k]) for k, _ in spec.given]
    assert spec.parameters == spec.plugin.parameters | given
    assert parse("explainer", str(spec)) == spec  # what is shown can be typed


def test_the_order_in_which_parameters_are_given_does_not_matter(typed_and_needy: None) -> None:
    texts = {str(parse("explainer", t)) for t in ("typed[count=1,radius=2]", "typed[radius=2.0, count=1]")}
    assert texts == {"typed[count=1,radius=2.0]"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("typed[count=2.5]", "typed: count=2.5 is not an int"),
        ("typed[count=many]", "typed: count=many is not an int"),
        ("typed[count=True]", "typed: count=True is not an int"),
        ("typed[wide=1]", "typed: wide=1 is not a bool"),
        ("typed[radius=nan]", "typed: radius=nan is not a float"),
        ("typed[limit=x]", "typed: limit=x is not an int or none"),
        ("typed[plain=x]", "typed: plain=x is not an int"),
        ("typed[size=3]", r"typed has no parameter 'size'\. Its parameters: count, radius, wide"),
        ("typed[rng=3]", "typed has no parameter 'rng'"),
        ("typed[count]", "typed: count has no value"),
        ("random[a=1]", r"random has no parameter 'a'\. Its parameters: none"),
        ("needy", "needy needs a value for layer"),
        ("typed[count=3", "not of the form name"),
        ("typed]", "not of the form name"),
        ("", "not of the form name"),
        ("gradkam", r"no explainer called 'gradkam'\. Did you mean gradcam"),
        ("qqqqqqqq", r"no explainer called 'qqqqqqqq'\. `xaibench list explainers`"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(typed_and_needy: None, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse("explainer", text)


def test_a_third_partys_plugin_is_one_like_any_other(typed_and_needy: None) -> None:
    plugin = get("explainer", "typed")
    assert plugin.distribution == ("other-package", "2.5")
    assert plugin.summary == "All kinds of parameters." and "rng" not in plugin.parameters
    assert "typed" in names("explainer") and plugin in available("explainer")[0]


@pytest.mark.parametrize(
    ("registered", "both"),
    [
        ([("typed", "first-package"), ("typed", "second-package")], "first-package and second-package"),
        ([("gradcam", "usurper")], "usurper and xaibench"),
    ],
)
def test_one_name_of_two_distributions_is_an_error_that_names_both(
    register_plugin: Register, registered: list[tuple[str, str]], both: str
) -> None:
    for name, distribution in registered:
        register_plugin(name, f"{__name__}:typed", distribution)
    with pytest.raises(UserError, match=f"{name!r} is registered by both {both}"):
        parse("explainer", name)
    good, bad = available("explainer")
    assert set(bad) == {name} and "saliency" in [p.name for p in good]


def test_one_distribution_that_is_found_twice_is_no_clash(register_plugin: Register) -> None:
    register_plugin("typed", f"{__name__}:typed", "same-package")
    register_plugin("typed", f"{__name__}:typed", "same-package")
    assert get("explainer", "typed").name == "typed"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "a_module_that_is_not_there:f",
            "'mine' of other-package does not import: ModuleNotFoundError: No module named",
        ),
        (f"{__name__}:nothing", "'mine' of other-package does not import: AttributeError"),
        (f"{__name__}:number", f"The entry point '{__name__}:number' of other-package is no explainer"),
        (f"{__name__}:a_metric", "is no explainer"),
    ],
)
def test_a_plugin_that_fails_is_listed_and_fatal_only_when_asked_for(
    register_plugin: Register, value: str, reason: str
) -> None:
    register_plugin("mine", value)
    assert "mine" in names("explainer")
    good, bad = available("explainer")
    assert reason in bad["mine"] and len(bad) == 1 and len(good) >= 6
    assert parse("explainer", "gradcam").plugin.name == "gradcam"
    with pytest.raises(UserError, match=reason):
        parse("explainer", "mine")


def my_method(scorer: Any, image: Any, *, rng: np.random.Generator, strength: float = 1.0) -> Any:
    """A function of one's own."""
    return image[0] * strength


def test_a_plain_function_is_a_plugin_of_its_own() -> None:
    spec = parse("explainer", my_method)
    assert str(spec) == "my-method" and spec.parameters == {"strength": 1.0}
    assert spec.plugin.family == "local" and spec.plugin.summary == "A function of one's own."
    assert not spec.plugin.traits.sees_labels and not spec.plugin.traits.control
    assert spec.plugin.distribution[0] == "local"
    assert parse("explainer", spec.plugin) == Spec(spec.plugin)


def local_version(function: Callable[..., Any]) -> str:
    return parse("explainer", function).plugin.distribution[1]


def compiled(source: str, file: str = "a.py") -> Callable[..., Any]:
    scope: dict[str, Any] = {"__name__": "of_a_user"}
    exec(compile(source, file, "exec"), scope)
    return scope["f"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return image[0] * 2", "return image[0] * 3"),
        ("return image.sum()", "return image.mean()"),
        ("return (lambda a: a + 1)(image)", "return (lambda a: a + 2)(image)"),
        ("return [x + 1 for x in image]", "return [x - 1 for x in image]"),
        ("return image in {'a', 'b'}", "return image in {'a', 'c'}"),
    ],
)
def test_a_changed_function_has_another_version(before: str, after: str) -> None:
    head = "def f(scorer, image, *, rng):\n    "
    version = local_version(compiled(head + before))
    assert version == local_version(compiled("\n\n\n" + head + before, "moved.py"))  # where it stands says nothing
    assert version != local_version(compiled(head + after))


REACHING = """
import functools, math
import numpy as np
LOG, CACHE = [], {}
STEP, KERNEL, TABLE, UNUSED = 1, np.arange(2000), {"sigma": [1, 2]}, 1; TABLE["self"] = TABLE
def again(function):
    @functools.wraps(function)
    def twice(*given, **named):
        return function(*given, **named) * 2
    return twice
class Base:
    factor = 3
    def scaled(self, x): return x * self.factor
class Tool(Base): pass
TOOL = Tool()
def inner(x): return x + STEP + TABLE["sigma"][1] + (f is None)
def noted(x): LOG.append(x); CACHE[x] = x
def helper(x, *, gain=5): return noted(x) or inner(x) * gain + KERNEL[1700] + math.pi
@again
def f(scorer, image, *, rng):
    return [helper(x) for x in image] + [Tool().scaled(1), TOOL]
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("STEP, KERNEL, TABLE, UNUSED = 1", "STEP, KERNEL, TABLE, UNUSED = 2"),
        ("np.arange(2000)", "np.arange(2000) * (np.arange(2000) != 1700)"),
        ('{"sigma": [1, 2]}', '{"sigma": [1, 3]}'),
        ("return x + STEP", "return x - STEP"),
        ("gain=5", "gain=6"),
        ("named) * 2", "named) * 3"),
        ("factor = 3", "factor = 4"),
        ("return x * self.factor", "return x / self.factor"),
    ],
)
def test_what_a_function_reaches_in_its_module_is_part_of_it(before: str, after: str) -> None:
    version = local_version(compiled(REACHING))
    assert version == local_version(compiled(REACHING.replace("}, 1", "}, 2").replace("[], {}", "[1], {2: 2}")))
    assert before in REACHING and version != local_version(compiled(REACHING.replace(before, after)))


def make(strength: float) -> Callable[..., Any]:
    def f(scorer: Any, image: Any, *, rng: Any) -> Any:
        return image[0] * strength

    return f


def test_what_a_function_was_made_with_is_part_of_it() -> None:
    assert local_version(make(1.0)) == local_version(make(1.0)) != local_version(make(2.0))
    a, b = (partial(my_method, strength=s) for s in (1.0, 2.0))
    assert local_version(a) != local_version(b) and local_version(a) == local_version(partial(my_method, strength=1.0))


def test_functions_that_call_each_other_have_a_version() -> None:
    def first(scorer: Any, image: Any, *, rng: Any) -> Any:
        return second(scorer, image, rng=rng) if image is None else first(scorer, None, rng=rng)

    def second(scorer: Any, image: Any, *, rng: Any) -> Any:
        return first(scorer, image, rng=rng)

    assert len(local_version(first)) == 12


def test_a_function_that_counts_keeps_its_version_while_it_works() -> None:
    count = 0

    def f(scorer: Any, image: Any, *, rng: Any) -> Any:
        nonlocal count
        count += 1
        return image

    plugin = parse("explainer", f).plugin
    before = plugin.distribution
    plugin(None, 1, rng=None)
    assert count == 1 and plugin.distribution == before


def test_a_version_is_the_same_in_each_process() -> None:
    code = (
        "from xaibench.registry import parse\n"
        "def f(scorer, image, *, rng): return image in {'red', 'green', 'blue', 'grey'}\n"
        "print(parse('explainer', f).plugin.distribution[1])"
    )
    assert len({python(code, PYTHONHASHSEED=str(seed)) for seed in range(3)}) == 1


METRIC = {"family": "overlap", "better": "higher", "range": (0, 1)}
EXPLAINER = {"family": "cam"}


@pytest.mark.parametrize(
    ("declare", "traits", "reason"),
    [
        (registry.metric, METRIC | {"better": "bigger"}, "better='bigger' is none of higher, lower, zero, none"),
        (registry.metric, METRIC | {"measures": "mood"}, "measures='mood' is none of map, method, cost"),
        (registry.metric, METRIC | {"mask": "eye"}, "mask='eye' is none of vessels, thin, thick"),
        (registry.metric, METRIC | {"invariant": "all"}, "invariant='all' is none of rank, scale"),
        (registry.metric, METRIC | {"targets": ("thin", "blue")}, "targets='blue' is none of vessels, "),
        (registry.metric, METRIC | {"suites": ("huge",)}, "suites='huge' is none of quick, standard, full, truth"),
        (registry.metric, METRIC | {"main": -1}, "main=-1 is no place: the first column is 0"),
        (registry.explainer, EXPLAINER | {"sees_labels": True}, "it asks for labels but is not a control"),
        (registry.explainer, EXPLAINER | {"sums_to": "one"}, "sums_to='one' is none of difference, score"),
    ],
)
def test_a_plugin_with_an_unknown_trait_is_refused(
    declare: Callable[..., Any], traits: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{declare.__name__} 'mine': {reason}"):
        declare("mine", **traits)


def test_a_decorated_function_can_still_be_called() -> None:
    plugin = registry.explainer("double", family="cam")(lambda scorer, image, *, rng: 2 * image)
    assert isinstance(plugin, Plugin) and plugin(None, 3, rng=None) == 6


@pytest.mark.parametrize(("declare", "traits"), [(registry.metric, METRIC), (registry.explainer, EXPLAINER)])
def test_no_known_failures_can_be_written_as_none(declare: Callable[..., Any], traits: dict[str, Any]) -> None:
    assert declare("mine", known_failures=None, **traits)(lambda attribution: attribution).traits.known_failures == {}
