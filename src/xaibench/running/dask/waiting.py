"""What is left to do of a run, image by image, each read when somebody can have it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field

from xaibench.data.case import Case
from xaibench.data.cases import Cases
from xaibench.record.schema import Record
from xaibench.record.store import Store
from xaibench.registry import Spec
from xaibench.running.execute import Tally, unfinished
from xaibench.running.plan import Cell, Kept, Plan


@dataclass(eq=False)
class Image:
    """A case with cells that are not finished.

    Attributes:
        case: the image.
        waiting: its cells that nobody has.
        content: the case pickled, made on first use.
    """

    case: Case
    waiting: deque[Todo] = field(default_factory=deque)
    content: bytes | None = None

    @property
    def key(self) -> str:
        """Tells it from the run's others."""
        return f"{self.case.digest}-{self.case.id}"

    @property
    def size(self) -> tuple[int, ...]:
        """Of the picture."""
        return tuple(self.case.image.shape)


@dataclass(eq=False)
class Todo:
    """A cell, what is there of it, and what became of it so far.

    Attributes:
        image: whose.
        method: place among the run's methods.
        cell, kept, todo: see :func:`~xaibench.running.task.compute_cell`.
        deaths: workers that died of it.
        memory: whether one of them was ended for the memory that it took.
    """

    image: Image
    method: int
    cell: Cell
    kept: Record | None
    todo: dict[str, Spec] | None
    deaths: int = 0
    memory: bool = False


class Waiting:
    """The images with cells that nobody has.

    Args:
        cases: read one after the other.
        plan: their cells.
        store: what is kept of them already.
        tally: told of every cell that is.
        force: compute also those.
    """

    def __init__(self, cases: Cases, plan: Plan, store: Store, tally: Tally, *, force: bool) -> None:
        self.exhausted = False  # whether all cases were read
        self._images: list[Image] = []
        self._further = self._read(cases, plan, store, tally, force)

    def __bool__(self) -> bool:
        return bool(self._images) or not self.exhausted

    def more(self) -> bool:
        """Read on to the next image with something to do; False if there is none."""
        image = next(self._further, None)
        if image is not None:
            self._images.append(image)
        self.exhausted = image is None
        return image is not None

    def choose(self, key: str, held: Set[str], ready: Callable[[Image], bool]) -> Image | None:
        """The image for a worker: the one that it has, or a new one, or that with most left to do.

        Args:
            key: of the image that it has.
            held: keys of those that others are at.
            ready: whether cells of an image may be given out now; not asked of the one that it has.
        """
        for own in self._images:
            if own.key == key:
                return own
        free = [image for image in self._images if image.key not in held]
        if not free and not self.exhausted and self.more():
            free = self._images[-1:]
        return max(filter(ready, free or self._images), key=lambda image: len(image.waiting), default=None)

    def take(self, image: Image) -> Todo:
        """Its next cell, which waits no longer."""
        todo = image.waiting.popleft()
        if not image.waiting:
            self._images.remove(image)
        return todo

    def put_back(self, todo: Todo) -> None:
        """A cell that was taken is the next of its image again."""
        todo.image.waiting.appendleft(todo)
        if todo.image not in self._images:
            self._images.append(todo.image)

    @staticmethod
    def _read(cases: Cases, plan: Plan, store: Store, tally: Tally, force: bool) -> Iterator[Image]:
        finished = Kept(store, plan)
        for case in cases:
            image = Image(case)
            for place, cell, kept, todo in unfinished(case, plan, finished, store, tally, force=force):
                image.waiting.append(Todo(image, place, cell, kept, todo))
            if image.waiting:
                yield image
