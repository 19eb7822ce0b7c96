"""`analysis tables`: what is committed is what the committed inputs make."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT, Command

pytestmark = pytest.mark.slow

OF_PUBLISHED = ("recipes-cifar10-16px", "label-sets-cifar100")
ELSEWHERE = (
    "reference-check.csv",
    "reference-check.bib",
    *(f"{name}.{ending}" for name in OF_PUBLISHED for ending in ("csv", "md", "tex")),
)
"""Made from published files that are not part of the project."""


def test_making_the_tables_again_changes_no_byte(command: Command, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    ended = command("analysis", "tables", "--output", "made")
    assert (ended.code, ended.err) == (0, "")
    assert command("analysis", "label-sets", "--output", "made").code == 0
    folders = tmp_path / "made", ROOT / "results/tables"
    made, committed = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert sorted(made) == sorted(committed.keys() - set(ELSEWHERE))
    stale = [name for name in made if made[name] != committed[name]]
    assert stale == [], "run `make tables`"


def test_a_file_of_accuracies_is_judged_by_a_leaderboard_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    (tmp_path / "mine.csv").write_text("cell,accuracy\n" + "\n".join(f"{cell},{cell % 97}" for cell in range(200)))
    ended = command(
        "analysis", "tables", "--benchmark", "digits", "--against", "mine.csv", "--name", "mine", "--cells", "valid",
        "--output", "made",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        f"leaderboard-digits-mine.{ending}" for ending in ("bib", "csv", "md", "tex")
    ]
    text = (tmp_path / "made" / "leaderboard-digits-mine.md").read_text()
    assert text.startswith("digits, mine (a file that names no data set): ")
    assert "on the labelled cells of 'valid'" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 1, "no published scores in results/scores"),
        (["--benchmark", "digit"], 2, "did you mean 'digits'"),
        (["--benchmark", "digits", "--against", "none.csv"], 2, "nor a file"),
        (["--benchmark", "cifar10"], 1, "no accuracy table"),
    ],
)
def test_wrong_words_end_with_one_line(command: Command, words: list[str], code: int, message: str) -> None:
    ended = command("analysis", "tables", *words)
    assert ended.code == code
    assert message in ended.error
