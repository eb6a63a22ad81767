"""Reading `.env`: damaged lines, and encodings other than UTF-8."""

from pathlib import Path

import pytest

from pipelines.settings import SettingsError, read_env_file

SECRET = "kXq81-secret"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f'A=1\n\nIPLUM_SECRET_KEY="{SECRET}\n'.encode(), 3),
        (f"A=1\nIPLUM_SECRET_KEY='{SECRET}\nB=2\n".encode(), 2),
        (f"A=1\nIPLUM_SECRET_KEY\nB={SECRET}\n".encode(), 2),
        (f"A=1\n# comment\n= {SECRET}\n".encode(), 3),
        (f"A=1\nB={SECRET}é\n".encode("latin-1"), 2),
        (f"A={SECRET}\n".encode("utf-16"), 1),
        (f"A={SECRET}\n".encode("utf-16-le"), 1),
    ],
)
def test_an_unreadable_line_is_refused_by_file_and_line(content: bytes, line: int, tmp_path: Path) -> None:
    """python-dotenv skips such lines, so that a sync would run with other settings than the file's."""
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert f"line {line} of {path}" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfA=1\r\nB='x y'\r\n", b'export A=1\n\n# comment\nB="x y" # why\n'])
def test_usual_forms_are_read(content: bytes, tmp_path: Path) -> None:
    """Editors on Windows write a byte order mark and carriage returns."""
    (tmp_path / ".env").write_bytes(content)
    assert read_env_file(tmp_path / ".env") == {"A": "1", "B": "x y"}


def test_a_missing_file_has_no_variables(tmp_path: Path) -> None:
    """Variables may all come from the process."""
    assert read_env_file(tmp_path / ".env") == {}
