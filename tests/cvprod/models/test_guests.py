"""The guests run, take what they say, and are the same at every call."""

import pytest
import torch

from cvprod.models import guests, own


@pytest.mark.parametrize(("name", "outputs"), [("resnet18", 1), ("mobilenet", 1), ("vit", 1), ("ssdlite", 3)])
def test_a_guest_is_opened_like_anybodys_network(name, outputs):
    state = torch.get_rng_state()
    network = own.open_network(f"cvprod.models.guests:{name}")
    assert torch.equal(state, torch.get_rng_state())  # nobody else's random numbers change
    assert len(network.outputs) == outputs and network.input[0] == 3 and not network.guessed
    images = torch.from_numpy(network.examples(1))
    first, again = (own.leaves(own.call(getattr(guests, name)()[0], images)) for _ in range(2))
    for key, value in first.items():
        assert torch.equal(value, again[key])
    if outputs == 1:
        assert first["output"].std() > 1e-3  # it answers something
