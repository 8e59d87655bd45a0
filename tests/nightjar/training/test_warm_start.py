"""Warm start from a registered version: reused, frozen and incompatible parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.nightjar.training.engines.network_rows import FEATURES, SMALL, TRAINING_SET, rows, shard
from tests.training_sets import context

from nightjar.declaration.engines import Boosting, DeclaredEngine
from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.lake.lake import Lake
from nightjar.problems.binary.calibration import Calibrator
from nightjar.protocol.errors import TrainingError
from nightjar.training.compression import int8, pruned
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines import registry
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network.graph import weights_of
from nightjar.training.model import ModelCard, TabularModel, folder_in_lake, save
from nightjar.training.recipe import Base
from nightjar.training.warm_start import days_seen, load_base

TREES = Boosting(params={"max_depth": 3, "subsample": 0.7}, num_rounds=12, checkpoint_every_rounds=5)
NET = replace(SMALL, epochs=3)
ENGINES = (TREES, NET)


def trained(
    engine: DeclaredEngine, found: TrainingSet, base: TabularModel | None = None, place: Path | None = None
) -> Fitted:
    rows_of = context(shard(1200, 3), shard(600, 2), found, checkpoints=str(place or ""), base=base)
    if base is not None:
        rows_of = replace(rows_of, start=base.member(engine.name))
    return registry.ENGINES[engine.kind].fit(engine, rows_of)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(str(tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="module")
def base(lake: Lake) -> TabularModel:
    """A version whose files are in the lake."""
    fitted = [trained(engine, TRAINING_SET) for engine in ENGINES]
    card = ModelCard(
        use_case="test",
        features=FEATURES,
        categories=TRAINING_SET.categories,
        label="late",
        prediction="probability",
        members=tuple(f.card for f in fitted),
        calibrator=Calibrator(),
        problem=Binary(),
        seed=1,
        world_size=1,
        validation_metric="auc",
        validation_score=0.7,
        tables={},
    )
    members = [f.member for f in fitted]
    sha256 = save(f"{lake}/other", card, members, "{}").sha256
    return save(folder_in_lake(lake, "test", sha256), card, members, "{}")


def going_on(base: TabularModel, *, layers: int = 0, features: tuple[Feature, ...] = FEATURES) -> TrainingSet:
    """A training set that goes on from ``base``, with one more carrier."""
    recipe = replace(
        TRAINING_SET.recipe, engines=ENGINES, base=Base(version="3", sha256=base.sha256, frozen_layers=layers)
    )
    categories = {**TRAINING_SET.categories, "carrier": ("AA", "B6", "DL", "UA", "WN")}
    return replace(TRAINING_SET, features=features, categories=categories, recipe=recipe)


def test_trees_are_added_to_those_of_the_base(base: TabularModel, tmp_path: Path) -> None:
    weak = trained(replace(TREES, num_rounds=2), TRAINING_SET)
    cards, members = (weak.card, base.card.members[1]), (weak.member, base.members[1])
    base = loaded = replace(base, card=replace(base.card, members=cards), members=members)
    found = going_on(base)
    fitted = trained(TREES, found, loaded)
    before = base.card.members[0].rounds
    kept = int(np.argmax(fitted.history)) + 1
    assert len(fitted.history) == 12
    assert fitted.card.rounds == before + kept == fitted.member.booster.num_boosted_rounds()  # type: ignore[attr-defined]
    assert fitted.card.validation_score == max(fitted.history)
    matrix = rows(200, 8)
    of_base = fitted.member.booster[:before].inplace_predict(matrix)  # type: ignore[attr-defined]
    assert (of_base == base.members[0].predict(matrix, threads=1)).all()
    # a shorter training stands for one that was killed
    trained(replace(TREES, num_rounds=7), found, loaded, tmp_path)
    assert trained(TREES, found, loaded, tmp_path).member.content() == fitted.member.content()


@pytest.mark.parametrize("engine", [TREES, replace(NET, learning_rate=1.0)], ids=lambda engine: engine.kind)
def test_the_base_is_kept_unchanged_when_nothing_new_is_better(base: TabularModel, engine: DeclaredEngine) -> None:
    found, of_base = going_on(base), base.member(engine.name)
    wild = replace(engine, params={**engine.params, "eta": 1.0}) if isinstance(engine, Boosting) else engine
    fitted = trained(wild, found, base)
    assert fitted.card.validation_score > max(fitted.history)
    matrix = rows(200, 8)
    assert (fitted.member.predict(matrix, threads=1) == of_base.predict(matrix, threads=1)).all()
    rounds = base.card.members[0].rounds if isinstance(engine, Boosting) else 0
    assert fitted.card.rounds == rounds


@pytest.mark.parametrize(
    "problem", [Regression(unit="min"), Multiclass(classes=("a", "b", "c")), Regression(unit="min", loss="poisson")]
)
def test_a_base_of_another_problem_is_refused(base: TabularModel, lake: Lake, problem: Problem) -> None:
    found = going_on(base)
    other = replace(found, recipe=replace(found.recipe, problem=problem))
    with pytest.raises(TrainingError, match=r"its problem is Binary\(.*and that of the use case") as caught:
        load_base(lake, other)
    assert "the same problem" in caught.value.fix


def test_a_base_with_another_cost_fits(base: TabularModel, lake: Lake) -> None:
    found = going_on(base)
    assert base.card.problem != found.recipe.problem
    assert load_base(lake, found) is not None


def test_a_network_begins_with_the_base_s_weights_and_leaves_the_frozen_ones(base: TabularModel, lake: Lake) -> None:
    found = going_on(base, layers=1)
    fitted = trained(NET, found, load_base(lake, found))
    assert isinstance(fitted.member, network.Network)
    assert isinstance(base.members[1], network.Network)
    old, new = weights_of(base.members[1]), weights_of(fitted.member)
    carriers = new["embeddings.0.weight"]
    assert (carriers[:5] == old["embeddings.0.weight"]).all()
    assert (carriers[5] == carriers[0]).all()  # the new carrier begins as the unknown, and is frozen too
    for name in ("embeddings.1.weight", "hidden.0.weight", "hidden.0.bias", "norms.0.weight"):
        assert (new[name] == old[name]).all()
    assert (new["hidden.1.weight"] != old["hidden.1.weight"]).any()
    assert fitted.member.architecture.means == base.members[1].architecture.means
    assert fitted.history[0] > trained(NET, TRAINING_SET).history[0]


def test_nothing_is_frozen_by_default(base: TabularModel, lake: Lake) -> None:
    found = going_on(base)
    fitted = trained(NET, found, load_base(lake, found))
    assert isinstance(fitted.member, network.Network)
    assert isinstance(base.members[1], network.Network)
    old, new = weights_of(base.members[1]), weights_of(fitted.member)
    assert all((new[name][: len(old[name])] != old[name]).any() for name in old)


def smaller(base: TabularModel, lake: Lake, member: network.Network) -> TrainingSet:
    """A training set that goes on from ``base`` with a smaller network, whose card is still the full one's."""
    members = (base.members[0], member)
    sha256 = save(f"{lake}/smaller", base.card, members, "{}").sha256
    save(folder_in_lake(lake, "test", sha256), base.card, members, "{}")
    return going_on(replace(base, sha256=sha256))


def test_int8_network_can_be_the_base(base: TabularModel, lake: Lake) -> None:
    assert isinstance(base.members[1], network.Network)
    found = smaller(base, lake, int8(base.members[1]))
    assert max(trained(NET, found, load_base(lake, found)).history) > 0.7


def test_a_pruned_network_is_refused_whatever_its_card_says(base: TabularModel, lake: Lake) -> None:
    assert isinstance(base.members[1], network.Network)
    found = smaller(base, lake, pruned(base.members[1], 0.5))
    with pytest.raises(TrainingError, match=r"its network has hidden \[8, 4\], not \[16, 8\]"):
        load_base(lake, found)


@pytest.mark.parametrize(
    ("seen", "days"),
    [
        ((), 0),
        (((date(2013, 1, 1), date(2013, 3, 9)),), 0),
        (((date(2013, 1, 1), date(2013, 3, 10)),), 1),
        (((date(2013, 3, 12), date(2013, 3, 12)),), 1),
        (((date(2013, 1, 1), date(2013, 2, 1)), (date(2013, 3, 1), date(2013, 12, 31))), 3),
    ],
)
def test_a_base_that_has_seen_days_of_the_holdout_is_refused(
    base: TabularModel, lake: Lake, seen: tuple[tuple[date, date], ...], days: int
) -> None:
    holdout_days = tuple(date(2013, 3, day) for day in (10, 11, 12))
    holdout = replace(TRAINING_SET.holdout, first=holdout_days[0], last=holdout_days[-1], days=holdout_days)
    card = replace(base.card, seen=seen)
    sha256 = save(f"{lake}/seen", card, base.members, "{}").sha256
    save(folder_in_lake(lake, "test", sha256), card, base.members, "{}")
    found = replace(going_on(replace(base, sha256=sha256)), holdout=holdout)
    if not days:
        assert load_base(lake, found) is not None
        return
    with pytest.raises(TrainingError, match=f"was trained on {days} of the 3 holdout days"):
        load_base(lake, found)


def test_without_a_base_load_base_returns_none(lake: Lake) -> None:
    assert load_base(lake, TRAINING_SET) is None


def test_a_base_that_does_not_fit_is_refused_saying_what_differs(base: TabularModel, lake: Lake) -> None:
    fits = going_on(base)
    wider = replace(fits.recipe, engines=(TREES, replace(NET, hidden=(32, 8))))
    other = {
        "does not begin with the base's 4 values": replace(
            fits, categories={**fits.categories, "carrier": ("WN", "AA", "B6", "DL", "UA")}
        ),
        r"other features \(noise\)": going_on(base, features=FEATURES[:3]),
        r"its network has hidden \[16, 8\], not \[32, 8\]": replace(fits, recipe=wider),
        "cannot be loaded": replace(
            fits, recipe=replace(fits.recipe, base=Base(version="3", sha256="0" * 64, frozen_layers=0))
        ),
    }
    for said, found in other.items():
        with pytest.raises(TrainingError, match=said) as caught:
            load_base(lake, found)
        assert "version 3 of test" in caught.value.where
    trees_alone = save(f"{lake}/trees", replace(base.card, members=base.card.members[:1]), base.members[:1], "{}")
    save(folder_in_lake(lake, "test", trees_alone.sha256), trees_alone.card, trees_alone.members, "{}")
    with pytest.raises(TrainingError, match="it has no network"):
        load_base(lake, going_on(trees_alone))


def test_days_whose_outcome_shares_nights_with_a_seen_label_count_as_seen() -> None:
    seen, days = [(date(2013, 3, 1), date(2013, 3, 31))], [date(2013, 3, 31), date(2013, 4, 1), date(2013, 4, 30)]
    assert days_seen(seen, days, label_horizon_nights=1) == days[:1]
    assert days_seen(seen, days, label_horizon_nights=2) == days[:2]
    assert days_seen(seen, days, label_horizon_nights=30) == days[:2]
    assert days_seen(seen, days, label_horizon_nights=31) == days
    assert days_seen(seen, [date(2013, 2, 28)], label_horizon_nights=1) == []
    assert days_seen(seen, [date(2013, 2, 28)], label_horizon_nights=2) == [date(2013, 2, 28)]
