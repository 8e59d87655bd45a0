"""Boosting over all ranks: the collective, the matrices, early stopping on the validation AUC, and progress."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nightjar.contracts.errors import ConfigurationError, TrainingError
from nightjar.contracts.use_case import Feature, Training
from nightjar.evaluation.metrics import auc_counts, auc_of_counts
from nightjar.training.engine import import_xgboost
from nightjar.training.rendezvous import Group
from nightjar.training.shards import Shard

PROGRESS_SECONDS = 2.0
COLLECTIVE_SECONDS = 300
"""How long a rank waits for the others inside one collective operation."""


# Freeing the tracker of a failed training prints a C++ stack or crashes; the process ends with it instead.
_trackers: list[Any] = []


@dataclass(frozen=True, kw_only=True)
class Boosted:
    """What came out of :func:`boost`; the same on every rank.

    Attributes:
        booster: The trees up to the best round (``xgboost.Booster``).
        history: Validation AUC after each round that was tried.
        params: What the engine was given, save the number of threads.
    """

    booster: Any
    history: tuple[float, ...]
    params: Mapping[str, Any]

    @property
    def rounds(self) -> int:
        return int(self.booster.num_boosted_rounds())

    @property
    def validation_auc(self) -> float:
        """At the last round kept."""
        return self.history[self.rounds - 1]


@contextmanager
def collective(group: Group) -> Iterator[None]:
    """Join XGBoost's collective; rank 0 runs its tracker on a free port, told to the others through ``group``."""
    contract = group.contract
    if contract.world_size == 1:
        yield
        return
    import_xgboost()
    from xgboost import collective as xgb_collective
    from xgboost.tracker import RabitTracker

    tracker, port = None, None
    if contract.rank == 0:
        address = socket.gethostbyname(contract.master_addr)
        tracker = RabitTracker(
            n_workers=contract.world_size, host_ip=address, sortby="task", timeout=COLLECTIVE_SECONDS
        )
        _trackers.append(tracker)
        tracker.start()
        port = tracker.worker_args()["dmlc_tracker_port"]
    port = group.exchange(port)[0]
    xgb_collective.init(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=socket.gethostbyname(contract.master_addr),
        dmlc_tracker_port=port,
        dmlc_task_id=f"{contract.rank:05d}",  # the tracker sorts by it, so that ranks are ours
        dmlc_timeout=COLLECTIVE_SECONDS,
    )
    yield  # a failed rank ends its process; leaving in order would wait for ranks that are gone
    xgb_collective.finalize()
    if tracker is not None:
        tracker.wait_for(COLLECTIVE_SECONDS)
        _trackers.remove(tracker)


def boost(
    train: Shard,
    validation: Shard,
    features: tuple[Feature, ...],
    training: Training,
    *,
    group: Group,
    threads: int,
    say: Callable[[str], None],
) -> Boosted:
    """Train on this rank's shards together with the other ranks.

    Args:
        train: Rows to fit.
        validation: Rows that early stopping looks at.
        features: The matrix's columns.
        training: Parameters, rounds, early stopping, seed.
        group: The ranks; every rank calls this.
        threads: Threads of this rank.
        say: Takes a line of progress every few seconds, on rank 0.

    Raises:
        TrainingError: when a rank fails or the engine refuses.
    """
    xgb = import_xgboost()
    params = engine_params(training, threads)
    history: dict[str, dict[str, list[float]]] = {}
    rows = sum(group.exchange(train.rows))
    callbacks = [_progress(say if group.contract.rank == 0 else None, rows, training.num_rounds)]
    if training.early_stopping_rounds is not None:
        callbacks.append(
            xgb.callback.EarlyStopping(
                rounds=training.early_stopping_rounds,
                metric_name="auc",
                data_name="validation",
                maximize=True,
                save_best=True,
            )
        )
    try:
        train_matrix = _matrix(train, features, params)
        booster = xgb.train(
            params,
            train_matrix,
            num_boost_round=training.num_rounds,
            evals=[(_matrix(validation, features, params, reference=train_matrix), "validation")],
            custom_metric=_global_auc,
            evals_result=history,
            verbose_eval=False,
            callbacks=callbacks,
        )
    except xgb.core.XGBoostError as error:
        raise group.lost_rank(timeout_seconds=3.0) or _engine_error(error) from error
    # the number of threads changes no byte of the model, so that it is not part of it
    kept = {name: value for name, value in params.items() if name != "nthread"}
    return Boosted(booster=booster, history=tuple(history["validation"]["auc"]), params=kept)


def _matrix(shard: Shard, features: tuple[Feature, ...], params: Mapping[str, Any], reference: Any = None) -> Any:
    """The shard in the engine's bins; those of ``reference``, where given."""
    return import_xgboost().QuantileDMatrix(
        shard.matrix,
        shard.labels,
        ref=reference,
        max_bin=int(params.get("max_bin", 256)),
        feature_names=[feature.name for feature in features],
        feature_types=["c" if feature.kind == "categorical" else "q" for feature in features],
        enable_categorical=True,
        nthread=params["nthread"],
    )


def engine_params(training: Training, threads: int) -> dict[str, Any]:
    """The use case's parameters, with those that Nightjar decides.

    Raises:
        ConfigurationError: for an ``eval_metric`` other than AUC, by which early stopping decides.
    """
    params = dict(training.params)
    if params.pop("eval_metric", "auc") != "auc":
        raise ConfigurationError(
            "eval_metric is not auc",
            where="training.params of the use case",
            fix="leave eval_metric out: early stopping looks at the validation AUC",
        )
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        **params,
        "disable_default_eval_metric": True,  # XGBoost's AUC over ranks is a mean of local ones; _global_auc is exact
        "seed": training.seed,
        "nthread": threads,
    }


def _global_auc(predictions: Any, matrix: Any) -> tuple[str, float]:
    """AUC over the validation rows of all ranks, from summed counts: the same figure on each of them."""
    from xgboost import collective as xgb_collective

    counts = auc_counts(matrix.get_label(), predictions)
    if xgb_collective.is_distributed():
        counts = xgb_collective.allreduce(counts, xgb_collective.Op.SUM).reshape(counts.shape)
    return "auc", auc_of_counts(counts)


def _progress(say: Callable[[str], None] | None, rows: int, num_rounds: int) -> Any:
    """A callback that says, every few seconds, how far training is."""
    xgb = import_xgboost()
    started = said = time.monotonic()

    class Progress(xgb.callback.TrainingCallback):  # type: ignore[misc, name-defined]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            nonlocal said
            now = time.monotonic()
            done = epoch + 1
            if say is not None and (now - said >= PROGRESS_SECONDS or done == 1):
                said = now
                each = (now - started) / done
                aucs = evals_log["validation"]["auc"]
                say(
                    f"round {done} of at most {num_rounds} | validation AUC {aucs[-1]:.4f} (best {max(aucs):.4f}) | "
                    f"{rows / each:,.0f} rows/s | at most {each * (num_rounds - done):.0f} s left"
                )
            return False

    return Progress()


def _engine_error(error: Exception) -> TrainingError:
    # the engine's message holds a C++ stack; its last reason is what a person can use
    lines = [line.strip(" -") for line in str(error).splitlines()]
    reasons = [line for line in lines if line and "[bt]" not in line and "Stack trace" not in line]
    return TrainingError(
        f"XGBoost gave up: {reasons[-1] if reasons else 'no reason given'}",
        where="training.params of the use case, or a rank that is gone",
        fix="read the log of the ranks above; check training.params",
    )
