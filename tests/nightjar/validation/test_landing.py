from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.landed_nights import NIGHTS, SHOP, land_night, write_manifest

from nightjar.protocol.errors import SourceError
from nightjar.protocol.nights import Nights
from nightjar.validation.landing import check_landing

BOTH = Nights(first=NIGHTS[0], last=NIGHTS[1], timezone="UTC")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Land both nights, and return the folder of the first."""
    land_night(tmp_path, NIGHTS[1])
    return land_night(tmp_path, NIGHTS[0])


def refused(tmp_path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        check_landing(str(tmp_path), SHOP, BOTH)
    return caught.value


def test_whole_landing_gives_every_file(tmp_path: Path, folder: Path) -> None:
    landed = check_landing(str(tmp_path), SHOP, BOTH)
    assert [(file.night, file.source, file.rows) for file in landed] == [
        (NIGHTS[0], "orders", 8),
        (NIGHTS[0], "prices", 3),
        (NIGHTS[1], "orders", 8),
        (NIGHTS[1], "prices", 3),
    ]
    assert landed[0].header == ("shop", "number", "amount", "placed_at")
    written = datetime.fromtimestamp((folder / "orders.csv").stat().st_mtime, UTC)
    assert abs((landed[0].landed_at - written).total_seconds()) < 0.001


def test_landed_at_of_the_manifest_counts(tmp_path: Path, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["orders.csv"]["landed_at"] = "2013-04-02T01:00:00-04:00"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert check_landing(str(tmp_path), SHOP, BOTH)[0].landed_at == datetime(2013, 4, 2, 5, tzinfo=UTC)


def test_missing_file(tmp_path: Path, folder: Path) -> None:
    (folder / "prices.csv").unlink()
    error = refused(tmp_path)
    assert error.what == "prices.csv of night 2013-04-01 is missing"
    assert error.where == str(folder / "prices.csv")
    assert error.how_many == 1
    assert "deliver the night again" in error.fix


@pytest.mark.parametrize("name", ["orders.csv", "manifest.json"])
def test_a_landed_file_that_is_a_link_out_of_the_landing_is_refused(tmp_path: Path, folder: Path, name: str) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}_elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    error = refused(tmp_path)
    assert error.what == f"{name} of night 2013-04-01 is a link out of the landing"
    assert error.where == str(folder / name)


def test_a_night_that_is_a_link_out_of_the_landing_is_refused(tmp_path: Path, folder: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}_elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert refused(tmp_path).what.startswith("manifest.json of night 2013-04-01 is a link out of the landing")


def test_links_within_the_landing_and_to_the_landing_are_followed(tmp_path: Path, folder: Path) -> None:
    (folder / "orders.csv").rename(folder / "delivered.csv")
    (folder / "orders.csv").symlink_to("delivered.csv")
    linked = tmp_path.parent / f"{tmp_path.name}_linked"
    linked.symlink_to(tmp_path)
    assert len(check_landing(str(linked), SHOP, BOTH)) == 4


def test_missing_folder(tmp_path: Path, folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert refused(tmp_path).what == "nothing landed for night 2013-04-01: the folder is missing"


def test_missing_manifest(tmp_path: Path, folder: Path) -> None:
    (folder / "manifest.json").unlink()
    error = refused(tmp_path)
    assert "not complete: manifest.json is missing" in error.what
    assert error.where == str(folder / "manifest.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not an object"),
        ("{}", "orders.csv of night 2013-04-01 is not in manifest.json"),
        ('{"orders.csv": {"rows": 8}}', "no valid rows, bytes and sha256"),
        ("[" * 100_000, "is not JSON"),
        ('{"orders.csv": ' + "{" * 100_000, "is not JSON"),
        ('{"orders.csv": {"rows": 1e999, "bytes": 1, "sha256": ""}}', "Out of range float values"),
        ('{"orders.csv": {}, "orders.csv": {}}', "names 'orders.csv' twice"),
        ('{"orders.csv": {"rows": 8, "rows": 9}}', "names 'rows' twice"),
        ('{"orders.csv": {"rows": 8, "bytes": 1, "sha256": "", "landed_at": "2013-04-02T01:00"}}', "no time zone"),
    ],
)
def test_bad_manifest(tmp_path: Path, folder: Path, text: str, said: str) -> None:
    (folder / "manifest.json").write_text(text)
    assert said in refused(tmp_path).what


def test_empty_file(tmp_path: Path, folder: Path) -> None:
    (folder / "orders.csv").write_bytes(b"")
    assert refused(tmp_path).what == "orders.csv of night 2013-04-01 is empty (0 bytes)"


def test_truncated_file(tmp_path: Path, folder: Path) -> None:
    data = (folder / "orders.csv").read_bytes()
    (folder / "orders.csv").write_bytes(data[:100])
    assert refused(tmp_path).what == f"orders.csv of night 2013-04-01 is truncated: 100 bytes of {len(data)}"


def test_file_longer_than_landed(tmp_path: Path, folder: Path) -> None:
    with (folder / "orders.csv").open("a") as file:
        file.write("N,99,1,2013-04-01T00:00:00Z\n")
    assert "is longer than landed" in refused(tmp_path).what


def test_file_of_the_same_length_and_other_bytes(tmp_path: Path, folder: Path) -> None:
    data = (folder / "orders.csv").read_text()
    (folder / "orders.csv").write_text(data.replace("N,0,10", "N,0,90"))
    assert "SHA-256 differs" in refused(tmp_path).what


def test_other_schema_names_the_columns(tmp_path: Path, folder: Path) -> None:
    text = (folder / "orders.csv").read_text()
    (folder / "orders.csv").write_text(text.replace("shop,number,amount", "shop,shop,sum", 1))
    write_manifest(folder)
    assert refused(tmp_path).what == (
        "orders.csv of night 2013-04-01 has another schema: missing number (int), amount (double), unknown sum, "
        "repeated shop"
    )


def test_undeclared_columns_pass_and_are_named(tmp_path: Path, folder: Path) -> None:
    lines = (folder / "orders.csv").read_text().splitlines()
    (folder / "orders.csv").write_text("".join(f"{line},{'7' if i else 'note'}\n" for i, line in enumerate(lines)))
    write_manifest(folder)
    found = {file.source: file.unknown for file in check_landing(str(tmp_path), SHOP, BOTH) if file.night == NIGHTS[0]}
    assert found == {"orders": ("note",), "prices": ()}


def test_columns_may_come_in_another_order_and_after_a_byte_order_mark(tmp_path: Path, folder: Path) -> None:
    (folder / "prices.csv").write_text("\ufeffprice,item\r\n1,A\r\n")
    write_manifest(folder)
    assert check_landing(str(tmp_path), SHOP, BOTH)[1].header == ("price", "item")


def test_day_without_rows(tmp_path: Path, folder: Path) -> None:
    land_night(tmp_path, NIGHTS[0], {"orders.csv": []})
    assert refused(tmp_path).what == "orders.csv of night 2013-04-01 has a header and no rows"


def test_bytes_that_are_not_utf8(tmp_path: Path, folder: Path) -> None:
    (folder / "prices.csv").write_bytes("item,price\nCafé,1\n".encode("latin-1"))
    write_manifest(folder)
    assert "prices.csv of night 2013-04-01 is not UTF-8" in refused(tmp_path).what


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"item,price\rA,1\rB,2\r", "the header of prices.csv of night 2013-04-01 holds a carriage return alone"),
        (b"item,price," + b"x" * 131_073 + b"\nA,1,2\n", "column 3 of prices.csv .* has a name of 131073 letters"),
        (b"item,price," + b",".join(b"c%d" % i for i in range(40_000)) + b"\n", "has 40002 columns; at most 10000"),
        (b"item,price\nA," + b"1" * 20_000_000 + b"\n", r"line 2 of prices.csv .* has over \d+ bytes"),
        (b"x" * 2_000_000 + b"\n", r"the header of prices.csv .* has over \d+ bytes"),
    ],
    ids=["carriage returns", "long name", "many columns", "long line", "long header"],
)
def test_files_beyond_the_limits_are_refused_by_name(tmp_path: Path, folder: Path, content: bytes, said: str) -> None:
    (folder / "prices.csv").write_bytes(content)
    write_manifest(folder)
    error = refused(tmp_path)
    assert re.search(said, error.what)
    assert error.where == str(folder / "prices.csv")


def test_all_problems_of_the_interval_are_counted_and_the_first_named(tmp_path: Path, folder: Path) -> None:
    nights = Nights(first=NIGHTS[0], last=NIGHTS[0].replace(day=9), timezone="UTC")
    (folder / "orders.csv").write_bytes(b"")
    with pytest.raises(SourceError) as caught:
        check_landing(str(tmp_path), SHOP, nights)
    error = caught.value
    assert error.how_many == 8
    assert error.what.startswith(
        "orders.csv of night 2013-04-01 is empty (0 bytes); nothing landed for night 2013-04-03"
    )
    assert error.what.endswith("; and 3 more")
    assert error.where == f"{tmp_path}/shop, nights 2013-04-01..2013-04-09"
