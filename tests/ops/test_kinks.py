"""The README's table of kinks says what the libraries do: those that are installed are asked."""
import pytest
from kinks import README, ROWS, installed, stored

TABLE = stored(README.read_text())


def test_the_table_has_every_case():
    assert list(TABLE) == [row.words for row in ROWS]
    assert not any("?" in answers.values() for answers in TABLE.values())


@pytest.mark.parametrize("library", installed())
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_the_table_says_what_they_do(row, library):
    assert TABLE[row.words][library] == row.answer(library)
