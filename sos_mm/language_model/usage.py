"""Counts a run's requests, tokens, retries and refusals."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sos_mm.language_model.completion import Completion


@dataclass
class Usage:
    """Counts what was asked of a language model.

    Attributes:
        requests: Requests of callers.
        answered: Requests with a usable answer.
        refusals: Requests without one, by reason.
        sent: HTTP requests, including retries.
        retries: Retries of HTTP requests, by the failure before.
        faulty: Answers that were not usable, by reason; the question is then asked again, or refused.
        from_cache: Completions from the cache on disk, or from an equal question in progress.
        prompt_tokens: Tokens of the prompts sent, as the endpoint counts them.
        completion_tokens: Tokens of the endpoint's answers.
        cached_tokens: Tokens of ``prompt_tokens`` that were in the endpoint's own cache.
        saved_tokens: Tokens of prompts and answers of ``from_cache``.
    """

    requests: int = 0
    answered: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    faulty: Counter[str] = field(default_factory=Counter)
    from_cache: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    saved_tokens: int = 0

    def count(self, completion: Completion, from_cache: bool) -> None:
        """Counts the tokens of a completion."""
        if from_cache:
            self.from_cache += 1
            self.saved_tokens += completion.prompt_tokens + completion.completion_tokens
        else:
            self.prompt_tokens += completion.prompt_tokens
            self.completion_tokens += completion.completion_tokens
            self.cached_tokens += completion.cached_tokens

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts as JSON-ready values; counts by reason are ordered from the most frequent."""
        return {
            name: dict(value.most_common()) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }
