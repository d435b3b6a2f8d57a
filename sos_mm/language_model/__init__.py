"""A client of language models with an OpenAI-compatible endpoint, whose answers follow a JSON Schema."""

from sos_mm.language_model.client import OpenAICompatible, build_language_model, register_language_model
from sos_mm.language_model.endpoint import EndpointError
from sos_mm.language_model.prompts import Prompt, load_prompts
from sos_mm.language_model.request import Answer, LanguageModel, Request, ask_each
from sos_mm.language_model.usage import Usage

__all__ = [
    "Answer",
    "EndpointError",
    "LanguageModel",
    "OpenAICompatible",
    "Prompt",
    "Request",
    "Usage",
    "ask_each",
    "build_language_model",
    "load_prompts",
    "register_language_model",
]
