"""Errors shown to users: what is wrong, where, how many, and what to do, in one line."""

from __future__ import annotations

from nightjar.settings.secrets import redacted


class NightjarError(Exception):
    """An error that a person can act on. Its text holds no credentials.

    Args:
        what: What is wrong, as a short sentence without a full stop.
        where: File, table, night, column or service.
        how_many: Number of affected rows, files or values; 1 for a single thing.
        fix: What the user should do.
    """

    kind = "error"
    retryable = False

    def __init__(self, what: str, *, where: str, how_many: int = 1, fix: str) -> None:
        self.what = redacted(what)
        self.where = redacted(where)
        self.how_many = how_many
        self.fix = redacted(fix)
        super().__init__(f"{self.what} | where: {self.where} | how many: {how_many} | do: {self.fix}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.how_many, self.fix)


def _rebuild(cls: type[NightjarError], what: str, where: str, how_many: int, fix: str) -> NightjarError:
    return cls(what, where=where, how_many=how_many, fix=fix)


class ConfigurationError(NightjarError):
    """An invalid setting, parameter or declaration."""

    kind = "configuration"


class SourceError(NightjarError):
    """A landed source file that is missing, empty, truncated or has another schema."""

    kind = "source"


class ContractError(NightjarError):
    """Data that break a contract beyond the declared tolerance."""

    kind = "contract"


class RowCountError(NightjarError):
    """Rows read differ from rows written plus rows rejected."""

    kind = "row_count"


class LakeError(NightjarError):
    """A missing Delta table, or files that do not fit it."""

    kind = "lake"


class ConflictError(NightjarError):
    """Two runs replace the same nights at the same time; retryable."""

    kind = "conflict"
    retryable = True


class ModelError(NightjarError):
    """No champion, or a model that cannot be loaded or does not fit the use case."""

    kind = "model"


class GateError(NightjarError):
    """A gate that could not evaluate, or that fails without a champion to keep."""

    kind = "gate"


class TrainingError(NightjarError):
    """A training whose ranks failed, never joined or disagree."""

    kind = "training"


class LostRankError(TrainingError):
    """A rank stopped because another rank failed; it does not know that rank's cause."""

    kind = "lost_rank"


class DisruptionError(NightjarError):
    """The cluster evicted or preempted a rank, or lost its node. The next attempt resumes."""

    kind = "disruption"
    retryable = True


class CapacityError(NightjarError):
    """The cluster has no free capacity: quota exhausted, or no node fits."""

    kind = "capacity"
    retryable = True


class StartError(NightjarError):
    """A pod did not start in time: image, volume, Secret or network. Retryable, as the cause may get fixed."""

    kind = "start"
    retryable = True


class UnreachableError(NightjarError):
    """MLflow, the lake, the cluster or the Spark application does not answer; retryable."""

    kind = "unreachable"
    retryable = True


class StorageFullError(NightjarError):
    """The disk or bucket is full."""

    kind = "storage_full"


def error_of_kind(kind: str, what: str, *, where: str, how_many: int = 1, fix: str) -> NightjarError:
    """Recreate an error of another process from its ``kind``."""
    direct = NightjarError.__subclasses__()
    classes = {cls.kind: cls for cls in [*direct, *(subclass for cls in direct for subclass in cls.__subclasses__())]}
    return classes.get(kind, NightjarError)(what, where=where, how_many=how_many, fix=fix)


def first_line(error: BaseException) -> str:
    """Return the class and the first line of an error's message, at most 300 characters; for errors of libraries."""
    line = next(iter(str(error).strip().splitlines()), "no message")
    return f"{type(error).__name__}: {line}"[:300]
