"""The report: one self-contained HTML page, and the small table printed at the end of a run."""
