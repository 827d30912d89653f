"""Methods and metrics that do what they should not: each fails alone, and no number of another one changes by a bit."""

import itertools
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import make_network
from torch import Tensor

from running.bench import Bench, own_metric, raising
from running.sandbox.test_snapshot import CHANGES, SETTINGS
from xaibench.data.case import Case
from xaibench.metrics.score import Score
from xaibench.record.store import Store
from xaibench.registry import Plugin, parse
from xaibench.running.sandbox.snapshot import Settings
from xaibench.scorer import Scorer

GOOD = ("saliency", "random", "smoothgrad[samples=2]")
METRICS = ("auroc-vessels", "srg[steps=2]", "max-sensitivity[draws=1]")


class Quits(BaseException):
    """What is no Exception, and no exit either."""


def in_place(tensor: Tensor) -> None:
    tensor.numpy()[...] = 0  # which no counter of torch's sees


def unspeakable(scorer: Scorer, image: Tensor) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Mute


def changes_and_fails(scorer: Scorer, image: Tensor) -> None:
    scorer.model.train()
    raise ValueError("half way")


def a_forward_hook(scorer: Scorer, image: Tensor) -> None:
    scorer.model.register_forward_hook(lambda module, inputs, output: output * 0)


def weights(scorer: Scorer, image: Tensor) -> None:
    for p in scorer.model.parameters():
        p.data.zero_()


def gradients(scorer: Scorer, image: Tensor) -> None:
    scorer(image.clone().requires_grad_()[None]).sum().backward()


# What a method does beside its map, and words of the reason for which its cell fails.
BAD: dict[str, tuple[Callable[[Scorer, Tensor], Any], str]] = {
    "raises": (raising(ZeroDivisionError("over\nhere")), "ZeroDivisionError: over"),
    "raises-surrogates": (raising(ValueError("\udcff")), "ValueError: ?"),
    "raises-what-cannot-say-why": (unspeakable, "Mute: it cannot say why"),
    "needs-memory": (raising(MemoryError()), "MemoryError"),
    "exits": (lambda s, i: sys.exit(3), "raised SystemExit: 3"),
    "interrupts": (raising(KeyboardInterrupt()), "raised KeyboardInterrupt"),
    "quits": (raising(Quits("enough")), "raised Quits: enough"),
    "image": (lambda s, i: in_place(i), "the image that it was given"),
    "fov": (lambda s, i: in_place(s.target.fov), "the labels"),
    "changes-and-fails": (changes_and_fails, "training modes, which was put back, after ValueError: half way"),
}
BAD |= {f"setting {i}": (lambda s, i, do=do: do(), what) for i, (do, what) in enumerate(SETTINGS)}
BAD |= {
    f"change {i}": (lambda s, i, do=do: do(s, None), what)
    for i, (do, what) in enumerate(CHANGES)
    if what not in ("the image", "the labels")  # of which a method does not get the original
}
# What it gives instead of a map.
MAPS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "nan": (lambda i: i[1] * torch.nan, "not finite"),
    "infinite": (lambda i: torch.where(i[1] > 0.5, torch.inf, 0.0), "not finite"),
    "shape": (lambda i: i[:2], "returned a map of shape"),
    "nothing": (lambda i: None, "returned nothing"),
    "text": (lambda i: "map", "returned a str"),
    "complex": (lambda i: torch.complex(i[1], i[1]), "complex"),
    "meta-map": (lambda i: i[1].to("meta"), "Error"),
}
# What is no fault: it is undone.
HARMLESS: dict[str, Callable[[Scorer, Tensor], Any]] = {
    "seeds-numpy": lambda s, i: np.random.seed(0),  # noqa: NPY002
    "draws-numpy": lambda s, i: np.random.rand(1000),  # noqa: NPY002
    "seeds-torch": lambda s, i: torch.manual_seed(0),
    "draws-torch": lambda s, i: torch.rand(1000),
    "seeds-python": lambda s, i: random.seed(0),
    "draws-python": lambda s, i: random.random(),
    "prints": lambda s, i: print("half way"),
    "gradients": gradients,
    "frozen": lambda s, i: s.model.requires_grad_(False),
    "zero-grad": lambda s, i: s.model.zero_grad(),
    "image-gradient": lambda s, i: s(i.requires_grad_()[None]).sum().backward(),
}


def method(name: str, do: Callable[[Scorer, Tensor], Any] = lambda s, i: None, value: Any = lambda i: i[1]) -> Plugin:
    def mine(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Any:
        do(scorer, image)
        return value(image)

    return Plugin("explainer", name, mine, "cam", parse("explainer", "saliency").plugin.traits)


def bad_methods() -> list[Plugin]:
    return [method(n, do) for n, (do, _) in BAD.items()] + [method(n, value=v) for n, (v, _) in MAPS.items()]


def compute(folder: Path, methods: Sequence[Any], metrics: Sequence[Any] = METRICS, **options: Any) -> Bench:
    """A run on two made-up eyes and a network of their own."""
    bench = Bench(Store(folder), metrics, make_network())
    bench(*methods, **options)
    return bench


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = compute(tmp_path_factory.mktemp("undisturbed"), GOOD).content()
    assert len(found) == 2 * len(GOOD) and all(map_ for _, map_ in found.values())
    return found


def between(good: Sequence[Any], bad: Sequence[Any]) -> list[Any]:
    """Bad ones before, between and after the good ones."""
    parts = np.array_split(np.array(bad, object), len(good) + 1)
    return [m for part, one in zip(parts, [*good, None], strict=True) for m in (*part, one) if m is not None]


@pytest.mark.parametrize("turn", [1, -1], ids=["in this order", "in the reverse order"])
def test_bad_methods_fail_alone(tmp_path: Path, undisturbed: dict[str, Any], turn: int) -> None:
    harmless = [method(n, do) for n, do in HARMLESS.items()]
    settings, state = Settings(), (random.getstate(), torch.random.get_rng_state())
    bench = compute(tmp_path, between(GOOD, [*bad_methods(), *harmless][::turn])[::turn])
    records = bench.records()
    assert settings.changed() == []
    assert random.getstate() == state[0] and torch.equal(torch.random.get_rng_state(), state[1])
    assert bench.content(GOOD) == undisturbed
    expected = {n: words for n, (_, words) in (BAD | MAPS).items()}
    found = {n: {records[n, case].reason for case in "01"} for n in expected}
    for name, words in expected.items():
        assert all(records[name, case].status == "failed" and not records[name, case].scores for case in "01"), name
        assert all(words in reason for reason in found[name]), (name, found[name])
        assert not list(tmp_path.glob(f"maps/*/{records[name, '0'].map_key}.npz"))
    for name in HARMLESS:
        assert all(records[name, case].status == "ok" for case in "01"), (name, records[name, "0"].reason)


# What a metric does, and words of the reason for which its score fails.
BAD_METRICS: dict[str, tuple[Callable[[np.ndarray, Case, Scorer], Any], str]] = {
    "exits": (lambda a, c, s: sys.exit(), "raised SystemExit"),
    "interrupts": (raising(KeyboardInterrupt()), "raised KeyboardInterrupt"),
    "curve": (lambda a, c, s: Score(0.5, ((0.0, 1.0), (0.5,))), "a curve of 2 places and 1 values"),
    "odd-curve": (lambda a, c, s: Score(0.5, (("a",), ("b",))), "ValueError"),  # type: ignore[arg-type]
    "null": (lambda a, c, s: Score(0.5, null=(float("nan"),)), "by chance that are not finite"),
    "nan": (lambda a, c, s: Score(float("nan")), "gave nan"),
    "infinite": (lambda a, c, s: Score(float("inf")), "gave inf"),
    "no-number": (lambda a, c, s: Score("much"), "TypeError"),  # type: ignore[arg-type]
    "raises": (raising(ValueError("no\nsuch luck")), "ValueError: no"),
    "nothing": (lambda a, c, s: None, "AttributeError"),
    "text": (lambda a, c, s: "much", "AttributeError"),
}
BAD_METRICS |= {f"setting {i}": (lambda a, c, s, do=do: do(), what) for i, (do, what) in enumerate(SETTINGS)}
BAD_METRICS |= {f"change {i}": (lambda a, c, s, do=do: do(s, c), what) for i, (do, what) in enumerate(CHANGES)}


@pytest.mark.parametrize("turn", [1, -1], ids=["in this order", "in the reverse order"])
def test_bad_metrics_fail_alone(tmp_path: Path, undisturbed: dict[str, Any], turn: int) -> None:
    bad = [own_metric(f"bad-{n}", do) for n, (do, _) in BAD_METRICS.items()]
    draws = own_metric("draws", lambda a, c, s: Score(float(np.random.rand())))  # noqa: NPY002
    bench = compute(tmp_path, GOOD, [draws, *between(METRICS, bad)][::turn])
    assert bench.content(metrics=METRICS) == undisturbed
    records = bench.records()
    for record, (name, (_, words)) in itertools.product(records.values(), BAD_METRICS.items()):
        (score,) = (s for s in record.scores if s.metric == f"bad-{name}")
        assert score.status == "failed" and words in score.reason and score.value is None, (name, score.reason)
    # One who draws from the global generator draws the same, whatever was before.
    assert {s.value for r in records.values() for s in r.scores if s.metric == "draws"} == {
        next(s.value for s in records["random", "0"].scores if s.metric == "draws")
    }


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s, i: in_place(i), "the image that it was given"),
        (lambda s, i: weights(s, i), "the network's weights and buffers"),
        (lambda s, i: in_place(s.target.fov), "the labels"),
    ],
)
def test_a_metric_that_asks_for_more_maps_notices_a_method_that_spoils_them(
    tmp_path: Path, spoil: Callable[[Scorer, Tensor], Any], words: str
) -> None:
    calls: list[int] = []

    def later(scorer: Scorer, image: Tensor) -> None:
        calls.append(1)
        if len(calls) > 1:
            spoil(scorer, image)

    scores = compute(tmp_path, [method("later", later)], ["max-sensitivity[draws=1]", "auroc-vessels"]).scores("later")
    assert words in scores["max-sensitivity[draws=1]"].reason
    assert scores["auroc-vessels"].status == "ok"


def test_fail_fast_restores_too(tmp_path: Path) -> None:
    settings = Settings()
    with pytest.raises(Exception, match="torch's default type"):
        compute(tmp_path, [method("double", lambda s, i: torch.set_default_dtype(torch.float64))], fail_fast=True)
    assert settings.changed() == []
