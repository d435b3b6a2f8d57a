"""The keys of random generators."""

import pytest

from sos_mm.seeding import Purpose, generator


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ((-1, Purpose.LAYOUT, 0), "`seed` must be at least 0, but got -1."),
        ((0, Purpose.LAYOUT, -2), "`image_index` and `visit` must be at least 0, but got -2 and 0."),
        ((0, Purpose.LAYOUT, 3, -4), "`image_index` and `visit` must be at least 0, but got 3 and -4."),
    ],
)
def test_negative_numbers_are_refused_by_their_names(key, said):
    with pytest.raises(ValueError) as caught:
        generator(*key)
    assert str(caught.value) == said


def test_every_part_of_the_key_counts():
    keys = [(0, Purpose.LAYOUT, 0, 0), (1, Purpose.LAYOUT, 0, 0), (0, Purpose.SEGMENTS, 0, 0)]
    keys += [(0, Purpose.LAYOUT, 1, 0), (0, Purpose.LAYOUT, 0, 1)]
    drawn = [generator(*key).integers(2**62) for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn == [generator(*key).integers(2**62) for key in keys]
