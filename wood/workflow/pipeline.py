"""Where the pipeline's own files are, which an installed `wood` does not bring."""

from pathlib import Path

from wood.runtime.errors import InputError


def pipeline_file(name: str) -> Path:
    """Return a file or folder of the pipeline: beside `wood`, or in the current folder.

    Raises:
        InputError: it is in neither.
    """
    for folder in (Path(__file__).parents[2], Path.cwd()):
        if (folder / name).exists():
            return folder / name
    raise InputError(
        f"{Path.cwd()} has no {name}: run this in the pipeline's folder, where its Snakefile is."
    )
