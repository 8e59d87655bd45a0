"""A model is a folder: each member's files, ``model.json``, ``profile.json`` and ``SHA256SUMS``. No pickle.

A member is what one engine has trained. The model's answer is the members' weighted mean probability, calibrated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.declaration.use_case import Feature
from nightjar.lake import files
from nightjar.protocol.documents import check_fields, parse_object
from nightjar.protocol.errors import ModelError, NightjarError, first_line
from nightjar.protocol.names import check_identifier, check_sha256, is_file_name
from nightjar.training.data.encoding import check_columns, encode
from nightjar.training.engines.boosting import model as boosted
from nightjar.training.engines.linear import baseline
from nightjar.training.engines.member import Member, MemberCard, probabilities
from nightjar.training.engines.network import model as network
from nightjar.training.ensemble.calibration import Calibrator

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

CARD_FILE = "model.json"
PROFILE_FILE = "profile.json"
SUMS_FILE = "SHA256SUMS"
FORMAT = 2


LOADERS: Mapping[str, Callable[[Mapping[str, bytes]], Member]] = {
    "logistic": baseline.load,
    "boosting": boosted.load,
    "network": network.load,
}
"""Kind of a member to what makes it from the model folder's files."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What ``model.json`` says.

    Attributes:
        use_case: What it predicts for.
        features: Inputs, in the matrix's column order.
        categories: Categorical feature to its frozen vocabulary.
        label: Meaning of the label.
        prediction: Meaning of the output.
        members: What was trained.
        calibrator: From the members' mean to a probability.
        threshold: Probability from which on an alarm costs less than a miss; None where no costs are declared.
        seed: Of everything random.
        world_size: Ranks that trained it.
        validation_auc: The model's AUC on the validation days.
        tables: Delta table name to the version that was read.
        seen: First and last label day of each interval that it, or a version that it goes on from, was trained and
            validated on; empty where that is not known, in models of releases before 0.2.0.
    """

    use_case: str
    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    label: str
    prediction: str
    members: tuple[MemberCard, ...]
    calibrator: Calibrator
    threshold: float | None
    seed: int
    world_size: int
    validation_auc: float
    tables: Mapping[str, int]
    seen: tuple[tuple[date, date], ...] = ()

    @property
    def engine(self) -> str:
        """The libraries that trained it."""
        return " + ".join(member.engine for member in self.members)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1, default=date.isoformat)

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelCard:
        """Read what :meth:`to_json` wrote.

        Raises:
            ModelError: for another format.
        """
        document = parse_object(text)
        if (found := document.pop("format", None)) != FORMAT:
            raise ModelError(
                f"the model's format is {found!r:.100}, not {FORMAT}",
                where=CARD_FILE,
                fix="train again with this release",
            )
        document["features"] = tuple(Feature(**feature) for feature in document["features"])
        document["categories"] = {name: tuple(values) for name, values in document["categories"].items()}
        document["members"] = tuple(MemberCard(**member) for member in document["members"])
        if not document["members"]:
            raise ValueError("it has no members")
        intervals = [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in document.get("seen", ())]
        document["seen"] = tuple(intervals)
        document["calibrator"] = Calibrator.from_dict(document["calibrator"])
        card = cls(**document)
        for checked in (card, *card.members):
            check_fields(checked)
        return card


@dataclass(frozen=True, kw_only=True)
class TabularModel:
    """A model that turns rows of a feature table into probabilities.

    Attributes:
        card: What it is.
        members: What was trained, in the order of the card.
        profile: JSON of the training rows' profile.
        sha256: SHA-256 of ``SHA256SUMS``: one figure for the whole folder.
    """

    card: ModelCard
    members: tuple[Member, ...] = field(repr=False)
    profile: str = field(repr=False)
    sha256: str

    @classmethod
    def load(cls, uri: str, *, sha256: str | None = None) -> TabularModel:
        """Read a model folder, checking every file before it is used.

        Args:
            uri: The folder, on any store of the lake.
            sha256: What :attr:`sha256` must be; None accepts any folder that fits its own sums.

        Raises:
            ModelError: naming the file that is missing or altered, or why what it holds is no model.
        """
        sums = _read(uri, SUMS_FILE)
        found = hashlib.sha256(sums).hexdigest()
        if sha256 is not None and found != sha256:
            raise _altered(f"{uri}/{SUMS_FILE}")
        content = {}
        for name, expected in _parse_sums(sums, uri).items():
            content[name] = _read(uri, name)
            if hashlib.sha256(content[name]).hexdigest() != expected:
                raise _altered(f"{uri}/{name}")
        if missing := [name for name in (CARD_FILE, PROFILE_FILE) if name not in content]:
            raise _lacks(missing[0], f"{uri}/{SUMS_FILE}")
        with _explained(CARD_FILE, uri):
            card = ModelCard.from_json(content[CARD_FILE])
        with _explained(PROFILE_FILE, uri):
            profile = content[PROFILE_FILE].decode()
        members = []
        for member in card.members:
            with _explained(f"{member.kind} of {CARD_FILE}", uri):
                members.append(LOADERS[member.kind](content))
        return cls(card=card, members=tuple(members), profile=profile, sha256=found)

    def check(self, schema: pa.Schema) -> None:
        """Refuse a table that this model cannot read, and a model that does not answer.

        Raises:
            ModelError: for a column that is missing or of another type, or when a row without any value has no answer.
        """
        import numpy as np

        check_columns(schema, self.card.features)
        try:
            self.encode(schema.empty_table())
            self.predict_matrix(np.full((1, len(self.card.features)), np.nan, np.float32))
        except Exception as error:  # each engine has errors of its own
            raise ModelError(
                f"the model does not answer ({first_line(error)})",
                where=f"model {self.sha256[:12]}",
                fix="train again, with the versions of the engines that score",
            ) from error

    def encode(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """The matrix (rows x features) that the members read; see :func:`nightjar.training.data.encoding.encode`."""
        return encode(table, self.card.features, self.card.categories)

    def predict(self, table: pa.Table | pa.RecordBatch, *, threads: int = 1) -> NDArray[np.float64]:
        """Probabilities, one a row; a row's value depends neither on its neighbours nor on ``threads``.

        Raises:
            ModelError: when a column is missing or of another type.
        """
        return self.predict_matrix(self.encode(table), threads=threads)

    def predict_matrix(self, matrix: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float64]:
        """:meth:`predict` for rows that are encoded already."""
        import numpy as np

        if not len(matrix):
            return np.empty(0, dtype=np.float64)
        cards = zip(self.members, self.card.members, strict=True)
        asked = [(member, card) for member, card in cards if card.weight]
        answers = [probabilities(member, card.event_weight, matrix, threads=threads) for member, card in asked]
        return self.card.calibrator.apply(blend(answers, [card.weight for _, card in asked]))


def blend(answers: Sequence[NDArray[np.float64]], weights: Sequence[float]) -> NDArray[np.float64]:
    """The weighted mean of the members' probabilities, row by row."""
    if len(answers) == 1:
        return answers[0]
    mean: NDArray[np.float64] = sum(w * a for w, a in zip(weights, answers, strict=True))  # type: ignore[assignment]
    return mean


def save(uri: str, card: ModelCard, members: Sequence[Member], profile: str) -> TabularModel:
    """Write a model folder; its sums come last, so that a folder without them is not a model.

    Args:
        uri: The folder, on any store of the lake.
        card: What it is.
        members: What was trained, in the order of the card.
        profile: JSON of the training rows' profile.
    """
    content = {CARD_FILE: card.to_json().encode(), PROFILE_FILE: profile.encode()}
    for member in members:
        content |= member.content()
    sums = "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content)).encode()
    for name, data in {**content, SUMS_FILE: sums}.items():
        files.write_bytes(f"{uri}/{name}", data)
    return TabularModel(card=card, members=tuple(members), profile=profile, sha256=hashlib.sha256(sums).hexdigest())


def download(uri: str, folder: Path) -> None:
    """Copy a model folder of the lake to a local one (MLflow uploads from local disk)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*read_sums(uri), SUMS_FILE):
        (folder / name).write_bytes(_read(uri, name))


def upload(folder: Path, uri: str) -> None:
    """Copy a local model folder to the lake; its sums come last, so that a folder without them is not a model."""
    for name in (*read_sums(str(folder)), SUMS_FILE):
        files.write_bytes(f"{uri}/{name}", (folder / name).read_bytes())


def read_sums(uri: str) -> dict[str, str]:
    """File of a model folder to its SHA-256, as ``SHA256SUMS`` says.

    Raises:
        ModelError: when there is none, or it names what is no file of the folder.
    """
    return _parse_sums(_read(uri, SUMS_FILE), uri)


def folder_in_lake(lake: str, use_case: str, sha256: str) -> str:
    """Return where a version's model folder lies in the lake once it has been shipped there.

    Raises:
        ConfigurationError, ModelError: when ``use_case`` is not a name or ``sha256`` not a SHA-256.
    """
    check_identifier(use_case, field="use_case")
    return f"{lake}/models/{use_case}/{check_sha256(sha256, of=f'a model of {use_case}', where=f'{lake}/models')}"


def _parse_sums(content: bytes, uri: str) -> dict[str, str]:
    """File to SHA-256; lines are as ``sha256sum`` writes them."""
    sums: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or not is_file_name(name) or name in (SUMS_FILE, *sums):
            raise ModelError(
                f"{SUMS_FILE} has a line that names no file of a model: {line!r:.200}",
                where=f"{uri}/{SUMS_FILE}",
                fix="do not score with this model; restore it, or promote another version",
            )
        sums[name] = digest
    return sums


def _read(uri: str, name: str) -> bytes:
    try:
        return files.read_bytes(f"{uri}/{name}")
    except FileNotFoundError as error:
        raise _lacks(name, f"{uri}/{name}") from error


@contextmanager
def _explained(name: str, uri: str) -> Iterator[None]:
    """Turn whatever a parser or an engine raises for a file into one error that names it."""
    try:
        yield
    except KeyError as error:
        raise _lacks(str(error), f"{uri}/{SUMS_FILE}") from error
    except NightjarError as error:
        raise ModelError(error.what, where=f"{uri}, {name}", how_many=error.how_many, fix=error.fix) from error
    except Exception as error:  # each engine has errors of its own
        raise ModelError(
            f"the model cannot be made of its files ({first_line(error)})",
            where=f"{uri}, {name}",
            fix="train again, with the versions of the engines that score",
        ) from error


def _lacks(name: str, where: str) -> ModelError:
    return ModelError(f"the model has no {name}", where=where, fix="train again, or restore it")


def _altered(where: str) -> ModelError:
    return ModelError(
        "the file is not the one that was trained (SHA-256 differs)",
        where=where,
        fix="restore the file, or promote another version; do not score with this one",
    )
