"""Where the README is, and the pages of the site that it links to."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SITE = ROOT / "minigrad" / "site"
PAGES = [README, *sorted(SITE.glob("*.md"))]
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
