"""The classes of micro networks by name."""

from lrpilot.envs.tasks.micro.attention import AttentionClassifier, AttentionLM
from lrpilot.envs.tasks.micro.feedforward import Autoencoder, Conv1d, Conv2d, Mixer, Perceptron
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.recurrent import Gated, Recurrent
from lrpilot.envs.tasks.micro.text import Bag, TextConv

NETWORKS: dict[str, type[AbstractNetwork]] = {
    "perceptron": Perceptron,
    "autoencoder": Autoencoder,
    "conv1d": Conv1d,
    "conv2d": Conv2d,
    "mixer": Mixer,
    "bag": Bag,
    "text_conv": TextConv,
    "attention_lm": AttentionLM,
    "attention_classifier": AttentionClassifier,
    "recurrent": Recurrent,
    "gated": Gated,
}
