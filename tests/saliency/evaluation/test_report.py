"""The page about a saliency model: text cannot break out of it, figures are in it, sampling changes no model."""

import base64
import re

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sos_mm.saliency.evaluation import report

EVIL = "<script>alert(1)</script>"


def test_text_cannot_break_out_of_the_page(tmp_path):
    image = np.full((8, 9, 3), 90, np.uint8)
    parts = [report.grid([report.figure(image, f'{EVIL}"')]), report.score_table({EVIL: {f"{EVIL}a/b": 0.5}})]
    report.write_page(tmp_path / "page.html", EVIL, EVIL, [report.Section(EVIL, EVIL, parts)])
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 8
    assert "<td>0.5000</td>" in text


def test_figures_hold_their_image(tmp_path):
    image = np.zeros((16, 24, 3), np.uint8)
    image[:, 12:] = (255, 0, 0)
    found = re.search(r'src="data:image/jpeg;base64,([^"]+)"', report.figure(image, "halves"))
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(found[1]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image)[:, :4].max() < 8
    assert np.abs(decoded.astype(int) - image)[:, -4:].max() < 8


def test_sampling_strips_change_no_model(small_model):
    sample = SegDataSample(metainfo=dict(img_path="a.png", ori_shape=(64, 64), sample_idx=0))
    sample.gt_saliency = PixelData(data=torch.ones(1, 64, 64))
    batch = dict(inputs=[torch.zeros(3, 64, 64, dtype=torch.uint8)], data_samples=[sample])
    before = dict(small_model.test_cfg)
    for steps in (1, 3):
        strip = report.sampling_strip(small_model, batch, 0, steps)
        timesteps = re.search(r"estimates at timesteps ([\d, ]+)<", strip)[1].split(", ")
        assert len(timesteps) == steps
        assert timesteps[0] == "999"
    assert small_model.test_cfg == before
