"""A table of text cells, which every output format prints."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        title: the subject in one line.
        heads: one per column.
        lines: the body, one list of cells per line.
        notes: sentences under the table.
        controls: further lines, printed in a block of their own.
        foot: cells of one last line, or empty.
        left: indices of the columns that hold words and are aligned to the left.
        weak: indices of the columns printed grey.
        weak_lines: indices of the body's lines printed grey.
    """

    title: str
    heads: list[str]
    lines: list[list[str]]
    notes: list[str]
    controls: list[list[str]] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)
    left: frozenset[int] = frozenset()
    weak: frozenset[int] = frozenset()
    weak_lines: frozenset[int] = frozenset()

    @property
    def blocks(self) -> list[list[list[str]]]:
        """The lines of body, controls and foot, without empty blocks."""
        return [block for block in (self.lines, self.controls, [self.foot] if self.foot else []) if block]
