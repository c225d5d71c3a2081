"""What an engine says of its device, in Chinese too."""

import re

import pytest

from core.language import HAN
from inference.devices import NO_BACKEND, NOT_ASKED, device_in, on_layers


@pytest.mark.parametrize("device", [NO_BACKEND.en, NOT_ASKED.en, on_layers(31, 31, "NVIDIA T4"), on_layers(3, 31, "")])
def test_it_is_told_in_both_languages(device: str):
    assert device_in(device, "en") == device
    assert re.search(f"[{HAN}]", device_in(device, "zh"))


def test_the_numbers_of_layers_stay_and_what_is_not_known_too():
    assert device_in("3/31 layers on NVIDIA T4", "zh") == "NVIDIA T4：31 层中的 3 层"
    assert device_in("somewhere else", "zh") == "somewhere else"
