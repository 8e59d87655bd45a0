"""Landed files, their lines and their columns."""

from __future__ import annotations

import json

import pytest
from tests.landed_nights import orders_of, write_manifest
from tests.nightjar_spark.shop_lake import FIRST, SECOND, Shop, assert_stops

from nightjar.protocol.errors import RowCountError, SourceError

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("line", ["N,9,20,2013-04-01T01:00:00Z,extra", "N,9,20"])
def test_line_with_another_number_of_fields_is_kept_whole(shop: Shop, line: str) -> None:
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), line]})
    shop.ingest()
    ((_, rules, row),) = shop.rejected(FIRST)
    assert rules[0] == "well_formed_line"
    assert (row["line"], row["line_number"]) == (line, 10)
    assert row["problem"] == "the line has another number of fields than the header"


def test_quotes_and_commas_in_a_field_are_read(shop: Shop) -> None:
    shop.land(FIRST, {"prices.csv": ['"Nut, ""best"" kind",2', '"",3', '"  ",4']})
    result = shop.ingest()
    assert {row["item"] for row in shop.rows("raw/prices", FIRST)} == {'Nut, "best" kind', "  "}
    assert result.sources["prices"].broken_rules == {"item_not_null": 1}


def test_missing_empty_truncated_and_other_files_stop_before_anything_is_read(shop: Shop) -> None:
    folder = shop.land()
    whole = (folder / "orders.csv").read_bytes()
    (folder / "orders.csv").unlink()
    assert_stops(
        shop, SourceError, r"orders.csv of night 2013-04-01 is missing \| where: .*orders.csv \| how many: 1 \| do:"
    )
    (folder / "orders.csv").write_bytes(b"")
    assert_stops(shop, SourceError, r"is empty \(0 bytes\)")
    (folder / "orders.csv").write_bytes(whole[:-10])
    assert_stops(shop, SourceError, f"is truncated: {len(whole) - 10} bytes of {len(whole)}")
    (folder / "orders.csv").write_bytes(whole.replace(b"amount", b"sum"))
    write_manifest(folder)
    assert_stops(shop, SourceError, r"another schema: missing amount \(double\), unknown sum")
    shop.land(FIRST, {"orders.csv": []})
    assert_stops(shop, SourceError, "has a header and no rows")


def test_line_break_inside_a_quoted_field_is_text(shop: Shop) -> None:
    folder = shop.land(FIRST, {"prices.csv": ['"A\nB",1', "C,2"]})
    assert_stops(shop, RowCountError, "2 rows were read of prices.csv of night 2013-04-01, and its manifest promises 3")
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


def test_columns_in_another_order_are_read_by_name(shop: Shop) -> None:
    folder = shop.land()
    (folder / "prices.csv").write_text("price,item\n7,A\n")
    write_manifest(folder)
    shop.ingest(FIRST, SECOND)
    assert [(row["item"], row["price"]) for row in shop.rows("raw/prices", FIRST)] == [("A", 7.0)]
    assert len(shop.rows("raw/prices", SECOND)) == 3
