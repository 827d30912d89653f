"""The entry points of installed distributions: names and what they point to, imported when it is asked for."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

KINDS = {
    "explainer": "xaibench.explainers",
    "metric": "xaibench.metrics",
    "dataset": "xaibench.datasets",
    "model": "xaibench.models",
}


@cache
def points_of(kind: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points of a kind by name; of a name as many as there are distributions that claim it."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=KINDS[kind]):
        others = found.get(point.name, ())
        # An editable install can list one distribution twice; that is no clash.
        if not any(o.value == point.value and distribution_of(o) == distribution_of(point) for o in others):
            found[point.name] = (*others, point)
    return found


def distribution_of(point: EntryPoint) -> str:
    """The name of the distribution that registered it."""
    return point.dist.name if point.dist is not None else "unknown"


@cache
def loaded(point: EntryPoint) -> object:
    """What it points to, imported once."""
    return point.load()


def names(kind: str) -> list[str]:
    """The registered names of a kind, sorted."""
    return sorted(points_of(kind))


def registered(kind: str) -> list[tuple[str, str, str]]:
    """Of each entry point of a kind its name, what it points to, and its distribution; nothing is imported."""
    points = (point for group in points_of(kind).values() for point in group)
    versions = ((p, p.dist.version if p.dist is not None else "") for p in points)
    return sorted((p.name, p.value, f"{distribution_of(p)} {version}") for p, version in versions)
