"""What a run has cost: requests, tokens, retries, and what was refused and why."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sos_mm.language_model.completion import Completion


@dataclass
class Usage:
    """Counts what was asked of a language model.

    Attributes:
        requests: Questions that callers asked.
        answered: Those of them that have an answer.
        refusals: Those without one, by reason.
        sent: HTTP requests, retries included.
        retries: HTTP requests that were sent again, by what had failed.
        faulty: Answers that could not be used, by reason; after each the question is asked again, or refused.
        from_cache: Completions that the cache on disk, or an equal question at the same time, gave.
        prompt_tokens: Tokens of prompts as the endpoint counts them, of what was sent.
        completion_tokens: Tokens of its answers.
        cached_tokens: Those of ``prompt_tokens`` that the endpoint had in a cache of its own.
        saved_tokens: Tokens of prompts and answers that ``from_cache`` saved.
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
        """The counts as JSON-ready values; counts by reason with the most frequent first."""
        return {
            name: dict(value.most_common()) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }
