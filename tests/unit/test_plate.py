"""The background behind the person: what is known stays, edges run on, grain goes on."""

import numpy as np

from talkhead_models.plate import background_plate


def picture(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A grainy picture, dark to the left of column 100, and a mask of a person over its middle."""
    image = np.full((200, 240, 3), 60, np.int32)
    image[:, 100:] = 180
    image += np.random.default_rng(seed).normal(scale=5, size=(200, 240, 1)).astype(int)
    mask = np.zeros((200, 240), np.uint8)
    mask[60:, 70:150] = 255
    return np.clip(image, 0, 255).astype(np.uint8), mask


def test_known_pixels_stay():
    image, mask = picture()
    plate = background_plate(image, mask, 60)
    assert np.array_equal(plate[mask == 0], image[mask == 0])
    nobody = np.zeros_like(mask)
    assert np.array_equal(background_plate(image, nobody, 60), image)
    assert np.array_equal(background_plate(image, nobody + 255, 60), image)


def test_edges_run_on_and_grain_goes_on():
    image, mask = picture()
    band = background_plate(image, mask, 60)[62:75].astype(float)
    assert band[:, 75:92].mean() < 90
    assert band[:, 110:145].mean() > 150
    grain = image[:50, 110:145].astype(float).std()
    assert 0.5 * grain < (band[:, 112:145] - band[:, 112:145].mean(0)).std() < 2 * grain


def test_nothing_of_the_person_is_left():
    image, mask = picture()
    person = image.copy()
    person[mask > 0] = (255, 0, 0)
    assert np.array_equal(background_plate(image, mask, 60), background_plate(person, mask, 60))
