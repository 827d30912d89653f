"""The work queue: unfinished cells by image, images loaded on demand."""

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from xaibench.data.case import Case
from xaibench.running.task import Task


@dataclass(eq=False)
class Image:
    """A case with unfinished cells.

    Attributes:
        case: the image.
        number: its place among the images with unfinished cells, by which workers know it.
        waiting: the tasks that are not submitted yet.
        running: the number of tasks that are submitted.
        sent: whether workers can load it.
    """

    case: Case
    number: int
    waiting: deque[Task]
    running: int = 0
    sent: bool = False

    @property
    def size(self) -> tuple[int, ...]:
        """(3, H, W)."""
        return tuple(self.case.image.shape)


class WorkQueue:
    """Hands out tasks such that a worker which finished one usually gets the next one of the same image.

    Args:
        tasks: one case's after the other's, read on demand.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        queues = enumerate(itertools.groupby(tasks, attrgetter("case")))
        self._unread = (Image(case, i, deque(tasks)) for i, (case, tasks) in queues)
        self._images: list[Image] = []

    def next_image(self) -> Image | None:
        """The image whose task is to be submitted next; None if all tasks are.

        That is one without a running task, loaded if need be; once all are loaded, the one with most tasks waiting.
        """
        self._images = [image for image in self._images if image.waiting]
        for image in self._images:
            if not image.running:
                return image
        self._images += itertools.islice(self._unread, 1)
        return max(self._images, key=lambda image: (not image.running, len(image.waiting)), default=None)
