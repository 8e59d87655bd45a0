"""The page of the declaration equals the classes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib import import_module
from pkgutil import iter_modules

import pytest

from nightjar import declaration
from nightjar.declaration.declared import Declaration
from nightjar.local import declaration_reference
from nightjar.local.declaration_reference import declared_classes, documented_fields
from nightjar.local.paths import Paths


def test_the_page_is_that_of_the_classes() -> None:
    page = (Paths.here().root / declaration_reference.PAGE).read_text()
    assert declaration_reference.text(page) == page, "run `make declaration-reference`"


def test_every_class_of_the_declaration_is_on_the_page() -> None:
    modules = [import_module(info.name) for info in iter_modules(declaration.__path__, f"{declaration.__name__}.")]
    own = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Declaration) and value.__module__ == module.__name__
    }
    assert own - {Declaration} == set(declared_classes())


@pytest.mark.parametrize("cls", declared_classes(), ids=lambda cls: cls.__name__)
def test_every_field_has_a_meaning(cls: type[Declaration]) -> None:
    assert list(documented_fields(cls)) == [field.name for field in fields(cls)]


def test_a_meaning_of_several_lines_is_one_line() -> None:
    @dataclass(frozen=True)
    class Shop(Declaration):
        """A shop.

        Attributes:
            name: Name of the shop: as in
                the register.
            open: Whether it is open.
        """

        name: str
        open: bool

    assert documented_fields(Shop) == {
        "name": "Name of the shop: as in the register.",
        "open": "Whether it is open.",
    }
