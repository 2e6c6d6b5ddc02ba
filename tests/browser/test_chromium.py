"""The browser's own word on where it listens, read while it is being written."""

from __future__ import annotations

import pytest
from browser.chromium import address


@pytest.mark.parametrize("said", [None, "", "41723", "41723\n"])
def test_a_browser_that_is_still_writing_its_address_has_none(said, tmp_path):
    if said is not None:
        (tmp_path / "DevToolsActivePort").write_text(said, encoding="utf-8")
    assert address(tmp_path) is None


def test_the_address_is_the_port_and_the_path(tmp_path):
    (tmp_path / "DevToolsActivePort").write_text("41723\n/devtools/browser/0f1e", encoding="utf-8")
    assert address(tmp_path) == "ws://127.0.0.1:41723/devtools/browser/0f1e"
