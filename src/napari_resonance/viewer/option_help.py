"""What the options of the core mean, in the words of their own docstrings."""

from __future__ import annotations

from functools import cache


@cache
def help_of(options: type, name: str) -> str:
    """Return the help text of one option.

    Parameters
    ----------
    options
        Class of options with a numpydoc docstring.
    name
        Of the option.

    Raises
    ------
    KeyError
        If the docstring does not describe it.

    """
    from docstring_parser import DocstringStyle, parse

    described = parse(options.__doc__ or "", style=DocstringStyle.NUMPYDOC).params
    for param in described:
        if name in [part.strip() for part in param.arg_name.split(",")]:
            words = " ".join((param.description or "").split()).replace("``", "")
            return f"{words[:1].upper()}{words[1:]}".rstrip(".")
    raise KeyError(name)
