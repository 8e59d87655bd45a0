"""Outcome of a Job, in a form that a trigger's event can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nightjar.protocol.errors import NightjarError, error_of_kind

Ending = Literal["succeeded", "failed", "gone", "timed_out", "unreachable", "refused"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one Job.

    Attributes:
        ending: ``succeeded``; ``failed``; ``gone`` when the Job was deleted; ``timed_out`` when the task's time limit
            passed first; ``unreachable`` when the state is unknown and the Job may still run; ``refused`` when it may
            still run, and the cluster does not permit Airflow to read it.
        program: Whether the program itself failed, and may have written why.
        outranks_result: Whether an action of the cluster explains the failure better than the program's own result.
        kind: Kind of the error; its message is in the fields below.
    """

    ending: Ending
    program: bool = False
    outranks_result: bool = False
    kind: str = ""
    what: str = ""
    where: str = ""
    how_many: int = 1
    fix: str = ""

    @classmethod
    def of(
        cls,
        error: NightjarError,
        *,
        ending: Ending = "failed",
        program: bool = False,
        outranks_result: bool = False,
    ) -> Outcome:
        """Return the outcome that ``error`` explains."""
        return cls(
            ending=ending,
            program=program,
            outranks_result=outranks_result,
            kind=error.kind,
            what=error.what,
            where=error.where,
            how_many=error.how_many,
            fix=error.fix,
        )

    @property
    def error(self) -> NightjarError:
        """Error of a Job that did not succeed."""
        return error_of_kind(self.kind, self.what, where=self.where, how_many=self.how_many, fix=self.fix)
