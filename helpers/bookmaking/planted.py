"""The page on planted errors: which test caught each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def planted_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Markdown table of errors planted in the helpers and what caught each."""
    return "\n".join(
        [
            "| Chapter | Error | Caught by the test | Tried |",
            "| --: | :-- | :-- | :-- |",
            *(
                f"| {row['chapter']} | {row['error']} | `{row['caught by']}` | {row['date']} |"
                for row in rows
            ),
        ]
    )


#: As in :data:`helpers.bookmaking.performance.TABLES`.
TABLES = {"planted": ("<!-- planted errors -->", planted_table)}
