"""One browser for the session, one empty page per test; where no Chromium is installed these tests
are skipped.
"""

from __future__ import annotations

import pytest
from browser.chromium import Chromium, Page, find
from needs import need


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    need("websocket")
    program = find()
    if program is None:
        pytest.skip("no Chromium, Chrome or Edge on the PATH (Debian: apt install chromium)")
    started = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def page(browser):
    opened = Page(browser)
    yield opened
    opened.close()


@pytest.fixture
def show(page, tmp_path):
    """`show(text)` opens HTML or SVG as a file and returns the page."""

    def open_file(text: str, suffix: str = "html") -> Page:
        file = tmp_path / f"shown.{suffix}"
        file.write_text(text, encoding="utf-8")
        page.go(file.as_uri())
        return page

    return open_file
