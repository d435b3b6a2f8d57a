"""Capped denoising queries: mmdet's own below the cap; above it no more than that, of the right objects."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmdet.models.layers import CdnQueryGenerator
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from sos_mm.detection import CappedGroundingDINOHead
from sos_mm.detection.denoising import CappedQueryGenerator

CAP, SIDE, TOKENS = 6, 200, 16


def samples(*numbers):
    """Images with so many objects, each with a box and a map of tokens of its own."""
    rng = torch.Generator().manual_seed(0)
    made = []
    for number in numbers:
        corners = torch.rand(number, 2, generator=rng) * 100
        boxes = torch.cat([corners, corners + 20 + torch.rand(number, 2, generator=rng) * 60], 1)
        instances = InstanceData(
            bboxes=boxes, labels=torch.zeros(number, dtype=torch.long), positive_maps=torch.rand(number, TOKENS)
        )
        made.append(DetDataSample(metainfo=dict(img_shape=(SIDE, SIDE)), gt_instances=instances))
    return made


def generator(cls=CappedQueryGenerator, **changes):
    options = dict(num_classes=8, embed_dims=4, num_matching_queries=10, box_noise_scale=0.4)
    torch.manual_seed(1)
    return cls(**{**options, "group_cfg": dict(dynamic=True, num_dn_queries=CAP), **changes})


@pytest.mark.parametrize("numbers", [(CAP,), (2, 3), (0, 0), (1, CAP)])
def test_below_the_cap_it_is_that_of_mmdet(numbers):
    results = []
    for cls in (CdnQueryGenerator, CappedQueryGenerator):
        made = generator(cls)
        torch.manual_seed(2)
        results.append(made(samples(*numbers)))
    *expected, known = results[0]
    *found, meta = results[1]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert meta == {**known, "denoised": None}


@pytest.mark.parametrize("numbers", [(CAP + 1,), (50, 3), (0, 40), (30, 30, CAP)])
def test_above_the_cap_the_number_is_kept(numbers):
    label, box, mask, meta = generator()(samples(*numbers))
    assert label.shape[1] == box.shape[1] == meta["num_denoising_queries"] == 2 * CAP
    assert mask.shape == (2 * CAP + 10, 2 * CAP + 10)
    for number, places in zip(numbers, meta["denoised"], strict=True):
        assert len(places) == min(number, CAP)
        assert (places.diff() > 0).all()
        assert ((places >= 0) & (places < number)).all()
    # mmdet's own has no such limit.
    assert generator(CdnQueryGenerator)(samples(*numbers))[3]["num_denoising_queries"] == 2 * max(numbers)


def test_all_objects_come_in_turn():
    made, images = generator(), samples(20)
    seen = {place for _ in range(100) for place in made(images)[3]["denoised"][0].tolist()}
    assert seen == set(range(20))


def head():
    loss = dict(type="FocalLoss", use_sigmoid=True)
    return CappedGroundingDINOHead(
        num_classes=TOKENS, contrastive_cfg=dict(max_text_len=TOKENS), embed_dims=4, num_pred_layer=2, loss_cls=loss
    )


@pytest.mark.parametrize("numbers", [(4, 2), (30, 3), (17, 40)])
def test_queries_are_compared_with_their_own_objects(numbers):
    """Without noise, the box of each positive query is the box that it is to find."""
    images = samples(*numbers)
    _, boxes, _, meta = generator(box_noise_scale=1e-6)(images)
    maps, _, targets, box_weights, *_ = head().get_dn_targets(
        [image.gt_instances for image in images], [image.metainfo for image in images], meta
    )
    for index, image in enumerate(images):
        positive = box_weights[index][:, 0] > 0
        assert positive.sum() == min(numbers[index], CAP) * meta["num_denoising_groups"]
        np.testing.assert_allclose(boxes[index].sigmoid()[positive], targets[index][positive], atol=2e-3)
        # Each box is of one object, whose tokens it gets; other queries get none.
        for box, tokens in zip(targets[index][positive], maps[index][positive], strict=True):
            corners = torch.cat([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2]) * SIDE
            object_ = (image.gt_instances.bboxes - corners).abs().sum(1).argmin()
            np.testing.assert_array_equal(tokens, image.gt_instances.positive_maps[object_])
        assert not maps[index][~positive].any()


def test_fixed_groups_are_refused():
    with pytest.raises(ValueError, match="not dynamic"):
        generator(group_cfg=dict(dynamic=False, num_groups=5))


def test_another_head_is_refused(tmp_path):
    from mmengine.config import Config

    from tests.helpers.mmdet_data import make_language_model

    folder = make_language_model(tmp_path / "bert", hidden_size=16, num_hidden_layers=1, num_attention_heads=1)
    (tmp_path / "config.py").write_text(
        "_base_ = 'mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365.py'\n"
        "model = dict(type='CappedGroundingDINO', encoder=dict(num_layers=1, num_cp=0), decoder=dict(num_layers=1),\n"
        "    backbone=dict(embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1)),\n"
        f"    language_model=dict(name={str(folder)!r}))\n"
    )
    model = ConfigDict(Config.fromfile(tmp_path / "config.py").model)
    model.neck.in_channels = [24, 48, 96]
    with pytest.raises(ValueError, match="must be a CappedGroundingDINOHead, but got GroundingDINOHead"):
        MODELS.build(model)
