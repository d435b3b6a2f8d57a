"""Illumination prompts: our own set, files, and the draws."""

from collections import Counter

import numpy as np
import pytest

from sos_mm.generation.relighting.light_prompts import DEFAULT_DIRECTIONS, DIRECTIONS, draw_light, read_light_prompts


def test_our_own_prompts_are_many_and_different():
    prompts = read_light_prompts()
    assert len(prompts) >= 300
    assert len({prompt.lower() for prompt in prompts}) == len(prompts)
    # Each fits into CLIP's 77 tokens with added words.
    assert all(3 <= len(prompt.split()) <= 16 for prompt in prompts)
    # No single word makes up a third of them, so that they vary.
    words = Counter(word for prompt in prompts for word in set(prompt.replace(",", "").split()) if len(word) > 3)
    assert max(count for word, count in words.items() if word != "light") < len(prompts) / 3


def test_files_of_prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeff# a comment\n\n  evening light \nneon, Köln\n", encoding="utf-8")
    assert read_light_prompts(path) == ("evening light", "neon, Köln")
    path.write_text("# nothing\n \n")
    with pytest.raises(ValueError, match="holds none"):
        read_light_prompts(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="in UTF-8, but"):
        read_light_prompts(path)
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        read_light_prompts(tmp_path / "none.txt")


def test_draws_follow_the_weights_and_the_generator():
    prompts = ("a", "b", "c")
    rng = np.random.default_rng(0)
    draws = [draw_light(rng, prompts, DEFAULT_DIRECTIONS) for _ in range(4000)]
    directions = Counter(draw["direction"] for draw in draws)
    # 4:1:1:1:1, within four standard deviations.
    for name in DIRECTIONS:
        share = DEFAULT_DIRECTIONS[name] / 8
        assert abs(directions[name] - 4000 * share) < 4 * np.sqrt(4000 * share * (1 - share))
    assert set(Counter(draw["prompt"] for draw in draws)) == set(prompts)
    assert len({draw["seed"] for draw in draws}) == 4000
    assert all(0 <= draw["seed"] < 2**53 for draw in draws)
    again = np.random.default_rng(0)
    assert [draw_light(again, prompts, DEFAULT_DIRECTIONS) for _ in range(3)] == draws[:3]
    assert {draw_light(rng, prompts, {"top": 2})["direction"] for _ in range(20)} == {"top"}
