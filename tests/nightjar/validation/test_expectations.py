from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.landed_nights import NIGHTS, SHOP

from nightjar.declaration.rules import Rule
from nightjar.lake.lake import Lake
from nightjar.validation.data_docs import docs_uri, local_site
from nightjar.validation.expectations import TableCheck, Verdict, counts_frame, validate
from nightjar.validation.night_count import NightCount
from nightjar.validation.table_rules import table_rules

FIRST, SECOND = NIGHTS
ODD = Rule(name="odd", broken_when="number % 2 = 1", reason="number is odd (costs $1)", severity="warn")
RULES = (*table_rules(SHOP.feature_table, SHOP.features.rules), ODD)


def check(*, rows: int = 8, expected: int = 8, missing: tuple[str, ...] = (), **broken: int) -> TableCheck:
    return TableCheck(
        table="features/shop",
        rules=RULES,
        counts=[
            NightCount(night=FIRST, rows=8, rejected=0, broken={}),
            NightCount(night=SECOND, rows=rows, rejected=0, broken=broken),
        ],
        nights=NIGHTS,
        missing_columns=missing,
        expected_rows={FIRST: 8, SECOND: expected},
    )


def judge(tmp_path: Path, *checks: TableCheck) -> Verdict:
    return validate(checks, site=str(tmp_path / "site"), run_name="run")


def test_kept_contract_passes_with_a_page(tmp_path: Path) -> None:
    verdict = judge(tmp_path, check())
    assert verdict.success
    assert not verdict.tables[0].failed
    page = (tmp_path / "site" / verdict.tables[0].page).read_text()
    assert "No row breaks key_unique" in page
    assert "No row breaks odd: number is odd (costs $1)" in page


@pytest.mark.parametrize(
    ("looked_at", "failed"),
    [
        (check(amount_between=1), "No row breaks amount_between: amount is outside 0 to 500 euros"),
        (check(rows=0, expected=0), "Every night has rows"),
        (check(rows=7), "Every night has the rows of its source"),
        (check(missing=("amount",)), "All declared columns are there"),
    ],
)
def test_broken_contract_fails(tmp_path: Path, looked_at: TableCheck, failed: str) -> None:
    verdict = judge(tmp_path, looked_at)
    assert not verdict.success
    assert list(verdict.tables[0].failed) == [failed]
    assert "Failed" in (tmp_path / "site" / verdict.tables[0].page).read_text()


def test_warning_does_not_fail(tmp_path: Path) -> None:
    assert judge(tmp_path, check(odd=3)).success


def test_one_failed_table_fails_the_run(tmp_path: Path) -> None:
    other = TableCheck(table="raw/orders", rules=(), counts=check().counts, nights=NIGHTS)
    verdict = judge(tmp_path, check(key_unique=2), other)
    assert [table.success for table in verdict.tables] == [False, True]
    assert not verdict.success


def test_verdict_without_tables_is_not_a_success() -> None:
    assert not Verdict(tables=[]).success


def test_pages_load_nothing_from_other_hosts_and_the_index_lists_both_runs(tmp_path: Path) -> None:
    judge(tmp_path, check())
    judge(tmp_path, check(key_unique=2))
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?https?://""", page.read_text()), page
    index = (tmp_path / "site/index.html").read_text()
    assert index.count("features_shop</a>") == 2
    assert (index.count("all kept"), index.count("some broken")) == (1, 1)


def test_nights_without_rows_are_lines_too() -> None:
    frame = counts_frame(TableCheck(table="t", rules=RULES, counts=[], nights=NIGHTS))
    assert frame["rows"].tolist() == [0, 0]
    names = [rule.name for rule in RULES]
    assert list(frame.columns) == ["ds", "rows", "missing_columns", *names, "_rejected_share", "_anomalies"]


def test_site_of_an_object_store_comes_down_and_goes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import fs

    from nightjar.lake import files

    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())  # not a LocalFileSystem: treated as remote
    monkeypatch.setattr(files, "filesystem", lambda uri: (store, uri.removeprefix("s3://")))
    uri = docs_uri(Lake("s3://lake"), "shop")
    (tmp_path / "lake/data_docs/shop").mkdir(parents=True)
    for name in ("first", "second"):
        with local_site(uri) as folder:
            assert not Path(folder).is_relative_to(tmp_path)
            (Path(folder) / f"{name}.html").write_text(name)
    assert sorted(path.name for path in (tmp_path / "lake/data_docs/shop").iterdir()) == ["first.html", "second.html"]
