"""How the chapters are stored after `jupyter nbconvert --execute`: no times, no machine's name,
nothing but what is read; and the drawings of them that the README shows.
"""

from pathlib import Path

FIGURES = Path(__file__).parents[1] / "figures"
#: cells, and the picture that each draws: figures/chapter-….svg
SHOWN = {"01-draw": "two-uses", "04-three": "three-cubes", "06-dead": "dead-relu"}


def store_drawings(notebook, resources):
    """A preprocessor: write the drawings of the cells that the README shows."""
    for cell in notebook.cells:
        for output in cell.outputs if cell.get("id") in SHOWN else ():
            if "image/svg+xml" in output.get("data", ()):
                file = FIGURES / f"chapter-{SHOWN[cell.id]}.svg"
                file.write_text(output.data["image/svg+xml"], encoding="utf-8", newline="\n")
    return notebook, resources


c = get_config()  # noqa: F821  # Jupyter puts it there

c.ExecutePreprocessor.record_timing = False
c.ExecutePreprocessor.timeout = 300
c.NotebookExporter.preprocessors = [
    "nbconvert.preprocessors.CoalesceStreamsPreprocessor",  # again, after the run
    store_drawings,
]
c.ClearMetadataPreprocessor.enabled = True
c.ClearMetadataPreprocessor.preserve_nb_metadata_mask = {"kernelspec", ("language_info", "name")}
c.ClearMetadataPreprocessor.preserve_cell_metadata_mask = {"tags"}
