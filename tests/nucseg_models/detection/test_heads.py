import pytest

import nucseg_models
from nucseg_models.detection import heads

PAPER = nucseg_models.get("mask_rcnn").paper


def test_the_proposal_head_has_five_answers_for_each_anchor():
    assert heads.proposal_head(PAPER, 4).output_shape == (None, 4 * 4 * heads.ANCHORS, 5)


def test_the_box_head_has_a_class_and_four_moves_for_each_region():
    assert heads.box_head(PAPER).output_shape == (None, 5)


@pytest.mark.parametrize("convolutions", [1, 4])
def test_masks_are_28_by_28_as_in_the_paper(convolutions):
    model = heads.mask_head({**PAPER, "mask_convolutions": convolutions})
    assert model.output_shape == (None, 28, 28, 1)
    assert len(model.layers) == 1 + convolutions + 2


def test_the_semantic_head_answers_for_each_cell():
    assert heads.semantic_head(PAPER, 8).output_shape == (None, 8, 8, 1)
