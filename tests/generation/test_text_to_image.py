"""Drawing in batches, against diffusers' own pipelines called for one image at a time."""

from unittest.mock import patch

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from sos_mm.generation.loading import (  # noqa: E402
    check_offload,
    content_hash,
    find_device,
    find_dtype,
    is_out_of_memory,
    load_component,
    load_pipeline,
    load_weights,
    model_identity,
)
from sos_mm.generation.model_facts import KNOWN_MODELS  # noqa: E402
from sos_mm.generation.text_to_image import TextToImage  # noqa: E402
from tests.generation.conftest import SAMPLING  # noqa: E402
from tests.helpers.requirements import needs_flux  # noqa: E402

TEXTS = ["a red mug", "a lamp", "a lamp", "a dog in a box", "a red mug"]
SEEDS = [3, 1, 2, 2**63 - 1, 0]


@pytest.fixture(scope="module", params=["stable_diffusion", pytest.param("flux", marks=needs_flux)])
def loaded(request, models):
    return load_pipeline(str(models[request.param]), device="cpu"), SAMPLING[request.param]


def draw(pipeline, sampling, batch_size, texts=TEXTS, seeds=SEEDS):
    return np.stack([each.image for each in TextToImage(pipeline, sampling, batch_size).draw(texts, seeds)])


def plain(pipeline, sampling, text, seed):
    """What diffusers draws of one prompt, in levels."""
    generator = torch.Generator("cpu").manual_seed(seed)
    found = pipeline(prompt=text, **sampling, generator=generator, output_type="np")
    return np.rint(found.images[0] * 255).astype(int)


def test_images_are_those_of_plain_calls(loaded):
    pipeline, sampling = loaded
    expected = np.stack([plain(pipeline, sampling, *each) for each in zip(TEXTS, SEEDS, strict=True)])
    assert expected.std() > 10
    assert np.abs(expected[1] - expected[2]).max() > 10  # Two seeds of one prompt.
    for batch_size in (1, 3):
        drawn = draw(pipeline, sampling, batch_size)
        assert np.abs(drawn - expected).max() <= 1
        np.testing.assert_array_equal(drawn, draw(pipeline, sampling, batch_size))


def test_noise_and_embeddings_do_not_depend_on_the_batch(loaded):
    """The latents and embeddings that the denoiser gets first, for each image."""
    pipeline, sampling = loaded
    denoiser = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    seen = {}
    for batch_size in (1, 3):
        first = []
        forward = type(denoiser).forward

        def record(self, *args, first=first, forward=forward, **kwargs):
            latents = args[0] if args else kwargs["hidden_states"]
            first.append((latents.clone(), kwargs["encoder_hidden_states"].clone()))
            return forward(self, *args, **kwargs)

        with patch.object(type(denoiser), "forward", record):
            draw(pipeline, sampling, batch_size)
        steps = sampling["num_inference_steps"]
        # With guidance the batch is there twice, the negative half first.
        halves = first[::steps]
        seen[batch_size] = [
            torch.cat([part[-min(batch_size, len(TEXTS) - at) :] for part, at in zip(parts, starts, strict=True)])
            for parts, starts in (
                (list(column), list(range(0, len(TEXTS), batch_size))) for column in zip(*halves, strict=True)
            )
        ]
    noise, embeddings = zip(seen[1], seen[3], strict=True)
    assert torch.equal(*noise)
    torch.testing.assert_close(*embeddings, rtol=0, atol=1e-5)


def test_each_text_is_encoded_once(loaded):
    pipeline, sampling = loaded
    encoder = type(pipeline.text_encoder)
    texts, forward = [], encoder.forward

    def record(self, input_ids, *args, **kwargs):
        texts.append(len(input_ids))
        return forward(self, input_ids, *args, **kwargs)

    with patch.object(encoder, "forward", record):
        drawing = TextToImage(pipeline, sampling, 2)
        list(drawing.draw(TEXTS, SEEDS))
        # Three distinct texts in batches of two, then the negative prompt, where there is one, with an empty one.
        negative = [1, 1] if sampling.get("negative_prompt") else []
        assert texts == [2, 1, *negative]
        list(drawing.draw(TEXTS[:1], SEEDS[:1]))
        assert texts == [2, 1, *negative, 1]


def test_flux_says_which_torch_it_needs(models, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.4.1")
    with pytest.raises(ImportError, match=r"FLUX model, .* on torch 2\.5 or newer only, but torch 2\.4\.1"):
        load_pipeline(str(models["flux"]), device="cpu")
    load_pipeline(str(models["stable_diffusion"]), device="cpu")


@needs_flux
def test_true_guidance_of_flux(models):
    """FLUX takes a negative prompt too; it is encoded once."""
    pipeline = load_pipeline(str(models["flux"]), device="cpu")
    sampling = {**SAMPLING["flux"], "negative_prompt": "blurred", "true_cfg_scale": 3.0}
    drawn = draw(pipeline, sampling, 4)
    assert np.abs(drawn[0] - plain(pipeline, sampling, TEXTS[0], SEEDS[0])).max() <= 1
    assert np.abs(drawn[0].astype(int) - draw(pipeline, SAMPLING["flux"], 4)[0]).max() > 5


def test_without_guidance_and_other_pipelines(models):
    from diffusers import StableDiffusionPipeline

    class Other(StableDiffusionPipeline):
        """A class whose encoder is not known: it gets texts."""

    pipeline = load_pipeline(str(models["stable_diffusion"]), device="cpu")
    other = Other(**pipeline.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    for sampling in (
        SAMPLING["stable_diffusion"],
        dict(num_inference_steps=2, guidance_scale=0.0, height=32, width=32),
    ):
        expected = np.stack([plain(pipeline, sampling, *each) for each in zip(TEXTS, SEEDS, strict=True)])
        assert np.abs(draw(pipeline, sampling, 3) - expected).max() <= 1
        assert np.abs(draw(other, sampling, 3) - expected).max() <= 1


class Memory:
    """Makes a pipeline run out of memory for more than so many images at once."""

    def __init__(self, images, error):
        self.images, self.error, self.tried = images, error, []

    def patched(self, pipeline):
        call = type(pipeline).__call__

        def limited(inner, *args, generator, **kwargs):
            self.tried.append(len(generator))
            if len(generator) > self.images:
                raise self.error
            return call(inner, *args, generator=generator, **kwargs)

        limited.__signature__ = __import__("inspect").signature(call)
        return patch.object(type(pipeline), "__call__", limited)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_batch_is_halved_where_memory_runs_out(loaded, error, capsys):
    pipeline, sampling = loaded
    expected = draw(pipeline, sampling, 4)
    memory = Memory(1, error)
    with memory.patched(pipeline):
        found = list(TextToImage(pipeline, sampling, 4).draw(TEXTS, SEEDS))
    assert memory.tried == [4, 2, 1, 1, 1, 1, 1]
    assert [each.batch for each in found] == [1] * 5
    assert np.abs(np.stack([each.image for each in found]) - expected.astype(int)).max() <= 1
    assert "memory ran out for 4 images at once: going on with 2" in capsys.readouterr().err


def test_memory_for_no_image(loaded):
    pipeline, sampling = loaded
    with (
        Memory(0, torch.OutOfMemoryError("x")).patched(pipeline),
        pytest.raises(RuntimeError, match=r"`model\.offload`"),
    ):
        list(TextToImage(pipeline, sampling, 4).draw(TEXTS, SEEDS))
    with Memory(0, RuntimeError("shapes")).patched(pipeline), pytest.raises(RuntimeError, match="shapes"):
        list(TextToImage(pipeline, sampling, 4).draw(TEXTS, SEEDS))
    assert not is_out_of_memory(RuntimeError("shapes"))


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ({"guidance": 3}, "Did you mean 'guidance_scale'?"),
        ({"prompt": "x"}, "key of sampling"),
        ({"generator": None}, "key of sampling"),
        ({"negative_prompt": ["a", "b"]}, "must be one text for all images"),
    ],
)
def test_faulty_sampling(loaded, sampling, said):
    with pytest.raises(ValueError, match=said):
        TextToImage(loaded[0], sampling)


def test_faulty_models(models, tmp_path, no_hub):
    with pytest.raises(FileNotFoundError, match="does not exist: give a folder"):
        load_pipeline(str(tmp_path / "none"), device="cpu")
    for name, facts in KNOWN_MODELS.items():
        with pytest.raises(FileNotFoundError, match=f"hf download {name}") as raised:
            load_pipeline(name, device="cpu")
        assert f"about {facts.gigabytes:g} GB, licence: {facts.licence}" in str(raised.value)
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    with pytest.raises(ValueError, match=r"must be a \.safetensors file"):
        load_pipeline(str(tmp_path / "model.ckpt"), device="cpu")
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="`pipeline_class` must be given for the single file"):
        load_pipeline(str(tmp_path / "model.safetensors"), device="cpu")
    with pytest.raises(ValueError, match="download the file again"):
        load_weights(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="name of a pipeline of diffusers"):
        load_pipeline(str(models["flux"]), device="cpu", pipeline_class="UNet2DModel")


def test_half_downloaded_folder(models, tmp_path):
    import shutil

    shutil.copytree(models["stable_diffusion"], tmp_path / "model")
    assert content_hash(tmp_path / "model") == content_hash(models["stable_diffusion"])
    (weights,) = (tmp_path / "model/unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert content_hash(tmp_path / "model") != content_hash(models["stable_diffusion"])
    with pytest.raises(FileNotFoundError, match="could not be loaded"):
        load_pipeline(str(tmp_path / "model"), device="cpu")
    weights.unlink()
    # Pickled weights are not read in place of safetensors.
    torch.save({}, weights.with_suffix(".bin"))
    with pytest.raises(FileNotFoundError, match="could not be loaded"):
        load_pipeline(str(tmp_path / "model"), device="cpu")


def test_components(models):
    from diffusers import UNet2DConditionModel

    unet = load_component(UNet2DConditionModel, str(models["stable_diffusion"]), "unet", dtype="bfloat16")
    assert unet.dtype == torch.bfloat16
    pipeline = load_pipeline(str(models["stable_diffusion"]), device="cpu", dtype="bfloat16", unet=unet)
    assert pipeline.unet is unet
    (path,) = (models["stable_diffusion"] / "unet").glob("*.safetensors")
    assert load_weights(path).keys() == unet.state_dict().keys()


def test_devices(monkeypatch):
    assert find_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="must be 'auto' or a device of torch"):
        find_device("gpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="torch sees 2 GPUs"):
        find_device("cuda:2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert find_device() == torch.device("cuda:1")
    with pytest.raises(ValueError, match="on the CPU, but got 'float16'"):
        find_dtype("float16", torch.device("cpu"))
    with pytest.raises(ValueError, match="must be 'none' on the CPU"):
        check_offload("model", torch.device("cpu"))
    monkeypatch.setitem(__import__("sys").modules, "accelerate", None)
    with pytest.raises(ImportError, match="pip install accelerate"):
        check_offload("model", torch.device("cuda"))


def test_identity_names_licence_and_content(models):
    identity = model_identity(str(models["flux"]))
    assert identity == {
        "source": str(models["flux"]),
        "licence": "unknown",
        "sha256": content_hash(models["flux"]),
    }
    assert model_identity("stabilityai/sd-turbo", "abc") == {
        "source": "stabilityai/sd-turbo",
        "licence": "see the model card and https://stability.ai/license",
        "revision": "abc",
    }
