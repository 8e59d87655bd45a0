"""What a use case predicts, in words. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Declaration, Text


@dataclass(frozen=True, kw_only=True)
class Target(Declaration):
    """What is predicted, in words; its type is the use case's ``problem``.

    Attributes:
        label: Meaning of the label column, ``label`` in ``labels/<name>``; null means that there is none.
        prediction: Meaning of the prediction column.
    """

    label: Text
    prediction: Text
