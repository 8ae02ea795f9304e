"""Branches are dropped as often as is asked for, whatever a family has for a default."""

import pytest
from timm.layers import DropPath

from sftcore.models.backbones import build_backbone

# Of NesT half of the branches of the last block are dropped where nothing is said.
OWN_RATE = [("timm/swin_tiny_patch4_window7_224", 64), ("timm/nest_tiny", 64)]


@pytest.mark.parametrize(("name", "side"), OWN_RATE)
def test_a_family_with_a_rate_of_its_own_has_the_one_that_is_asked_for(
    name: str, side: int
) -> None:
    for asked in (0.0, 0.2):
        module = build_backbone(name, side, asked).module
        rates = [part.drop_prob for part in module.modules() if isinstance(part, DropPath)]
        assert rates, "this family would be dropped from the test"
        assert max(rates) == pytest.approx(asked)
