"""A model is a folder: ``model.ubj``, ``model.json``, ``profile.json`` and ``SHA256SUMS``. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.contracts.errors import ModelError
from nightjar.contracts.use_case import Feature
from nightjar.lake import files
from nightjar.training.encoding import check_columns, encode
from nightjar.training.engine import import_xgboost

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BOOSTER_FILE = "model.ubj"
CARD_FILE = "model.json"
PROFILE_FILE = "profile.json"
SUMS_FILE = "SHA256SUMS"
MODEL_FILES = (BOOSTER_FILE, CARD_FILE, PROFILE_FILE)
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What ``model.json`` says.

    Attributes:
        use_case: What it predicts for.
        features: Inputs, in the matrix's column order.
        categories: Categorical feature to its frozen vocabulary.
        label: Meaning of the label.
        prediction: Meaning of the output.
        engine: The library, and the version of it that trained.
        params: Parameters given to the engine.
        seed: Of everything random.
        world_size: Ranks that trained it.
        rounds: Trees kept: the best round and those before.
        validation_auc: AUC on the validation days at that round.
        tables: Delta table name to the version that was read.
    """

    use_case: str
    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    label: str
    prediction: str
    engine: str
    params: Mapping[str, Any]
    seed: int
    world_size: int
    rounds: int
    validation_auc: float
    tables: Mapping[str, int]

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read what :meth:`to_json` wrote.

        Raises:
            ModelError: for another format.
        """
        document = json.loads(text)
        if (found := document.pop("format", None)) != FORMAT:
            raise ModelError(
                f"the model's format is {found}, not {FORMAT}", where=CARD_FILE, fix="train again with this release"
            )
        document["features"] = tuple(Feature(**feature) for feature in document["features"])
        document["categories"] = {name: tuple(values) for name, values in document["categories"].items()}
        return cls(**document)


@dataclass(frozen=True, kw_only=True)
class TabularModel:
    """A model that turns rows of a feature table into probabilities.

    Attributes:
        card: What it is.
        booster: The trees (``xgboost.Booster``).
        profile: JSON of the training rows' profile.
        sha256: SHA-256 of ``SHA256SUMS``: one figure for the whole folder.
    """

    card: ModelCard
    booster: Any = field(repr=False)
    profile: str = field(repr=False)
    sha256: str

    @classmethod
    def load(cls, uri: str, *, sha256: str | None = None) -> TabularModel:
        """Read a model folder, checking every file before it is used.

        Args:
            uri: The folder, on any store of the lake.
            sha256: What :attr:`sha256` must be; None accepts any folder that fits its own sums.

        Raises:
            ModelError: naming the file that is missing or altered.
        """
        content = {name: _read(uri, name) for name in (SUMS_FILE, *MODEL_FILES)}
        sums = _parse_sums(content[SUMS_FILE])
        for name in MODEL_FILES:
            if sums.get(name) != hashlib.sha256(content[name]).hexdigest():
                raise _altered(f"{uri}/{name}")
        found = hashlib.sha256(content[SUMS_FILE]).hexdigest()
        if sha256 is not None and found != sha256:
            raise _altered(f"{uri}/{SUMS_FILE}")
        booster = import_xgboost().Booster()
        booster.load_model(bytearray(content[BOOSTER_FILE]))
        return cls(
            card=ModelCard.from_json(content[CARD_FILE].decode()),
            booster=booster,
            profile=content[PROFILE_FILE].decode(),
            sha256=found,
        )

    def check(self, schema: pa.Schema) -> None:
        """Refuse a table that this model cannot read; see :func:`nightjar.training.encoding.check_columns`."""
        check_columns(schema, self.card.features)

    def encode(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """The matrix (rows x features) that the trees read; see :func:`nightjar.training.encoding.encode`."""
        return encode(table, self.card.features, self.card.categories)

    def predict(self, table: pa.Table | pa.RecordBatch, *, threads: int = 1) -> NDArray[np.float64]:
        """Probabilities, one a row; a row's value depends neither on its neighbours nor on ``threads``.

        Raises:
            ModelError: when a column is missing or of another type.
        """
        import numpy as np

        matrix = self.encode(table)
        if not len(matrix):
            return np.empty(0, dtype=np.float64)
        self.booster.set_param({"nthread": threads})
        return np.asarray(self.booster.inplace_predict(matrix, missing=np.nan), dtype=np.float64)


def save(uri: str, card: ModelCard, booster: Any, profile: str) -> TabularModel:
    """Write a model folder; its sums come last, so that a folder without them is not a model.

    Args:
        uri: The folder, on any store of the lake.
        card: What it is.
        booster: The trees (``xgboost.Booster``).
        profile: JSON of the training rows' profile.
    """
    content = {
        BOOSTER_FILE: bytes(booster.save_raw("ubj")),
        CARD_FILE: card.to_json().encode(),
        PROFILE_FILE: profile.encode(),
    }
    sums = "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content)).encode()
    for name, data in {**content, SUMS_FILE: sums}.items():
        files.write_bytes(f"{uri}/{name}", data)
    return TabularModel(card=card, booster=booster, profile=profile, sha256=hashlib.sha256(sums).hexdigest())


def download(uri: str, folder: Path) -> None:
    """Copy a model folder of the lake to a local one (MLflow uploads from local disk)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*MODEL_FILES, SUMS_FILE):
        (folder / name).write_bytes(_read(uri, name))


def upload(folder: Path, uri: str) -> None:
    """Copy a local model folder to the lake; its sums come last, so that a folder without them is not a model."""
    for name in (*MODEL_FILES, SUMS_FILE):
        files.write_bytes(f"{uri}/{name}", (folder / name).read_bytes())


def read_sums(uri: str) -> dict[str, str]:
    """File of a model folder to its SHA-256, as ``SHA256SUMS`` says.

    Raises:
        ModelError: when there is none.
    """
    return _parse_sums(_read(uri, SUMS_FILE))


def _parse_sums(content: bytes) -> dict[str, str]:
    lines = (line.split("  ", 1) for line in content.decode().splitlines())
    return {name: digest for digest, name in lines}


def _read(uri: str, name: str) -> bytes:
    system, path = files.filesystem(f"{uri}/{name}")
    try:
        with files.explained(uri), system.open_input_stream(path) as stream:
            return bytes(stream.read())
    except FileNotFoundError as error:
        raise ModelError(f"the model has no {name}", where=f"{uri}/{name}", fix="train again, or restore it") from error


def _altered(where: str) -> ModelError:
    return ModelError(
        "the file is not the one that was trained (SHA-256 differs)",
        where=where,
        fix="restore the file, or promote another version; do not score with this one",
    )
