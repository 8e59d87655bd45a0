"""The errors that a user of Nightjar meets: what, where, how many, and what to do, in one line."""

from __future__ import annotations

from nightjar.settings.secrets import redacted


class NightjarError(Exception):
    """An error that a person can act on; it shows no credentials.

    Args:
        what: What is wrong, as a short sentence without a full stop.
        where: The file, table, night, column or service concerned.
        how_many: How many rows, files or values are concerned; 1 for a single thing.
        fix: What the reader does next.
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
    """A setting, parameter or declaration that cannot work."""

    kind = "configuration"


class SourceError(NightjarError):
    """A landed source file that is missing, empty, truncated or of another schema."""

    kind = "source"


class ContractError(NightjarError):
    """Data that breaks a contract by more than the use case tolerates."""

    kind = "contract"


class RowCountError(NightjarError):
    """Rows in differ from rows out plus rows rejected."""

    kind = "row_count"


class LakeError(NightjarError):
    """A Delta table that is not there, or files that do not fit it."""

    kind = "lake"


class ConflictError(NightjarError):
    """Two runs that replace the same nights at the same time; worth a retry."""

    kind = "conflict"
    retryable = True


class ModelError(NightjarError):
    """No champion, or a model that cannot be loaded or does not fit."""

    kind = "model"


class GateError(NightjarError):
    """A gate that could not look at what it has to judge, or that refuses with no champion to keep."""

    kind = "gate"


class TrainingError(NightjarError):
    """A training whose ranks failed, never joined or disagree."""

    kind = "training"


class LostRankError(TrainingError):
    """A rank that saw another one fail or go; why that one did is not for it to say."""

    kind = "lost_rank"


class DisruptionError(NightjarError):
    """A rank was taken away by the cluster: evicted, preempted, or lost with its node. The next try resumes."""

    kind = "disruption"
    retryable = True


class CapacityError(NightjarError):
    """The cluster has no room now: a quota is used up, or no node fits."""

    kind = "capacity"
    retryable = True


class StartError(NightjarError):
    """A pod that has not started in time: its image, volume, Secret or network; the cause may be mended meanwhile."""

    kind = "start"
    retryable = True


class UnreachableError(NightjarError):
    """MLflow, the lake, the cluster or the Spark application does not answer; worth a retry."""

    kind = "unreachable"
    retryable = True


class StorageFullError(NightjarError):
    """The disk or bucket takes no more bytes."""

    kind = "storage_full"


def error_of_kind(kind: str, what: str, *, where: str, how_many: int = 1, fix: str) -> NightjarError:
    """The error whose class has this ``kind``; made again from what another process said of it."""
    direct = NightjarError.__subclasses__()
    classes = {cls.kind: cls for cls in [*direct, *(below for cls in direct for below in cls.__subclasses__())]}
    return classes.get(kind, NightjarError)(what, where=where, how_many=how_many, fix=fix)


def first_line(error: BaseException) -> str:
    """The error's class and the first line of its message, at most 300 characters; for errors of other libraries."""
    line = next(iter(str(error).strip().splitlines()), "no message")
    return f"{type(error).__name__}: {line}"[:300]
