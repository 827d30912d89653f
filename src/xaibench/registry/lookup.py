"""From a name to its plugin."""

import contextlib
from typing import Literal, overload

from xaibench.errors import UserError, did_you_mean, first_line
from xaibench.registry.entry_points import distribution_of, loaded, names, points_of
from xaibench.registry.plugin import Plugin
from xaibench.registry.traits import DatasetTraits, ExplainerTraits, MetricTraits


@overload
def get(kind: Literal["explainer"], name: str) -> Plugin[ExplainerTraits]: ...
@overload
def get(kind: Literal["metric"], name: str) -> Plugin[MetricTraits]: ...
@overload
def get(kind: Literal["dataset"], name: str) -> Plugin[DatasetTraits]: ...
@overload
def get(kind: str, name: str) -> Plugin: ...
def get(kind: str, name: str) -> Plugin:
    """The plugin of that name.

    Raises:
        UserError: if there is none (with the nearest names), if two distributions claim it, or if it fails to import.
    """
    points = points_of(kind).get(name)
    if not points:
        hint = did_you_mean(name, names(kind), f"`xaibench list {kind}s` shows what there is.", most=3)
        raise UserError(f"There is no {kind} called {name!r}.", hint)
    owners = sorted(distribution_of(p) for p in points)
    if len(points) > 1:
        raise UserError(f"The {kind} {name!r} is registered by both {' and '.join(owners)}.", "Uninstall one of them.")
    try:
        plugin = loaded(points[0])
    except (Exception, SystemExit) as error:  # a third party's module may fail in any way at all
        raise UserError(
            f"The {kind} {name!r} of {owners[0]} does not import: {type(error).__name__}: {first_line(error)}.",
            f"Mend or uninstall {owners[0]}.",
        ) from error
    if not isinstance(plugin, Plugin) or plugin.kind != kind:
        raise UserError(
            f"The entry point {points[0].value!r} of {owners[0]} is no {kind}.",
            f"Put the decorator xaibench.{kind} on it.",
        )
    return plugin


@overload
def available(kind: Literal["explainer"]) -> tuple[list[Plugin[ExplainerTraits]], dict[str, str]]: ...
@overload
def available(kind: Literal["metric"]) -> tuple[list[Plugin[MetricTraits]], dict[str, str]]: ...
@overload
def available(kind: Literal["dataset"]) -> tuple[list[Plugin[DatasetTraits]], dict[str, str]]: ...
@overload
def available(kind: str) -> tuple[list[Plugin], dict[str, str]]: ...
def available(kind: str) -> tuple[list[Plugin], dict[str, str]]:
    """All plugins of a kind that load, and the reason for each that does not."""
    good, bad = [], {}
    for name in names(kind):
        try:
            good.append(get(kind, name))
        except UserError as error:
            bad[name] = str(error)
    return good, bad


def dataset_traits(name: str) -> DatasetTraits:
    """The declaration of a data set; the defaults for a user's own folder, or if no data set of that name loads."""
    with contextlib.suppress(UserError):
        return get("dataset", name.partition("[")[0]).traits
    return DatasetTraits()
