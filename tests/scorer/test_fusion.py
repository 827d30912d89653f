"""A folded network gives the logits of the network, and is not used where it could differ."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from made_up import PlainCNN, make_network, noise, settled, target_on
from nets import MAKERS, Function, make
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from xaibench import registry
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.models.model_loader import load_model
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine
from xaibench.scorer.fusion import folded

BUNDLED = registry.names("model")


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("size", [(64, 96), (75, 133), (300, 200)])
@pytest.mark.parametrize("name", [*MAKERS, *BUNDLED])
def test_it_agrees_with_the_network_on_pictures_of_any_size(name: str, size: tuple[int, int]) -> None:
    model = load_model(name) if name in BUNDLED else make(name)
    before = copy.deepcopy(model.state_dict())
    with torch.inference_mode():
        given, found = (net(noise(2, 3, *size)) for net in (model, folded(model)))
    torch.testing.assert_close(found, given, rtol=1e-5, atol=1e-5 * float(given.abs().max()))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["own", "plain", "pooling", *BUNDLED])
def test_no_batch_norm_is_left_that_alone_reads_a_convolution(name: str) -> None:
    model = load_model(name) if name in BUNDLED else make(name)
    assert norms(model) > 0
    found = folded(model)
    assert isinstance(found, fx.GraphModule)
    left = [node for node in found.graph.nodes if isinstance(module_of(found, node), nn.BatchNorm2d)]
    for node in left:
        before = node.args[0]
        assert not isinstance(module_of(found, before), nn.Conv2d | nn.ConvTranspose2d) or len(before.users) > 1
    if name.startswith("segresnet"):  # whose blocks begin with one, of what a shortcut reads, too
        assert 0 < len(left) < norms(model)
    else:
        assert not left
    assert folded(model) is found


def module_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


class Shared(nn.Module):
    """Its convolution is read by two, its batch norm stands twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.again = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)
        self.free, self.freed = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images)
        x = x + self.norm(x).relu()
        x = self.norm(self.again(self.again(x)))
        return self.head(self.freed(self.free(x)))


def test_what_others_read_or_use_again_is_not_folded() -> None:
    model = settled(Shared, 0)
    found = folded(model)
    assert isinstance(found, fx.GraphModule)
    assert sum(node.target == "norm" for node in found.graph.nodes) == 2  # only freed is gone
    with torch.inference_mode():
        torch.testing.assert_close(found(noise(2, 3, 40, 40)), model(noise(2, 3, 40, 40)), rtol=1e-5, atol=1e-5)


class Traced(PlainCNN):
    """Another function when it is traced."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1.0 if isinstance(images, Tensor) else 1.001)


class ValueDependent(PlainCNN):
    """Its steps depend on the values of the image."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if images.mean() > 0 else images[:, :1]


@pytest.mark.parametrize("kind", [Traced, ValueDependent])
def test_a_network_that_cannot_be_traced_is_used_as_it_is(kind: type[nn.Module]) -> None:
    model = kind().eval()
    assert folded(model) is model


@contextmanager
def changed_weights(model: nn.Module, change: Callable[[Tensor], object]) -> Iterator[None]:
    """By way of ``data``, which torch's version counters miss."""
    weight = next(model.parameters())
    before = weight.detach().clone()
    change(weight.data)
    yield
    weight.data.copy_(before)


@contextmanager
def other_head(model: nn.Module) -> Iterator[None]:
    """A module with the same weights in the place of another."""
    before, model.head = model.head, copy.deepcopy(model.head)
    yield
    model.head = before


@contextmanager
def other_forward(model: nn.Module) -> Iterator[None]:
    model.head.forward = lambda x: 2 * nn.Conv2d.forward(model.head, x)
    yield
    del model.head.forward


OBSERVERS: dict[str, Callable[[nn.Module], AbstractContextManager[object]]] = {
    "scaled weights": lambda model: changed_weights(model, lambda w: w.mul_(1.0001)),
    "negative weights": lambda model: changed_weights(model, lambda w: w.neg_()),
    "a hook": lambda model: model.head.register_forward_hook(lambda module, given, out: out + 1),
    "a hook on all modules": lambda model: nn.modules.module.register_module_full_backward_hook(lambda *given: None),
    "a function mode": lambda model: TorchFunctionMode(),
    "another module": other_head,
    "another forward": other_forward,
}


@pytest.mark.parametrize("observer", OBSERVERS.values(), ids=OBSERVERS)
def test_the_network_itself_is_used_while_it_is_changed_or_observed(
    observer: Callable[[nn.Module], AbstractContextManager[object]],
) -> None:
    model = make_network()
    network = folded(model)
    assert network is not model
    with observer(model):
        assert folded(model) is model
    assert folded(model) is network
    model.net.model[0].conv.unit0.adn.N.running_mean += 1
    assert folded(model) is model


@pytest.mark.parametrize("hook", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_a_backward_hook_is_heard_and_never_copied(hook: str) -> None:
    model, image = make_network(), noise(2, 3, 40, 48).requires_grad_()
    with getattr(model.head, hook)(lambda module, *gradients: tuple(0 * g for g in gradients[0])):
        silent = torch.autograd.grad(folded(model)(image).mean(), image)[0]
    assert silent.abs().max() == 0 < torch.autograd.grad(folded(model)(image).mean(), image)[0].abs().max()
    assert folded(model) is not model


def test_a_scorer_uses_it_for_large_pictures(eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    sevens = Function(lambda _, images: torch.full_like(images[:, :1], 7.0))
    monkeypatch.setattr("xaibench.scorer.inference.folded", lambda model: sevens)
    network, large = make_network(), draw_phantom(0, (256, 260))
    assert float(Scorer(network, target_on(eye), engine=Engine())(eye.image[None])) != 7
    scorer = Scorer(network, target_on(large), engine=Engine())
    assert scorer(large.image[None]).tolist() == scorer.shared.scores([large.image]) == [7.0]
    assert float(scorer.local_forward(large.image).logits.mean()) == 7
    assert scorer(large.image[None].clone().requires_grad_()).tolist() == [7]


@pytest.mark.parametrize("name", [*MAKERS, *BUNDLED])
def test_its_gradient_is_the_networks_but_where_a_relu_is_at_zero(name: str) -> None:
    model = load_model(name) if name in BUNDLED else make(name)
    image = noise(2, 3, 80, 96).requires_grad_()
    given, found = (torch.autograd.grad(net(image).mean(), image)[0] for net in (model, folded(model)))
    assert float((given - found).norm()) < 0.01 * float(given.norm())
    assert folded(model) is not model or torch.equal(given, found)
    assert folded(model) is model or not any(w.requires_grad for w in folded(model).parameters())


class Bent(PlainCNN):
    """An activation whose output does not tell its input's sign."""

    def __init__(self) -> None:
        super().__init__()
        for parent in list(self.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.ReLU):
                    setattr(parent, name, nn.LeakyReLU(-0.2))


def test_an_activation_whose_gradient_needs_its_input_does_not_overwrite_it() -> None:
    model, image = settled(Bent, 0), noise(2, 3, 40, 40).requires_grad_()
    given, theirs = (torch.autograd.grad(net(image).mean(), image)[0] for net in (model, folded(model)))
    torch.testing.assert_close(given, theirs, rtol=1e-3, atol=1e-3 * float(given.abs().max()))
