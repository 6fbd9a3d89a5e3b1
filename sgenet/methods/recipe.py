"""Everything that decides how a method is trained, apart from the data."""

from __future__ import annotations

import inspect
from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Any

from sgenet.methods.registry import METHODS
from sgenet.settings import BaseRecipe

_SECTIONS = {name: spec for name, spec in METHODS.items() if spec.settings is not None}

if TYPE_CHECKING:

    class Recipe(BaseRecipe):
        """What all methods share, and the section of each method that has one, under its name."""

        def __init__(self, **sections: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

else:
    # Python 3.13 and newer keep docstrings without their indentation.
    _DOC = inspect.cleandoc(BaseRecipe.__doc__ or "") + "".join(
        f"\n    {name}: of {spec.title}." for name, spec in _SECTIONS.items()
    )
    Recipe = make_dataclass(
        "Recipe",
        [(name, spec.settings, field(default_factory=spec.settings)) for name, spec in _SECTIONS.items()],
        bases=(BaseRecipe,),
        namespace={"__module__": __name__, "__doc__": _DOC},
        frozen=True,
        kw_only=True,
    )
