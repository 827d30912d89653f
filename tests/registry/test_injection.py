import functools
from collections.abc import Callable
from typing import Any

import pytest

from xaibench.registry import explainer, metric, parse
from xaibench.registry.injection import ARGUMENTS, REQUIRED, injection_of

EXPLAINER = {"scorer": "s", "image": "i", "rng": "r"}
METRIC = {"attribution": "a", "case": "c", "scorer": "s", "rng": "r", "method": "m", "cost": "€"}


class Object:
    def __init__(self, strength: int = 2) -> None:
        self.strength = strength

    def __call__(self, scorer: Any, image: Any) -> Any:
        return scorer, image, self.strength

    def bound(self, image: Any, *, layer: str = "last") -> Any:
        return image, layer


def plain(scorer: Any, image: Any, *, rng: Any, layer: str = "last") -> Any:
    return scorer, image, rng, layer


@functools.wraps(plain)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return plain(*args, **kwargs)


def anything(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def positional_only(s: Any, x: Any, /) -> Any:
    return s, x


def with_default(image: Any, sigma: float = 3.0, *, rng: Any = None) -> Any:
    return image, sigma, rng


@pytest.mark.parametrize(
    ("function", "given", "parameters"),
    [
        (plain, ("s", "i", "r", "last"), {"layer": "last"}),
        (lambda scorer, image: (scorer, image), ("s", "i"), {}),
        (lambda image, scorer: (scorer, image), ("s", "i"), {}),
        (lambda net, x, *, rng: (net, x, rng), ("s", "i", "r"), {}),
        (lambda x, scorer: (x, scorer), ("i", "s"), {}),
        (lambda *, rng, image: (rng, image), ("r", "i"), {}),
        (lambda image: image, "i", {}),
        (lambda: "nothing", "nothing", {}),
        (lambda rng, s, image: (rng, s, image), ("r", "s", "i"), {}),
        (lambda scorer, image, case=None: case, None, {}),
        (with_default, ("i", 3.0, "r"), {"sigma": 3.0}),
        (positional_only, ("s", "i"), {}),
        (functools.partial(plain, layer="first"), ("s", "i", "r", "first"), {"layer": "first"}),
        (functools.partial(lambda k, scorer, image: (k, scorer, image), 5), (5, "s", "i"), {}),
        (wrapped, ("s", "i", "r", "last"), {"layer": "last"}),
        (anything, (("s", "i"), {"rng": "r"}), {}),
        (lambda scorer, *rest: (scorer, rest), ("s", ("i",)), {}),
        (lambda scorer, image, **rest: rest, {"rng": "r"}, {}),
        (Object(), ("s", "i", 2), {}),
        (Object().bound, ("i", "last"), {"layer": "last"}),
    ],
)
def test_an_explainer_gets_what_it_names(function: Callable[..., Any], given: Any, parameters: dict[str, Any]) -> None:
    spec = parse("explainer", function)
    assert spec.parameters == parameters and spec(**EXPLAINER) == given


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (lambda attribution, case: (attribution, case), ("a", "c")),
        (lambda case, attribution: (case, attribution), ("c", "a")),
        (lambda x, y, z, *, rng: (x, y, z, rng), ("a", "c", "s", "r")),
        (lambda m, case, method: (m, case, method), ("a", "c", "m")),
        (lambda scorer, rng: (scorer, rng), ("s", "r")),
    ],
)
def test_a_metric_gets_what_it_names(function: Callable[..., Any], given: Any) -> None:
    spec = parse("metric", function)
    assert spec.parameters == {} and spec(**METRIC) == given
    assert spec.plugin.injection.takes("method") == ("m" in given)


@pytest.mark.parametrize("function", [lambda cost: cost, lambda c: c])
def test_a_cost_metric_gets_the_cost_alone(function: Callable[..., Any]) -> None:
    declared = metric("m", family="cost", better="lower", range=(0, 1), measures="cost")(function)
    assert parse("metric", declared)(**METRIC) == "€"


def test_a_hyper_parameter_without_a_default_is_required() -> None:
    found = injection_of(lambda scorer, image, layer, *, size: 0, ARGUMENTS["explainer"])
    assert found.parameters == {"layer": REQUIRED, "size": REQUIRED}


def test_a_function_without_a_signature_gets_the_main_arguments() -> None:
    assert injection_of(max, ARGUMENTS["explainer"]).positional == ("scorer", "image")


def test_labels_are_missing_where_they_are_not_allowed() -> None:
    with pytest.raises(TypeError, match="its argument 'case' is not given here"):
        parse("explainer", lambda scorer, image, case: case)(**EXPLAINER)


def test_a_class_is_made_once_and_parameters_are_passed_on() -> None:
    assert parse("explainer", explainer("mine", family="cam")(Object))(**EXPLAINER) == ("s", "i", 2)
    assert parse("explainer", plain).with_parameters(layer="first")(**EXPLAINER)[-1] == "first"


def test_names_and_versions_of_callables_that_are_no_functions() -> None:
    names = [str(parse("explainer", f)) for f in (Object(), functools.partial(plain, layer="x"), Object().bound)]
    assert names == ["Object", "plain", "bound"]
    one, same, other = (parse("explainer", Object(k)).plugin.distribution for k in (1, 1, 2))
    assert one == same != other and one[0] == "local"
