import torch

import images


def test_splits_batches_and_streams() -> None:
    stripes = images.load("stripes")
    assert [len(stripes.split(name)) for name in ("train", "val", "test")] == [600, 200, 200]
    batch, again, other = stripes.batch(64, 0), stripes.batch(64, 0), stripes.batch(64, 1)
    assert (batch.images.shape, batch.images.dtype) == ((64, 3, 8, 8), torch.float32)
    assert batch.hash == again.hash != other.hash
    assert abs(batch.images.mean()) < 0.5
    assert not set(map(str, batch.images)) & set(map(str, stripes.second_batch(64, 0).images))
    seen, labels = stripes.stream(0, steps=3, batch=16).batch(2)
    assert (seen.shape, sorted(labels.unique().tolist())) == ((16, 3, 8, 8), [0, 1])
