"""Results of programs: one class each, and the same after JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.declaration.declared import hints_of
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.job import JobResult
from nightjar.protocol.programs import PLAIN_PROGRAMS, SPARK_PROGRAMS, TRAINING_PROGRAMS
from nightjar.protocol.results import RESULTS, GateResult, ReportDriftResult, TrainResult, parse_result

SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    date: st.dates(),
    type(None): st.none(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation allows, in containers of at most two."""
    if hint in SCALARS:
        return SCALARS[hint]
    if is_dataclass(hint):
        return st.builds(hint, **{name: values_of(of) for name, of in hints_of(hint).items()})
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values_of(args[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(values_of(args[0]), values_of(args[1]), max_size=2)
    return st.one_of([values_of(of) for of in args])  # a union


def test_every_program_that_reports_more_has_a_class() -> None:
    programs = {*SPARK_PROGRAMS, *TRAINING_PROGRAMS, *PLAIN_PROGRAMS}
    assert set(RESULTS) == programs - {"land"}
    assert all(issubclass(cls, JobResult) and program == cls.PROGRAM for program, cls in RESULTS.items())


@pytest.mark.parametrize("program", sorted(RESULTS))
@given(data=st.data())
@settings(max_examples=10)
def test_a_result_of_any_values_is_the_same_after_json(program: str, data: st.DataObject) -> None:
    result = replace(data.draw(values_of(RESULTS[program])), program=program, status="succeeded")
    assert parse_result(dump_json(result)) == result


def test_a_failure_has_only_the_fields_of_every_result() -> None:
    failed = JobResult(status="failed", program="gate", error="no champion", error_kind="model")
    assert parse_result(dump_json(failed)) == failed


def test_a_result_without_a_field_of_its_program_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"GateResult\.verdict: Field required, and 6 more"):
        parse_result(dump_json(JobResult(program="gate")))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("world_size", "2", "TrainResult.world_size: Input should be a valid integer, not '2'"),
        ("external_memory", 1, "TrainResult.external_memory: Input should be a valid boolean, not 1"),
        ("peak_memory_bytes", [1.5], "TrainResult.peak_memory_bytes.0: Input should be a valid integer"),
        ("compressed", {"int8": {}}, "TrainResult.compressed.int8.model: Field required"),
        ("compressed", [], "TrainResult.compressed: Input should be an object, not []"),
    ],
)
def test_a_value_of_another_type_is_refused_and_never_converted(field: str, value: Any, message: str) -> None:
    document = {
        "status": "succeeded", "program": "train", "model": "m", "model_sha256": "a",
        "baselines": {"baseline": "c"}, "training_set_sha256": "d", "world_size": 1, "external_memory": False,
        "device": "cpu", "peak_memory_bytes": [1],
    }  # fmt: skip
    assert isinstance(parse_result(json.dumps(document)), TrainResult)
    with pytest.raises(ValueError, match="TrainResult") as caught:
        parse_result(json.dumps({**document, field: value}))
    assert str(caught.value).startswith(message)


def test_a_field_of_another_type_is_not_written() -> None:
    gate: Any = {
        "verdict": "keep", "reasons": ["a list"], "model_version": "1", "candidate": "full", "candidates": {},
        "champion_version": None, "champion_note": "",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"Expected `tuple\[str, \.\.\.\]`"):
        dump_json(GateResult(**gate))


def test_equal_results_have_equal_text_whatever_the_order_of_their_mappings() -> None:
    nights = [date(2013, 4, 2), date(2013, 4, 1)]
    first, second = (
        JobResult(outputs={str(night): night.day for night in order}) for order in (nights, list(reversed(nights)))
    )
    assert dump_json(first) == dump_json(second)


def test_nights_are_keys_in_iso_format() -> None:
    text = dump_json(
        ReportDriftResult(verdict="stable", report="/x", drifted_columns=(), nights={}, notes=(), inputs={"a": 1})
    )
    document = {**json.loads(text), "program": "report_drift"}
    document["nights"] = {"2013-04-01": {"verdict": "drift", "report": "/y", "drifted_columns": ["x"]}}
    result = parse_result(json.dumps(document))
    assert isinstance(result, ReportDriftResult)
    assert result.nights[date(2013, 4, 1)].drifted_columns == ("x",)


def test_every_class_is_documented_field_by_field() -> None:
    for cls in RESULTS.values():
        own = {field.name for field in fields(cls)} - {field.name for field in fields(JobResult)}
        for parent in (base for base in cls.__mro__ if is_dataclass(base) and base is not JobResult):
            own -= {name for name in own if f"{name}:" in (parent.__doc__ or "")}
        assert not own, (cls.__name__, own)
        assert get_type_hints(cls)


def test_a_document_with_an_unknown_name_is_refused_where_every_name_counts() -> None:
    with pytest.raises(ValueError, match="Unexpected keyword argument"):
        load_json(JobResult, '{"status": "succeeded", "later": 1}')
