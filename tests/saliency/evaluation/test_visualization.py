"""Images: attention maps against a softmax written out, rows with their uncertainty."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sos_mm.saliency.evaluation.attention import attention_maps, attention_of, on_image, watched
from sos_mm.saliency.evaluation.visualization import false_colors, result_row
from sos_mm.saliency.models.afim import cross_attentions
from tests.saliency.conftest import small_config


def sample(**metainfo) -> SegDataSample:
    return SegDataSample(metainfo=dict(img_path="/data/0.jpg", ori_shape=(64, 64)) | metainfo)


def test_attention_is_what_the_layers_multiply_values_with(small_model):
    """Values times the maps of single queries are what the layer itself gives."""
    query, key, value = torch.rand(3, 2, 10, 8)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    for position in range(10):
        alone = torch.eye(10)[position]
        by_head = [attention_of(q[None], k[None], alone) @ v for q, k, v in zip(query, key, value, strict=True)]
        torch.testing.assert_close(torch.stack(by_head), expected[:, position])


@pytest.mark.parametrize("kind", ["AttentionFeatureInteraction", "PlainCrossAttention"])
def test_maps_have_the_size_of_what_is_read(data_root, tmp_path, kind):
    options = {} if kind.startswith("A") else {"model.decode_head.afim": dict(_delete_=True, type=kind)}
    model = MODELS.build(small_config(data_root, tmp_path, **options).model).eval()
    maps = attention_maps(model, torch.rand(1, 3, 64, 64), sample())
    sizes = [(8, 8), (4, 4)] if kind.startswith("A") else [(8, 8), (8, 8)]
    assert [tuple(each.shape) for each in maps.values()] == sizes
    for each in maps.values():
        assert each.sum() == pytest.approx(1, abs=1e-4)
    shown = on_image(maps[0], (64, 64), sample(ori_shape=(50, 70)))
    assert shown.shape == (1, 50, 70)
    assert float(shown.max()) == 1


def test_a_feature_that_stands_out_is_found(small_model):
    """Keys are made equal but for one position, which every query then prefers."""
    unet = small_model.decode_head.denoiser.unet
    for _, layer in cross_attentions(unet):
        layer.processor.position_scale.data.zero_()
        layer.to_k.weight.data.zero_()
        layer.to_q.weight.data.zero_()
    flat = attention_maps(small_model, torch.rand(1, 3, 64, 64), sample())[0]
    torch.testing.assert_close(flat, torch.full((8, 8), 1 / 64))
    query, key = torch.ones(1, 4, 6), torch.zeros(1, 9, 6)
    key[:, 5] = 10
    assert attention_of(query, key, torch.full((4,), 0.25)).argmax() == 5


def test_watching_ends(small_model):
    unet = small_model.decode_head.denoiser.unet
    before = small_model.predict(torch.ones(1, 3, 64, 64), [sample()])[0].pred_saliency.data
    with pytest.raises(ZeroDivisionError), watched(unet, lambda level, query, key: 1 / 0):
        small_model.predict(torch.ones(1, 3, 64, 64), [sample()])
    after = small_model.predict(torch.ones(1, 3, 64, 64), [sample()])[0].pred_saliency.data
    assert torch.equal(before, after)


def test_rows_end_with_what_is_uncertain(tmp_path):
    path = tmp_path / "0.png"
    cv2.imwrite(str(path), np.zeros((20, 30, 3), np.uint8))
    shown = sample(img_path=str(path), ori_shape=(20, 30))
    shown.pred_saliency = PixelData(data=torch.ones(1, 20, 30))
    assert result_row(shown, 20).shape == (20, 30 * 2 + 4, 3)
    deviation = torch.zeros(1, 20, 30)
    deviation[:, :, 15:] = 0.5
    shown.saliency_std = PixelData(data=deviation)
    row = result_row(shown, 20)
    assert row.shape == (20, 30 * 3 + 8, 3)
    cell = row[:, -30:].astype(int).sum(2)
    assert cell[:, :14].max() < 60 < 500 < cell[:, 16:].min()
    assert np.array_equal(false_colors(np.zeros((1, 1))), false_colors(np.full((1, 1), 1e-3)))
