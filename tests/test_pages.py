"""The README is short, and the code of its pages runs and prints what stands below it.

Their links and their spelling are in `test_words.py`.
"""

import re

import pytest
from pages import LINK, PAGES, README, SITE

#: code, and what it prints where the page says so
BLOCK = re.compile(r"```python\n(.*?)```(?:\s+```text\n(.*?)```)?", re.S)
BLOCKS = [
    pytest.param(page.name, *block.groups(), id=f"{page.stem}-{i}")
    for page in PAGES
    for i, block in enumerate(BLOCK.finditer(page.read_text("utf-8")))
]


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 200


def test_the_readmes_first_two_blocks_are_the_demo_and_the_tests():
    """`.ci/run` takes the second one."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", README.read_text("utf-8"), re.S)
    assert all(block.count("\n") == 1 and ".venv" in block for block in blocks[:2])
    assert "minigrad demo" in blocks[0]
    assert "pytest" in blocks[1]


def test_the_readme_links_to_every_page():
    links = {link.partition("#")[0] for link in LINK.findall(README.read_text("utf-8"))}
    assert {f"minigrad/site/{page.name}" for page in SITE.iterdir()} <= links


@pytest.mark.parametrize(("page", "code", "said"), BLOCKS)
def test_code_runs(page, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {})
    assert said is None or capsys.readouterr().out == said
