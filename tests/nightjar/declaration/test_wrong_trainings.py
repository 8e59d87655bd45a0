"""Invalid trainings are rejected at declaration, with what is wrong, where, and the allowed values."""

from __future__ import annotations

from typing import Any

import pytest
from tests.nightjar.declaration.refusals import Declare, Wrong, assert_refused, cases, shop, training

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.resources import Resources
from nightjar.declaration.rows import Rows
from nightjar.declaration.spaces import Choice, FloatRange, IntRange
from nightjar.declaration.training import Pruning, Selection, Training, Tuning, WarmStart
from nightjar.settings.prices import Prices

NAN, INFINITE = float("nan"), float("inf")


def boosting(**params: Any) -> Declare:
    return lambda: Boosting(params=params)


WRONG: dict[str, list[Wrong]] = {
    "engines": [
        (boosting(max_dept=3), "unknown XGBoost parameter 'max_dept'", "Boosting.params", "did you mean 'max_depth'"),
        (boosting(objective=1), "is 1", "Boosting.params['objective']", "a text"),
        (boosting(eval_metric="auc"), "eval_metric is not a parameter", "Boosting.params", "Gate.decisive_metric"),
        (boosting(tree_method="exact"), "is 'exact'", "Boosting.params['tree_method']", "'hist'"),
        (boosting(booster="gblinear"), "is 'gblinear'", "Boosting.params['booster']", "'gbtree'"),
        (boosting(eta=0), "is 0", "Boosting.params['eta']", "above 0 and at most 1"),
        (boosting(learning_rate=-0.1), "is -0.1", "Boosting.params['learning_rate']", "above 0"),
        (boosting(eta=0.1, learning_rate=0.2), "an alias of eta", "Boosting.params", "leave learning_rate out"),
        (boosting(subsample=1.5), "is 1.5", "Boosting.params['subsample']", "at most 1"),
        (boosting(max_depth=6.0), "is 6.0", "Boosting.params['max_depth']", "a whole number at least 0"),
        (boosting(max_depth="6"), "is '6'", "Boosting.params['max_depth']", "a whole number"),
        (boosting(max_bin=1), "is 1", "Boosting.params['max_bin']", "at least 2"),
        (boosting(grow_policy="depth"), "is 'depth'", "params['grow_policy']", "did you mean 'depthwise'"),
        (boosting(gamma=NAN), "is nan", "Boosting.params['gamma']", "a finite number"),
        (boosting(seed=3), "seed is not a parameter", "Boosting.params", "declare Training.seed"),
        (boosting(n_estimators=3), "n_estimators is not", "Boosting.params", "declare Boosting.num_rounds"),
        (lambda: Boosting(num_rounds=0), "num_rounds is 0", "Boosting.num_rounds", "at least 1"),
        (lambda: Boosting(early_stopping_rounds=0), "early_stopping_rounds is 0", "Boosting.early_stop", "or None"),
        (lambda: Boosting(checkpoint_every_rounds=0), "checkpoint_every_rounds is 0", "Boosting.checkp", "at least 1"),
        (lambda: Network(hidden=()), "hidden is empty", "Network.hidden", "(128, 64)"),
        (lambda: Network(hidden=(64, 0)), "hidden[1] is 0", "Network.hidden[1]", "at least 1"),
        (lambda: Network(hidden=64), "hidden is 64", "Network.hidden", "a tuple"),
        (lambda: Network(dropout=1), "dropout is 1", "Network.dropout", "below 1"),
        (lambda: Network(clip_norm=0), "clip_norm is 0", "Network.clip_norm", "above 0"),
        (lambda: Network(learning_rate=0), "learning_rate is 0", "Network.learning_rate", "above 0"),
        (lambda: Network(embedding_width=0), "embedding_width is 0", "Network.embedding_width", "at least 1"),
        (lambda: Network(early_stopping_epochs=0), "early_stopping_epochs is 0", "Network.early", "at least 1"),
        (lambda: Network(weight_decay=-1), "weight_decay is -1", "Network.weight_decay", "at least 0"),
        (lambda: Network(learning_rate="auto"), "learning_rate is 'auto'", "Network.learning", "'range_test'"),
        (lambda: Network(optimizer="adam"), "optimizer is 'adam'", "Network.optimizer", "did you mean 'adamw'"),
        (lambda: Network(schedule="cosin"), "schedule is 'cosin'", "Network.schedule", "did you mean 'cosine'"),
        (lambda: Network(momentum=1.0), "momentum is 1.0", "Network.momentum", "below 1"),
        (lambda: Network(accumulated_batches=0), "accumulated_batches is 0", "Network.accumulated", "at least 1"),
        (lambda: Network(focal_gamma=-1.0), "focal_gamma is -1.0", "Network.focal_gamma", "at least 0"),
        (
            shop(training=Training(engines=(Boosting(params={"monotone_constraints": "(1,0)"}),))),
            "2 monotone constraints are declared for 1 features", "monotone_constraints", "in their order: amount",
        ),
        (
            shop(training=Training(engines=(Boosting(params={"monotone_constraints": {"amuont": 1}}),))),
            "unknown feature 'amuont'", "monotone_constraints", "did you mean 'amount'",
        ),
        (
            shop(training=Training(engines=(Boosting(params={"monotone_constraints": (2,)}),))),
            "2 is not a valid constraint", "monotone_constraints", "choose from: -1, 0, 1",
        ),
    ],
    "search": [
        (lambda: IntRange(5, 2), "low 5 is above high 2", "IntRange.low", "at most as high"),
        (lambda: FloatRange(0.5, 0.1), "low 0.5 is above high 0.1", "FloatRange.low", "at most as high"),
        (lambda: FloatRange(0, 1, log=True), "low 0 cannot be on a log scale", "FloatRange.low", "above 0"),
        (lambda: IntRange(1.5, 2), "low is 1.5", "IntRange.low", "a whole number"),
        (lambda: FloatRange(0.1, INFINITE), "high is inf", "FloatRange.high", "a finite number"),
        (lambda: Choice(()), "values is empty", "Choice.values", "at least one value"),
        (lambda: Choice("ab"), "values is 'ab'", "Choice.values", "a tuple"),
        (lambda: Choice((1, 1)), "value 1 is declared more than once", "Choice.values", "once"),
        (
            lambda: Boosting(params={"eta": 0.1}, space={"etta": FloatRange(0.1, 1)}),
            "unknown XGBoost parameter 'etta'", "Boosting.space", "did you mean 'eta'",
        ),
        (
            lambda: Boosting(params={"eta": 0.1}, space={"eta": FloatRange(0.1, 2)}),
            "is 2", "Boosting.space['eta']", "at most 1",
        ),
        (
            lambda: Boosting(params={"max_depth": 3}, space={"max_depth": FloatRange(2.5, 4)}),
            "is 2.5", "Boosting.space['max_depth']", "a whole number",
        ),
        (
            lambda: Boosting(space={"eta": FloatRange(0.1, 1)}),
            "declared as nothing", "space['eta']", "within the range",
        ),
        (
            lambda: Boosting(params={"eta": 0.01}, space={"eta": FloatRange(0.1, 1)}),
            "declared as 0.01", "Boosting.space['eta']", "within the range",
        ),
        (
            lambda: Boosting(space={"num_rounds": IntRange(500, 900)}),
            "declared as 400", "num_rounds", "within the range",
        ),
        (lambda: Network(space={"hidden": IntRange(8, 64)}), "unknown parameter 'hidden'", "Network.space", "dropout"),
        (
            lambda: Network(space={"width": Choice((64, 128))}),
            "hidden is (128, 64)", "Network.space", "one width, e.g. hidden=(128, 128)",
        ),
        (
            lambda: Network(hidden=(64, 64), space={"depth": IntRange(3, 4)}),
            "declared as 2", "Network.space['depth']", "within the range",
        ),
        (lambda: Network(space={"dropout": FloatRange(0, 1)}), "is 1", "Network.space['dropout']", "below 1"),
        (lambda: Tuning(trials=0), "trials is 0", "Tuning.trials", "at least 1"),
        (lambda: Tuning(folds=0), "folds is 0", "Tuning.folds", "at least 1"),
        (lambda: Tuning(minutes=0), "minutes is 0", "Tuning.minutes", "above 0"),
        (lambda: Tuning(gap_days=-1), "gap_days is -1", "Tuning.gap_days", "at least 0"),
        (training(tuning=Tuning()), "there is nothing to tune", "Training.tuning", "declare a space"),
        (lambda: Selection(method="shap"), "method is 'shap'", "Selection.method", "'gain', 'permutation'"),
        (lambda: Selection(probes=0), "probes is 0", "Selection.probes", "at least 1"),
    ],
    "training": [
        (lambda: Rows(window_days=0), "window_days is 0", "Rows.window_days", "at least 1 or None"),
        (lambda: Rows(max_rows=0), "max_rows is 0", "Rows.max_rows", "at least 1 or None"),
        (lambda: Rows(half_life_days=0), "half_life_days is 0", "Rows.half_life_days", "above 0 or None"),
        (lambda: Rows(negative_share=0.0), "negative_share is 0.0", "Rows.negative_share", "above 0 and at most 1"),
        (lambda: Rows(class_weights={"late": 0.0}), "0.0", "Rows.class_weights['late']", "above 0"),
        (
            shop(training=Training(rows=Rows(class_weights={"late": 2.0}))),
            "class_weights cannot be", "shop", "multiclass",
        ),
        (
            shop(training=Training(rows=Rows(weight_column="amuont"))),
            "unknown numeric column 'amuont'", "training.rows.weight_column", "did you mean 'amount'",
        ),
        (training(engines=()), "engines is empty", "Training.engines", "Boosting, Network"),
        (training(engines=(Boosting(), Boosting())), "engine boosting is declared more", "Training.engines", "once"),
        (
            training(engines=(Boosting(), Boosting(name="boosting_2")), bags=2),
            "engine boosting_2 is declared more", "Training.engines", "once",
        ),
        (training(engines=(Boosting(name="baseline"),)), "named baseline", "Training.engines", "another name"),
        (lambda: Boosting(name="Deep Trees"), "name is 'Deep Trees'", "Boosting.name", "a text of"),
        (training(bags=0), "bags is 0", "Training.bags", "at least 1"),
        (training(world_size=0), "world_size is 0", "Training.world_size", "at least 1"),
        (training(validation_days=0), "validation_days is 0", "Training.validation_days", "at least 1"),
        (training(holdout_days=0), "holdout_days is 0", "Training.holdout_days", "at least 1"),
        (training(seed=-1), "seed is -1", "Training.seed", "at least 0"),
        (training(calibration="sigmoid"), "calibration is 'sigmoid'", "Training.calibration", "'platt', 'isotonic'"),
        (training(compression=("int4",)), "compression[0] is 'int4'", "Training.compression", "did you mean 'int8'"),
        (training(compression=("int8",)), "compression int8 needs a network", "Training.compression", "Network"),
        (training(compression=("distilled",) * 2), "distilled is declared more", "Training.compression", "once"),
        (
            training(max_compression_loss=-1),
            "max_compression_loss is -1", "Training.max_compression_loss", "at least 0",
        ),
        (training(balance_classes=True, calibration="none"), "not probabilities", "Training.calibration", "'isotonic'"),
        (
            training(balance_classes=True, engines=(Boosting(params={"scale_pos_weight": 2.0}),)),
            "decides scale_pos_weight", "Training.balance_classes", "leave one",
        ),
        (
            training(selection=Selection(), engines=(Boosting(params={"interaction_constraints": "[[0]]"}),)),
            "interaction_constraints name columns", "Training.selection", "leave interaction_constraints or selection",
        ),
        (
            training(warm_start=WarmStart(), selection=Selection()),
            "selection may choose", "Training.warm_start", "leave",
        ),
        (
            training(warm_start=WarmStart(version="3"), selection=Selection()),
            "selection may choose", "Training.warm_start", "leave warm_start or selection",
        ),
        (
            training(warm_start=WarmStart(), compression=("distilled",)),
            "may be a distilled version", "Training.warm_start", "WarmStart(version='7')",
        ),
        (training(warm_start=WarmStart(frozen_layers=1)), "have 0 hidden layers", "frozen_layers", "only a Network"),
        (lambda: WarmStart(frozen_layers=-1), "frozen_layers is -1", "WarmStart.frozen_layers", "at least 0"),
        (lambda: WarmStart(version="latest"), "version is 'latest'", "WarmStart.version", "digits"),
        (lambda: Pruning(share=0), "share is 0", "Pruning.share", "above 0 and below 1"),
        (lambda: Pruning(share=50), "share is 50", "Pruning.share", "above 0 and below 1"),
        (lambda: Pruning(epochs=0), "epochs is 0", "Pruning.epochs", "at least 1"),
        (training(student=Network()), "student is Network(", "Training.student", "Boosting"),
        (
            training(student=Boosting(space={"num_rounds": IntRange(1, 400)})),
            "the student has a space", "Training.student", "their values",
        ),
        (lambda: Resources(cpus=0), "cpus is 0", "Resources.cpus", "at least 1"),
        (lambda: Resources(gpus=-1), "gpus is -1", "Resources.gpus", "at least 0"),
        (lambda: Resources(max_hours=0), "max_hours is 0", "Resources.max_hours", "above 0"),
        (
            lambda: Resources(memory_gib=1),
            "leaves nothing of memory_gib 1", "Resources.shared_memory_gib", "less of it",
        ),
        (lambda: Prices(cpu_hour=-1), "cpu_hour is -1", "Prices.cpu_hour", "at least 0"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_a_wrong_training_is_refused_with_what_where_and_what_may_be(
    declare: Declare, what: str, where: str, allowed: str
) -> None:
    assert_refused(declare, what, where, allowed)
