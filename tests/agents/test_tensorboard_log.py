"""What validation writes to TensorBoard: names say what an LR is a multiple of."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.logger import Logger

from lrpilot.agents.evaluate import Episodes
from lrpilot.agents.tensorboard_log import probe_figure, record_validation
from lrpilot.envs.families import FAMILIES


@pytest.mark.parametrize(
    ("family", "tag", "label"),
    [
        ("nmf", "learned_lr/fraction_of_bound_at_50_percent", "LR / bound"),
        ("linear", "learned_lr/fraction_of_bound_at_50_percent", "LR / bound"),
        ("universal", "learned_lr/multiple_of_base_lr_at_50_percent", "LR / base LR"),
    ],
)
def test_tags_and_labels_name_the_reference(family: str, tag: str, label: str) -> None:
    log = np.log(np.array([[1.0, 1.0], [0.25, 0.25]]))
    episodes = Episodes(np.zeros((3, 2)), log, np.zeros((2, 2)), np.array([0.0, 1.0]), np.array([0.0, 0.5, 1.0]))
    logger = Logger(None, [])
    record_validation(logger, episodes, FAMILIES[family].reference)
    assert logger.name_to_value[tag] == pytest.approx(0.25)
    assert {logger.name_to_value[name] for name in ("validation/diverged", "validation/exploded")} == {1.0}
    assert probe_figure(episodes, FAMILIES[family].reference).axes[0].get_ylabel() == label
