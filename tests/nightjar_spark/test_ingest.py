from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.declarations import with_fields
from tests.landed_nights import NIGHTS, ORDERS, PRICES, SHOP, land_night, orders_of, shop_spec, tolerant, write_manifest
from tests.small_disk import fill, small_disk

from nightjar.declaration.rules import Rule, volume
from nightjar.declaration.use_case import UseCase
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_nights
from nightjar.monitoring.data_quality.table import data_findings
from nightjar.protocol.errors import (
    ConfigurationError,
    ContractError,
    RowCountError,
    SourceError,
    StorageFullError,
)
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import SourceRows
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST, SECOND = NIGHTS
RAW = ("raw/orders", "raw/prices")


class Shop:
    """The small use case's lake and landing, and its ingest."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark = spark
        self.lake = str(root / "lake")
        self.landing = root / "landing"

    def ingest(self, first: date = FIRST, last: date | None = None, *, use_case: UseCase = SHOP) -> JobResult:
        from nightjar_spark.ingest import ingest

        spec = shop_spec("ingest", self.lake, first, last or first)
        return ingest(self.spark, spec, use_case, str(self.landing))

    def land(self, night: date = FIRST, lines: Mapping[str, Sequence[str]] | None = None) -> Path:
        return land_night(self.landing, night, lines)

    def rows(self, name: str, *nights: date) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_nights(Lake(self.lake).open_table(name), nights or NIGHTS).to_pylist()
        return sorted(found, key=lambda row: json.dumps(row, default=str))

    def versions(self) -> dict[str, int]:
        return {name: Lake(self.lake).open_table(name).version() for name in RAW}

    def rejected(self, *nights: date) -> list[tuple[str, list[str], dict[str, Any]]]:
        rows = self.rows("quarantine/shop", *nights)
        return [(row["table_name"], row["rules"], json.loads(row["row_json"])) for row in rows]


@pytest.fixture
def shop(spark: SparkSession, ingested_shop: Path, tmp_path: Path) -> Shop:
    """Both nights landed and ingested: the last good tables."""
    shutil.copytree(ingested_shop, tmp_path, dirs_exist_ok=True)
    return Shop(spark, tmp_path)


def stopped(shop: Shop, kind: type[Exception], match: str, *, use_case: UseCase = SHOP) -> Any:
    """Ingest the first night, see it stop with ``kind``, and see the raw tables as they were."""
    versions, rows = shop.versions(), {name: shop.rows(name) for name in RAW}
    with pytest.raises(kind, match=match) as caught:
        shop.ingest(use_case=use_case)
    assert shop.versions() == versions
    assert {name: shop.rows(name) for name in RAW} == rows
    return caught.value


def test_clean_nights_become_raw_tables(shop: Shop) -> None:
    result = shop.ingest(FIRST, SECOND)
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (22, 22, 0)
    assert result.sources["orders"] == SourceRows(rows_in=16, rows_out=16, rows_rejected=0, broken_rules={})
    assert result.outputs == {**shop.versions(), "quarantine/shop": 1}
    row = shop.rows("raw/orders", FIRST)[0]
    written = datetime.fromtimestamp((shop.landing / "shop/2013-04-01/orders.csv").stat().st_mtime, UTC)
    assert row == {
        "shop": "N",
        "number": 0,
        "amount": 10.0,
        "placed_at": datetime(2013, 4, 1, 0, 30, tzinfo=UTC),
        "source_file": "shop/2013-04-01/orders.csv",
        "landed_at": row["landed_at"],
        "ds": FIRST,
    }
    assert abs(row["landed_at"] - written) < timedelta(milliseconds=1)
    assert shop.rejected() == []


def test_rerun_gives_the_same_rows_and_no_new_version(shop: Shop) -> None:
    before, versions = {name: shop.rows(name) for name in RAW}, shop.versions()
    shop.ingest(FIRST, SECOND)
    assert {name: shop.rows(name) for name in RAW} == before
    assert shop.versions() == versions


def test_warnings_are_reported_and_keep_their_rows(shop: Shop) -> None:
    result = shop.ingest()
    assert result.sources["prices"].broken_rules == {"price_known": 1}
    assert [row["price"] for row in shop.rows("raw/prices", FIRST)] == [1.5, None, 3.0]


def test_rows_out_of_contract_go_to_quarantine_as_they_landed(shop: Shop) -> None:
    """Each case: a line, the rules that it breaks, and some of its fields as they landed."""
    cases: list[tuple[str, list[str], dict[str, Any]]] = [
        ("N,,20,2013-04-01T01:00:00Z", ["number_not_null"], {"number": None}),
        ("NA,20,20,2013-04-01T01:00:00Z", ["shop_not_null"], {"shop": None}),
        ("N,x1,20,2013-04-01T01:00:00Z", ["number_parses", "number_not_null"], {"number": "x1"}),
        ("N,21,twenty,2013-04-01T01:00:00Z", ["amount_parses"], {"amount": "twenty"}),
        ("N,22,1001,2013-04-01T01:00:00Z", ["amount_between"], {"amount": "1001"}),
        ("N,23,-1,2013-04-01T01:00:00Z", ["amount_between"], {"amount": "-1"}),
        ("W,24,20,2013-04-01T01:00:00Z", ["shop_one_of"], {"shop": "W"}),
        ("N,25,20,2013-04-02T00:00:00Z", ["placed_in_day"], {"placed_at": "2013-04-02T00:00:00Z"}),
        ("N,26,20,2013-03-31T23:59:59Z", ["placed_in_day"], {"placed_at": "2013-03-31T23:59:59Z"}),
        ("N,27,20,", ["placed_at_not_null"], {"placed_at": None}),
        ("N,28,20,soon", ["placed_at_parses", "placed_at_not_null"], {"placed_at": "soon"}),
        ("W,29,9999,2013-04-01T01:00:00Z", ["shop_one_of", "amount_between"], {"shop": "W", "amount": "9999"}),
    ]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *(line for line, _, _ in cases)]})
    result = shop.ingest(use_case=tolerant(0.9))
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (23, 11, 12)
    broken = Counter(rule for _, rules, _ in cases for rule in rules)
    assert result.sources["orders"].broken_rules == broken
    names = ("shop", "number", "amount", "placed_at")
    rejected = {tuple(row[name] for name in names): (table, rules, row) for table, rules, row in shop.rejected(FIRST)}
    assert len(rejected) == 12
    for line, rules, kept in cases:
        fields = [None if field in {"", "NA"} else field for field in line.split(",")]
        table, found, row = rejected[tuple(fields)]
        assert (table, found) == ("raw/orders", rules), line
        assert {name: row[name] for name in kept} == kept
        assert sorted(row) == sorted(names)
    assert len(shop.rows("raw/orders", FIRST)) == 8


@pytest.mark.parametrize("line", ["N,9,20,2013-04-01T01:00:00Z,extra", "N,9,20"])
def test_line_with_another_number_of_fields_is_kept_whole(shop: Shop, line: str) -> None:
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), line]})
    shop.ingest()
    ((_, rules, row),) = shop.rejected(FIRST)
    assert rules[0] == "well_formed_line"
    assert (row["line"], row["line_number"]) == (line, 10)
    assert row["problem"] == "the line has another number of fields than the header"


def test_a_row_on_which_a_rule_cannot_be_computed_goes_to_quarantine_or_is_warned_of(shop: Shop) -> None:
    rules = (
        Rule(name="ratio", broken_when="100 / (amount - 12) > 1000", reason="the ratio is too high"),
        Rule(name="day", broken_when="make_date(2013, 2, number + 23) IS NULL", reason="no such day", severity="warn"),
    )
    orders = replace(ORDERS, rules=(*ORDERS.rules, *rules))
    result = shop.ingest(use_case=with_fields(SHOP, data={"sources": (orders, PRICES)}))
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (11, 10, 1)
    assert result.sources["orders"].broken_rules == {"ratio": 1, "day": 2}
    ((table, broken, row),) = shop.rejected(FIRST)
    assert (table, broken, row["amount"]) == ("raw/orders", ["ratio"], "12")


def test_quotes_and_commas_in_a_field_are_read(shop: Shop) -> None:
    shop.land(FIRST, {"prices.csv": ['"Nut, ""best"" kind",2', '"",3', '"  ",4']})
    result = shop.ingest()
    assert {row["item"] for row in shop.rows("raw/prices", FIRST)} == {'Nut, "best" kind', "  "}
    assert result.sources["prices"].broken_rules == {"item_not_null": 1}


def test_every_row_of_a_duplicate_key_is_rejected(shop: Shop) -> None:
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), "N,0,99,2013-04-01T03:00:00Z"]})
    result = shop.ingest()
    assert result.rows_rejected == 2
    assert {(tuple(rules), row["amount"]) for _, rules, row in shop.rejected(FIRST)} == {
        (("key_unique",), "10"),
        (("key_unique",), "99"),
    }
    assert (0, "N") not in {(row["number"], row["shop"]) for row in shop.rows("raw/orders", FIRST)}


def test_same_key_in_two_nights_is_no_duplicate(shop: Shop) -> None:
    assert len(shop.rows("raw/orders")) == 16


def test_beyond_the_tolerance_the_night_stops_and_the_quarantine_shows_why(shop: Shop) -> None:
    bad = [f"N,{i},2000,2013-04-01T01:00:00Z" for i in range(20, 24)]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *bad]})
    error = stopped(shop, ContractError, "raw/orders, night 2013-04-01: 4 of 12 rows rejected")
    assert "most by amount_between (4 rows: amount is outside 0 to 1000 euros)" in error.what
    assert error.where.startswith(f"{shop.lake}/data_docs/shop/validations/raw_orders/")
    assert error.how_many == 4
    assert "then clear the task" in error.fix
    assert [rules for _, rules, _ in shop.rejected(FIRST)] == [["amount_between"]] * 4


def test_tolerance_of_the_source_decides(shop: Shop) -> None:
    bad = [f"N,{i},2000,2013-04-01T01:00:00Z" for i in range(20, 24)]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *bad]})
    assert shop.ingest(use_case=tolerant(0.4)).rows_rejected == 4


def test_stop_night_rule_stops_at_one_row(shop: Shop) -> None:
    shop.land(FIRST, {"prices.csv": ["A,1.5", "B,101"]})
    stopped(shop, ContractError, r"raw/prices, night 2013-04-01: 1 of 2 .* price_between stops the night")
    assert shop.rejected(FIRST) == [("raw/prices", ["price_between"], {"item": "B", "price": "101"})]


def test_missing_empty_truncated_and_other_files_stop_before_anything_is_read(shop: Shop) -> None:
    folder = shop.land()
    whole = (folder / "orders.csv").read_bytes()
    (folder / "orders.csv").unlink()
    stopped(
        shop, SourceError, r"orders.csv of night 2013-04-01 is missing \| where: .*orders.csv \| how many: 1 \| do:"
    )
    (folder / "orders.csv").write_bytes(b"")
    stopped(shop, SourceError, r"is empty \(0 bytes\)")
    (folder / "orders.csv").write_bytes(whole[:-10])
    stopped(shop, SourceError, f"is truncated: {len(whole) - 10} bytes of {len(whole)}")
    (folder / "orders.csv").write_bytes(whole.replace(b"amount", b"sum"))
    write_manifest(folder)
    stopped(shop, SourceError, r"another schema: missing amount \(double\), unknown sum")
    shop.land(FIRST, {"orders.csv": []})
    stopped(shop, SourceError, "has a header and no rows")


def test_line_break_inside_a_quoted_field_is_text(shop: Shop) -> None:
    folder = shop.land(FIRST, {"prices.csv": ['"A\nB",1', "C,2"]})
    stopped(shop, RowCountError, "2 rows were read of prices.csv of night 2013-04-01, and its manifest promises 3")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["prices.csv"]["rows"] = 2
    (folder / "manifest.json").write_text(json.dumps(manifest))
    shop.ingest()
    assert [row["item"] for row in shop.rows("raw/prices", FIRST)] == ["A\nB", "C"]


def test_every_line_is_held_to_the_file_s_own_header_and_to_its_quoting(shop: Shop) -> None:
    bad = {
        3: "4,5",
        4: "6,7,8,9,10",
        5: 'x,$78.07"All-Weather Table, Round",2',
        6: 'x,"2"x,3',
        7: 'x,48\\",4',
        9: 'x,"open,6',
        10: "note,item,price",
        11: "x,nul\0,8",
    }
    good = {2: "x,A,1", 8: 'x,"E, F",5', 12: 'x,"G ""g""",7'}
    folder = shop.land()
    lines = ["note,item,price", *({**bad, **good}[number] for number in range(2, 13))]
    (folder / "prices.csv").write_text("".join(f"{line}\n" for line in lines))
    write_manifest(folder)
    result = shop.ingest()
    assert {row["item"]: row["price"] for row in shop.rows("raw/prices", FIRST)} == {"A": 1, "E, F": 5, 'G "g"': 7}
    rejected = [(row["line_number"], row["line"], rules[0]) for _, rules, row in shop.rejected(FIRST)]
    assert sorted(rejected) == [(number, line, "well_formed_line") for number, line in bad.items()]
    assert result.rows_in == result.rows_out + result.rows_rejected
    assert any("note: undeclared column" in warning for warning in result.warnings)


def test_a_column_that_differs_in_case_alone_or_has_a_name_of_ours_passes_with_a_warning(shop: Shop) -> None:
    folder = shop.land()
    header = "item,Item,malformed_line,text,ds,__nightjar_text,broken_rules,rows_of_key,source_file,price"
    (folder / "prices.csv").write_text(f"{header}\nA,B,1,2,3,4,5,6,7,1.5\n")
    write_manifest(folder)
    result = shop.ingest()
    assert [(row["item"], row["price"]) for row in shop.rows("raw/prices", FIRST)] == [("A", 1.5)]
    unknown = [warning for warning in result.warnings if "undeclared column" in warning]
    assert len(unknown) == 8


def test_interval_in_the_future(shop: Shop) -> None:
    versions = shop.versions()
    with pytest.raises(ConfigurationError, match="reaches into the future"):
        shop.ingest(FIRST, datetime.now(UTC).date() + timedelta(days=1))
    assert shop.versions() == versions


def test_corrected_night_replaces_exactly_that_night(shop: Shop) -> None:
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), "W,9,20,2013-04-01T01:00:00Z"]})
    shop.land(SECOND, {"orders.csv": [*orders_of(SECOND), "W,9,20,2013-04-02T01:00:00Z"]})
    shop.ingest(FIRST, SECOND)
    other = {name: shop.rows(name, SECOND) for name in (*RAW, "quarantine/shop")}
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST, 5), "S,9,20,2013-04-01T01:00:00Z"]})
    shop.ingest(FIRST)
    assert sorted(row["number"] for row in shop.rows("raw/orders", FIRST)) == [0, 1, 2, 3, 4, 9]
    assert shop.rejected(FIRST) == []
    assert len(shop.rejected(SECOND)) == 1
    assert {name: shop.rows(name, SECOND) for name in other} == other


def test_columns_in_another_order_are_read_by_name(shop: Shop) -> None:
    folder = shop.land()
    (folder / "prices.csv").write_text("price,item\n7,A\n")
    write_manifest(folder)
    shop.ingest(FIRST, SECOND)
    assert [(row["item"], row["price"]) for row in shop.rows("raw/prices", FIRST)] == [("A", 7.0)]
    assert len(shop.rows("raw/prices", SECOND)) == 3


def test_full_disk_stops_with_what_to_do_and_leaves_the_tables(shop: Shop, spark: SparkSession, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 32 * 1024) as disk:
        tight = Shop(spark, disk)
        tight.landing = shop.landing
        tight.ingest()
        before, versions = {name: tight.rows(name) for name in RAW}, tight.versions()
        filler = fill(disk)
        with pytest.raises(StorageFullError, match=r"no space left .* do: free space"), from_workers():
            tight.ingest()
        filler.unlink()
        assert tight.versions() == versions
        assert {name: tight.rows(name) for name in RAW} == before


FIELD = st.sampled_from(["N", "S", "W", "NA", "", "0", "1", "7", "-5", "1e9", "2013-04-01T02:00:00Z", "x,y", '5"'])


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(lines=st.lists(st.lists(FIELD, min_size=1, max_size=6).map(",".join), min_size=1, max_size=25))
def test_rows_in_are_rows_out_and_rejected_whatever_lands(shop: Shop, lines: list[str]) -> None:
    lines = [line if line.strip() else "NA" for line in lines]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *lines]})
    result = shop.ingest(use_case=tolerant(1.0))
    assert result.rows_in == 8 + len(lines) + 3
    assert result.rows_in == result.rows_out + result.rows_rejected
    kept, rejected = shop.rows("raw/orders", FIRST), shop.rejected(FIRST)
    assert len(kept) + len(rejected) == 8 + len(lines)
    assert all(0 <= row["amount"] <= 1000 for row in kept if row["amount"] is not None)
    assert len({(row["shop"], row["number"]) for row in kept}) == len(kept)
    assert all(rules for _, rules, _ in rejected)


def test_real_nights_of_flights(spark: SparkSession, tmp_path: Path) -> None:
    from nightjar.protocol.nights import Nights
    from nightjar_spark.ingest import ingest
    from use_cases.flight_delay.landing import land
    from use_cases.flight_delay.use_case import USE_CASE

    first, last = date(2013, 3, 9), date(2013, 3, 11)  # clocks go forward on the 10th: 23 hours of weather
    landing = str(tmp_path / "landing")
    land(Nights(first=first, last=last, timezone=USE_CASE.schedule.timezone), landing)
    lake = str(tmp_path / "lake")
    spec = JobSpec(
        program="ingest",
        use_case="flight_delay",
        first_night=first,
        last_night=last,
        dag_id="flight_delay_history",
        run_id="manual__1",
        task_id="ingest",
        lake=lake,
    )
    result = ingest(spark, spec, USE_CASE, landing)
    assert result.rows_rejected == 0
    assert result.rows_in == result.rows_out
    weather = read_nights(Lake(lake).open_table("raw/weather"), [date(2013, 3, 10)]).to_pylist()
    assert len(weather) == 23 * 3
    flights = read_nights(Lake(lake).open_table("raw/flights"), [last]).to_pylist()
    schedule = read_nights(Lake(lake).open_table("raw/schedule"), [date(2013, 3, 10)]).to_pylist()
    key = ("carrier", "flight", "origin")
    assert {tuple(row[k] for k in key) for row in flights} == {tuple(row[k] for k in key) for row in schedule}


def figures(shop: Shop, night: date) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["table_name"], row["column_name"]): row for row in shop.rows("monitoring/landing", night)}


def test_figures_of_what_landed_are_kept_for_the_next_nights(shop: Shop) -> None:
    found = figures(shop, FIRST)
    assert (found["raw/orders", ""]["rows"], found["raw/orders", ""]["nulls"]) == (8, 0)
    amount = found["raw/orders", "amount"]
    assert (amount["mean"], amount["minimum"], amount["maximum"], amount["distinct_values"]) == (13.5, 10, 17, 8)
    assert json.loads(found["raw/orders", "shop"]["categories"]) == {"N": 0.5, "S": 0.5}
    assert found["raw/orders", "placed_at"]["maximum"] == 7.5  # hours since the night's first midnight
    assert found["raw/prices", "price"]["nulls"] == 1


def history(shop: Shop, nights: int = 20) -> date:
    """Land and ingest a number of ordinary nights; return the next night."""
    after = FIRST + timedelta(days=nights)
    for night in (FIRST + timedelta(days=i) for i in range(nights)):
        lines = [f"{'NS'[i % 2]},{i},{10 + i + night.day % 3 / 10},{night}T{i:02d}:30:00Z" for i in range(20)]
        shop.land(night, {"orders.csv": lines})
    shop.ingest(FIRST, after - timedelta(days=1), use_case=WATCHED)
    return after


WATCHED = with_fields(SHOP, data={"sources": (replace(ORDERS, night_rules=(volume(0.6, 1.6),)), PRICES)})


def test_a_rule_of_nights_stops_the_night_and_leaves_its_warning_and_page(shop: Shop) -> None:
    night = history(shop)
    shop.land(night, {"orders.csv": orders_of(night)})
    before = shop.versions()
    with pytest.raises(ContractError) as caught:
        shop.ingest(night, use_case=WATCHED)
    assert caught.value.what == (
        f"raw/orders, night {night}: raw/orders: rows 8 rows, expected 12 to 32; usually 20 "
        "(the night is truncated, duplicated, or another night's data)"
    )
    assert "rows 8 rows, expected 12 to 32" in Path(caught.value.where).read_text()
    assert shop.versions() == before
    (stop,) = [row for row in shop.rows("monitoring/warnings", night) if row["severity"] == "stop_night"]
    assert (stop["rule"], stop["observed"], stop["low"], stop["high"], stop["usual"]) == ("volume", 8, 12, 32, 20)
    assert figures(shop, night) == {}  # a refused night says nothing of what is usual


def test_undeclared_columns_and_anomalies_warn_and_the_night_continues(shop: Shop) -> None:
    night = history(shop)
    lines = [f"{'NS'[i % 2]},{i},{500 + i},{night}T{i:02d}:30:00Z" for i in range(20)]
    folder = shop.land(night, {"orders.csv": lines})
    prices = (folder / "prices.csv").read_text().splitlines()
    (folder / "prices.csv").write_text("".join(f"{line},{'x' if i else 'note'}\n" for i, line in enumerate(prices)))
    write_manifest(folder)
    result = shop.ingest(night, use_case=WATCHED)
    assert result.rows_out == 23
    warned = {(row["column_name"], row["figure"]) for row in shop.rows("monitoring/warnings", night)}
    assert {("amount", "mean"), ("amount", "p50"), ("note", "unknown_column"), ("", "price_known")} <= warned
    findings = {(finding.kind, finding.subject): finding for finding in data_findings(Lake(shop.lake), "shop", night)}
    assert findings.keys() == {("data", "raw/orders"), ("data", "raw/prices"), ("contract", "raw/prices")}
    orders = findings["data", "raw/orders"]
    assert orders.severity_ratio > 1
    assert orders.severity == "warn"
    assert "raw/orders.amount: " in orders.what
    assert "; and " in orders.what
    assert findings["contract", "raw/prices"].what == "raw/prices.note: undeclared column; it was not read"
    assert shop.ingest(night, use_case=WATCHED).warnings == result.warnings


def test_a_contract_that_breaks_its_readers_stops_before_anything_is_read(shop: Shop) -> None:
    columns = tuple(replace(c, unit="cents") if c.name == "amount" else c for c in ORDERS.table.columns)
    changed = with_fields(
        SHOP, data={"sources": (replace(ORDERS, table=replace(ORDERS.table, columns=columns)), PRICES)}
    )
    before = shop.versions()
    with pytest.raises(ContractError, match=r"raw/orders\.amount: unit none -> cents"):
        shop.ingest(use_case=changed)
    assert shop.versions() == before
    assert shop.ingest(use_case=with_fields(changed, data={"contract_version": 2})).status == "succeeded"
    (*_, last) = ledger.read(Lake(shop.lake), event="contract").to_pylist()
    assert last["reason"] == "raw/orders.amount: unit none -> cents"
