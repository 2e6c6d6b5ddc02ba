"""From a `Picture` to a page: sizes, places, ink, and the files that a drawing becomes."""
