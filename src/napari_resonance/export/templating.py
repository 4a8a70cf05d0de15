"""HTML pages from the package's templates: escaped, complete, written whole."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING

from napari_resonance.export.atomic import replacing

if TYPE_CHECKING:
    from jinja2 import Template


def html_template(package: str, name: str, **filters: Callable[..., str]) -> Template:
    """Return a template in which every value is escaped, and none may be missing.

    Parameters
    ----------
    package
        Whose folder ``templates`` it lies in: ``"napari_resonance.export"``.
    name
        Its file.
    **filters
        What the template calls to turn values into text, by name.

    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)


def write_html(path: str | PathLike[str], text: str) -> None:
    """Write a page as UTF-8, whole or not at all.

    File names that are no valid text are written with backslashes.

    Raises
    ------
    ExportError
        If the file cannot be written.

    """
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
