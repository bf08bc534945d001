"""The page says what the kept rows say: nobody edits its figures by hand."""

from __future__ import annotations

import peers_report
import peers_rows
from contest import GPU_PEERS, NATIVE, OURS, WASM_PEERS
from report import PAGE


def test_the_contest_on_the_page_is_what_was_kept() -> None:
    assert peers_report.text_of(peers_rows.kept()) in PAGE.read_text()


def test_no_ratio_is_kept_without_both_of_its_speeds() -> None:
    everyone = {*OURS, *WASM_PEERS, *GPU_PEERS, *NATIVE}
    for row in peers_rows.kept().values():
        assert {*row["gflops"], *row["failed"]} <= everyone
        assert not set(row["gflops"]) & set(row["failed"])
        for ours, others in row["ratios"].items():
            assert {ours, *others} <= set(row["gflops"])
