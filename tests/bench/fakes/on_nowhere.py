"""A module for a library that is not installed."""

import nowhere

VERSIONS = {"nowhere": nowhere.__version__}
