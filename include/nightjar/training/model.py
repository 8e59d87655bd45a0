"""Model folders: the members' files, ``model.json``, ``profile.json`` and ``SHA256SUMS``. No pickle.

A member is the trained model of one engine. A prediction is the calibrated weighted mean of the members' probabilities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Problem
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.problems.calibrators import Calibrator
from nightjar.problems.problem_type import ProblemType
from nightjar.problems.registry import problem_type
from nightjar.protocol.documents import dump_values, load_values, parse_object
from nightjar.protocol.errors import ModelError, NightjarError, first_line
from nightjar.protocol.names import check_identifier, check_sha256, is_file_name
from nightjar.training.data.encoding import check_columns, encode
from nightjar.training.engines.boosting import model as boosted
from nightjar.training.engines.columns import model as columns
from nightjar.training.engines.custom import model as custom
from nightjar.training.engines.lightgbm import model as lightgbm
from nightjar.training.engines.linear import baseline, constant, multinomial, ridge
from nightjar.training.engines.member import Member, MemberCard, outputs_of
from nightjar.training.engines.network import model as network
from nightjar.training.engines.two_tower import model as two_tower
from nightjar.training.recipe import DeclaredProblem

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

CARD_FILE = "model.json"
PROFILE_FILE = "profile.json"
SUMS_FILE = "SHA256SUMS"
FORMAT = 4


LOADERS: Mapping[str, Callable[[Mapping[str, bytes]], Member]] = {
    "logistic": baseline.load,
    "multinomial": multinomial.load,
    "ridge": ridge.load,
    "constant": constant.load,
    "columns": columns.load,
    "boosting": boosted.load,
    "lightgbm": lightgbm.load,
    "network": network.load,
    "custom": custom.load,
    "two_tower": two_tower.load,
}
"""Kind of a member to the function that loads it from the model folder's files."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Content of ``model.json``.

    Attributes:
        use_case: Name of the use case.
        features: Inputs, in the matrix's column order.
        categories: Categorical feature to its frozen vocabulary.
        label: Meaning of the label.
        prediction: Meaning of the output.
        problem: The problem type, with the costs from which decisions follow.
        members: Cards of the members.
        calibrator: Maps the members' common output to the model's.
        threshold: Decision threshold that was fitted on the validation days; None when nothing was to fit.
        seed: Seed of all random numbers.
        world_size: Number of ranks that trained it.
        validation_metric: Name of the metric that training watched on the validation days.
        validation_score: Its value.
        tables: Delta table name to the version that was read.
        seen: First and last label day of each interval that it or its base was trained and validated on; empty when
            unknown, in models of releases before 0.2.0.
    """

    use_case: str
    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    label: str
    prediction: str
    problem: DeclaredProblem
    members: tuple[MemberCard, ...]
    calibrator: Calibrator
    seed: int
    world_size: int
    validation_metric: str
    validation_score: float
    tables: Mapping[str, int]
    threshold: float | None = None
    seen: tuple[tuple[date, date], ...] = ()

    @property
    def engine(self) -> str:
        """Names of the libraries that trained it."""
        return " + ".join(member.engine for member in self.members)

    def to_json(self) -> str:
        """Return the content of ``model.json``."""
        return json.dumps({"format": FORMAT, **dump_values(self)}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelCard:
        """Parse the JSON of :meth:`to_json`.

        Raises:
            ModelError: for another format version.
        """
        document = parse_object(text)
        if (format_version := document.pop("format", None)) != FORMAT:
            raise ModelError(
                f"the model's format is {format_version!r:.100}, not {FORMAT}",
                where=CARD_FILE,
                fix="train again with this release",
            )
        card = load_values(cls, document)
        if not card.members:
            raise ValueError("it has no members")
        return card


@dataclass(frozen=True, kw_only=True)
class TabularModel:
    """A model that predicts the outputs of its problem type for each row of a feature table.

    Attributes:
        card: Its description.
        members: Trained members, in the order of the card.
        profile: JSON of the training rows' profile.
        sha256: SHA-256 of ``SHA256SUMS``, the checksum of the whole folder.
    """

    card: ModelCard
    members: tuple[Member, ...] = field(repr=False)
    profile: str = field(repr=False)
    sha256: str

    @property
    def problem(self) -> ProblemType:
        """The functions of its problem type."""
        return problem_type(self.card.problem, self.card.threshold)

    def member(self, name: str) -> Member:
        """Return the member of that name."""
        return self.members[[card.name for card in self.card.members].index(name)]

    @classmethod
    def load(cls, uri: str, *, sha256: str | None = None) -> TabularModel:
        """Load a model folder and check every file before it is used.

        Args:
            uri: The folder, on any store of the lake.
            sha256: Expected :attr:`sha256`; None accepts any folder whose files match its ``SHA256SUMS``.

        Raises:
            ModelError: naming the file that is missing, altered or invalid.
        """
        sums = _read(uri, SUMS_FILE)
        digest = hashlib.sha256(sums).hexdigest()
        if sha256 is not None and digest != sha256:
            raise _altered_file(f"{uri}/{SUMS_FILE}")
        content = {}
        for name, expected in _parse_sums(sums, uri).items():
            content[name] = _read(uri, name)
            if hashlib.sha256(content[name]).hexdigest() != expected:
                raise _altered_file(f"{uri}/{name}")
        if missing := [name for name in (CARD_FILE, PROFILE_FILE) if name not in content]:
            raise _missing_file(missing[0], f"{uri}/{SUMS_FILE}")
        with _model_errors(CARD_FILE, uri):
            card = ModelCard.from_json(content[CARD_FILE])
        with _model_errors(PROFILE_FILE, uri):
            profile = content[PROFILE_FILE].decode()
        members = []
        for member in card.members:
            with _model_errors(f"{member.name} of {CARD_FILE}", uri):
                members.append(LOADERS[member.kind](_content_of(member, content)))
        return cls(card=card, members=tuple(members), profile=profile, sha256=digest)

    def check(self, schema: pa.Schema, problem: Problem) -> None:
        """Check that the model can read a table and predicts what a use case asks for.

        Args:
            schema: Schema of the feature table.
            problem: The use case's problem.

        Raises:
            ModelError: when a column is missing or of another type, when the model predicts other columns, or when
                prediction fails for a row of NaN.
        """
        check_columns(schema, self.card.features)
        of_model = self.card.problem
        own, asked = (tuple(c.name for c in p.prediction_columns("prediction")) for p in (of_model, problem))
        if own != asked or of_model.kind != problem.kind:
            raise ModelError(
                f"the model predicts {', '.join(own)} ({of_model.kind}), and the use case asks for "
                f"{', '.join(asked)} ({problem.kind})",
                where=f"model {self.sha256[:12]}",
                fix="train a model for the problem that the use case declares now",
            )
        try:
            self.encode(schema.empty_table())
            self.predict_matrix(np.full((1, len(self.card.features)), np.nan, np.float32))
        except Exception as error:  # engines raise different errors
            raise ModelError(
                f"the model cannot predict ({first_line(error)})",
                where=f"model {self.sha256[:12]}",
                fix="train again, with the versions of the engines that score",
            ) from error

    def encode(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the members' input matrix (rows x features); see :func:`nightjar.training.data.encoding.encode`."""
        return encode(table, self.card.features, self.card.categories)

    def predict(self, table: pa.Table | pa.RecordBatch, *, threads: int = 1) -> NDArray[np.float64]:
        """Return the outputs of each row; they depend neither on other rows nor on ``threads``.

        See :class:`nightjar.problems.problem_type.ProblemType` for their shape.

        Raises:
            ModelError: when a column is missing or of another type.
        """
        return self.predict_matrix(self.encode(table), threads=threads)

    def predict_matrix(self, matrix: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float64]:
        """Return :meth:`predict` for encoded rows."""
        if not len(matrix):  # engines do not predict zero rows, and outputs have their shape all the same
            return self.predict_matrix(np.full((1, matrix.shape[1]), np.nan, np.float32), threads=threads)[:0]
        cards = zip(self.members, self.card.members, strict=True)
        weighted = [(member, card) for member, card in cards if card.weight]
        outputs = [outputs_of(member, card, matrix, threads=threads) for member, card in weighted]
        return self.card.calibrator.apply(self.problem.blend(outputs, [card.weight for _, card in weighted]))


def save(uri: str, card: ModelCard, members: Sequence[Member], profile: str) -> TabularModel:
    """Write a model folder. ``SHA256SUMS`` is written last: a folder without it is not a complete model.

    Args:
        uri: The folder, on any store of the lake.
        card: Description of the model.
        members: Trained members, in the order of the card.
        profile: JSON of the training rows' profile.
    """
    content = {CARD_FILE: card.to_json().encode(), PROFILE_FILE: profile.encode()}
    for member_card, member in zip(card.members, members, strict=True):
        content |= {_prefix_of(member_card) + name: data for name, data in member.content().items()}
    sums = "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content)).encode()
    for name, data in {**content, SUMS_FILE: sums}.items():
        files.write_bytes(f"{uri}/{name}", data)
    return TabularModel(card=card, members=tuple(members), profile=profile, sha256=hashlib.sha256(sums).hexdigest())


def _prefix_of(card: MemberCard) -> str:
    """Return the prefix of a member's file names; a member that is named by its kind has none."""
    return "" if card.name == card.kind else f"{card.name}-"


def _content_of(card: MemberCard, content: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return a member's files among those of the model folder, by the names that its loader knows."""
    prefix = _prefix_of(card)
    return {name.removeprefix(prefix): data for name, data in content.items() if name.startswith(prefix)}


def download(uri: str, folder: Path) -> None:
    """Copy a model folder from the lake to a local folder, from which MLflow uploads it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*read_sums(uri), SUMS_FILE):
        (folder / name).write_bytes(_read(uri, name))


def upload(folder: Path, uri: str) -> None:
    """Copy a local model folder to the lake, ``SHA256SUMS`` last: a folder without it is not a complete model."""
    for name in (*read_sums(str(folder)), SUMS_FILE):
        files.write_bytes(f"{uri}/{name}", (folder / name).read_bytes())


def read_sums(uri: str) -> dict[str, str]:
    """Return file name to SHA-256 from the ``SHA256SUMS`` of a model folder.

    Raises:
        ModelError: when the file is missing or has an invalid line.
    """
    return _parse_sums(_read(uri, SUMS_FILE), uri)


def folder_in_lake(lake: Lake, use_case: str, sha256: str) -> str:
    """Return the URI of a version's model folder in the lake, where :func:`nightjar.registry.models.ship` puts it.

    Raises:
        ConfigurationError, ModelError: when ``use_case`` is not a name or ``sha256`` not a SHA-256.
    """
    check_identifier(use_case, field="use_case")
    return f"{lake}/models/{use_case}/{check_sha256(sha256, of=f'a model of {use_case}', where=f'{lake}/models')}"


def _parse_sums(content: bytes, uri: str) -> dict[str, str]:
    """Return file name to SHA-256 from lines in the format of ``sha256sum``."""
    sums: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or not is_file_name(name) or name in (SUMS_FILE, *sums):
            raise ModelError(
                f"{SUMS_FILE} has an invalid line: {line!r:.200}",
                where=f"{uri}/{SUMS_FILE}",
                fix="do not score with this model; restore it, or promote another version",
            )
        sums[name] = digest
    return sums


def _read(uri: str, name: str) -> bytes:
    try:
        return files.read_bytes(f"{uri}/{name}")
    except FileNotFoundError as error:
        raise _missing_file(name, f"{uri}/{name}") from error


@contextmanager
def _model_errors(name: str, uri: str) -> Iterator[None]:
    """Turn any error of a parser or an engine into a :class:`ModelError` that names the file."""
    try:
        yield
    except KeyError as error:
        raise _missing_file(str(error), f"{uri}/{SUMS_FILE}") from error
    except NightjarError as error:
        raise ModelError(error.what, where=f"{uri}, {name}", how_many=error.how_many, fix=error.fix) from error
    except Exception as error:  # engines raise different errors
        raise ModelError(
            f"the model's files cannot be loaded ({first_line(error)})",
            where=f"{uri}, {name}",
            fix="train again, with the versions of the engines that score",
        ) from error


def _missing_file(name: str, where: str) -> ModelError:
    return ModelError(f"the model has no {name}", where=where, fix="train again, or restore it")


def _altered_file(where: str) -> ModelError:
    return ModelError(
        "the file is not the one that was trained (SHA-256 differs)",
        where=where,
        fix="restore the file, or promote another version; do not score with this one",
    )
