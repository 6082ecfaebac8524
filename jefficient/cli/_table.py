"""Tables that fit a terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def fitted(cells: "pd.DataFrame", width: int) -> "tuple[Table, list[str]]":
    """Return a table of as many columns as fit, and the names of the others.

    Args:
        cells: texts, which a terminal may be shown.
        width: columns of the terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    widths = [max(len(str(name)), *map(len, cells[name])) + 3 for name in cells.columns]
    count = len(widths)
    while count > 2 and sum(widths[:count]) + 1 > width:
        count -= 1
    table = Table(box=box.SIMPLE_HEAD)
    for name in cells.columns[:count]:
        table.add_column(Text(str(name)), justify="right", no_wrap=True)
    for row in cells.itertuples(index=False):
        table.add_row(*map(Text, row[:count]))
    return table, [str(name) for name in cells.columns[count:]]
