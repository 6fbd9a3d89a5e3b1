"""``docs/settings.md`` is what the code says."""

from __future__ import annotations

from source_tree import ROOT

from pipelines.settings.document import document


def test_the_page_is_generated_from_the_code() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m pipelines.settings.document > docs/settings.md"


def test_every_setting_says_what_it_means() -> None:
    assert [line for line in document().splitlines() if line.startswith("| `") and line.endswith("|  |")] == []
