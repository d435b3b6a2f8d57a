"""Facts about public models that errors and provenance state: the licence, the size of a download, how to get it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """What a user must know about a model before the download.

    Attributes:
        licence: The licence of the weights, or where it is found.
        gigabytes: Approximate size of the download, in 10**9 bytes.
        note: A condition, such as an agreement on the model's page; empty if there is none.
    """

    licence: str
    gigabytes: float
    note: str = ""

    def describe(self) -> str:
        """Formats the facts for an error message."""
        note = f"; {self.note}" if self.note else ""
        return f"about {self.gigabytes:g} GB, licence: {self.licence}{note}"


_AGREE = "accept the conditions on its page and run `hf auth login` first"
_FP16 = "with `variant='fp16'`"
# By hub id. Sizes are those of the files that diffusers downloads, in the precision in which they are stored. Licences
# are from README.md of github.com/black-forest-labs/flux, and for SDXL and Stable Diffusion 1.5 from the tags of their
# pages on the hub. The card of SD-Turbo names no licence, and points to that address for commercial use.
KNOWN_MODELS = {
    "black-forest-labs/FLUX.1-dev": ModelFacts("FLUX.1 [dev] Non-Commercial License", 33.7, _AGREE),
    "black-forest-labs/FLUX.1-schnell": ModelFacts("Apache-2.0", 33.7, _AGREE),
    "stabilityai/stable-diffusion-xl-base-1.0": ModelFacts("CreativeML Open RAIL++-M", 7.0, _FP16),
    "stabilityai/sd-turbo": ModelFacts("see the model card and https://stability.ai/license", 2.6, _FP16),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": ModelFacts("CreativeML OpenRAIL-M", 2.7, _FP16),
}


def model_facts(source: str) -> ModelFacts | None:
    """Returns the facts about a model by its hub id; None for others, such as a folder."""
    return KNOWN_MODELS.get(source)


def is_hub_id(source: str) -> bool:
    """Returns whether a text has the form of a hub id, ``OWNER/NAME``; a relative path may have it too."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source) is not None


def how_to_get(source: str) -> str:
    """Says how to get a model: the command, and the size and licence where they are known."""
    if not is_hub_id(source):
        return "give a folder in diffusers' layout, a .safetensors file or a hub id"
    facts = model_facts(source)
    told = f" ({facts.describe()})" if facts else ""
    return (
        f"`hf download {source} --local-dir FOLDER`{told} on a machine with access to the hub, then give the folder "
        "instead of the id"
    )
