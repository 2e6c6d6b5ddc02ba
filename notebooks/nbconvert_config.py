"""How the chapters are stored after `jupyter nbconvert --execute`: no times, no machine's name,
nothing but what is read.
"""

c = get_config()  # noqa: F821  # Jupyter puts it there

c.ExecutePreprocessor.record_timing = False
c.ExecutePreprocessor.timeout = 300
c.NotebookExporter.preprocessors = [
    "nbconvert.preprocessors.CoalesceStreamsPreprocessor"
]  # again, after the run
c.ClearMetadataPreprocessor.enabled = True
c.ClearMetadataPreprocessor.preserve_nb_metadata_mask = {"kernelspec", ("language_info", "name")}
c.ClearMetadataPreprocessor.preserve_cell_metadata_mask = {"tags"}
