from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import BadUsage
from distill import teachers
from distill.recipes import teacher_recipe
from distill.teachers import load_teacher, spec, train_teacher, weights_hash


def test_it_trains_and_is_loaded_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(teacher_recipe("digits"), epochs=1, epoch_steps=5, batch=16)
    monkeypatch.setattr(teachers, "teacher_recipe", lambda benchmark: small)
    record = train_teacher("digits-pyramid-4", tmp_path)
    teacher = load_teacher("digits-pyramid-4", tmp_path)
    assert (record["network"], teacher.hash) == ("pyramid-4", weights_hash(teacher.network))
    assert teacher.hash == record["hash"] != load_teacher("random:digits-pyramid-4").hash
    assert weights_hash(spec("digits-pyramid-4").build()) == load_teacher("random:digits-pyramid-4").hash


@pytest.mark.parametrize("name", ["digits-pyramid", "digits-pyramid-0", "digits-pyramid-x"])
def test_a_wrong_name_is_told(name: str) -> None:
    with pytest.raises(BadUsage, match="pyramid-16"):
        spec(name)
