"""The computation graph: what a value is, in which order it flows, who is told. No mathematics lives here."""
