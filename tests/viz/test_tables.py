"""Tables of text: what is aligned, and what Markdown shows literally."""

from minigrad.viz.tables import aligned, columns, markdown_table


def test_columns_are_flush_and_wide_characters_count_twice():
    assert columns("日本") == 4 and columns("v\u0304") == 1
    rows = [("name", "value"), ("日本", "1"), ("v\u0304", "12.5")]
    assert aligned(rows, left=1) == ["name  value", "日本      1", "v\u0304      12.5"]


def test_a_long_cell_does_not_widen_its_column():
    lines = aligned([("a", "b"), ("x" * 9, "b")], left=2, most=4)
    assert lines == ["a     b", "xxxxxxxxx  b"]


def test_markdown_shows_cells_literally():
    table = markdown_table([("a", "b"), ("x|y", "1")], left=1).splitlines()
    assert table == ["| a | b |", "| --- | ---: |", "| x&#124;y | 1 |"]
