"""Where the bundled suites, models and reports are."""

from importlib import resources
from pathlib import Path
from typing import Literal

Kind = Literal["suites", "models", "reports"]


def root(kind: Kind) -> Path:
    """Return the folder of one kind of content.

    A wheel carries the folders inside the package. In a checkout they lie beside `harness/`, so
    that an edit to a YAML file counts at once.
    """
    package = Path(str(resources.files("toetssteen")))
    bundled = package / "_content" / kind
    return bundled if bundled.is_dir() else package.parents[1] / kind
