"""Paths that end in a name."""

from pathlib import Path

import pytest

from whorl.data.naming import named
from whorl.errors import UserError


def test_only_what_has_no_name_is_spelt_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert [named(Path(text)) for text in (".", "", "..", "../..", "c/..")] == [
        *(inner, inner, inner.parent, tmp_path, inner)
    ]
    for text in ("c", "../c", "c.d", "..."):
        assert named(Path(text)) == Path(text)
    with pytest.raises(UserError, match="is the root of all folders"):
        named(Path("/"))
