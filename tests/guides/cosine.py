import torch
from tiny import SKELETON, stream_of, student

from distill.process.objectives import objective
from distill.process.stages import Tapped
from proxies.testing import check_proxy


def test_a_step_lowers_it() -> None:
    images, labels = stream_of(0).batch(0)
    teacher, own = Tapped(student(seed=1)), Tapped(student())
    what = objective("cosine", teacher.look(images), own.look(images), seed=0)
    optimiser = torch.optim.SGD(own.parameters(), lr=0.01)
    own.train()
    before = what(teacher.look(images), own(images), labels, 0.0)
    before.backward()
    optimiser.step()
    assert what(teacher.look(images), own(images), labels, 0.0) < before
    assert SKELETON.classes == 10


def test_the_proxy_keeps_the_contract() -> None:
    from proxies.cosine import Cosine

    check_proxy(Cosine)
