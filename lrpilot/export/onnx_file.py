"""The network of a policy as an ONNX file, for run-times without Python. Needs the extra `[export]`."""

import json
from typing import Any

import numpy as np

from lrpilot.card import CARD_KEY
from lrpilot.describe import lr_formula
from lrpilot.policy import SchedulePolicy
from lrpilot.signals import SIGNALS

OPSET, IR_VERSION = 13, 8  # of 2021: every run-time still in use reads them, and the file does not change with onnx
INPUT, OUTPUT = "observation", "action"
CONVENTIONS = (
    "An interval is the steps between two decisions; logarithms are natural; x squashed is asinh(100 x) / 2; "
    "each signal is clipped to low..high; before the first loss all are 0. The formulas: lrpilot/signals.py."
)


def onnx_bytes(policy: SchedulePolicy) -> bytes:
    """Return the network of a policy as the bytes of an ONNX file, the same for the same policy.

    Input `observation`, float32, shape (batch, S): the policy's own signals, in the order of its card. Output `action`,
    float32, shape (batch, 1): `SchedulePolicy.action`, in [-1, 1]. What they mean is in the file: see `metadata`.

    Args:
        policy: The policy.

    Returns:
        The whole file; its weights are inside.

    Raises:
        ModuleNotFoundError: onnx is not installed.
    """
    try:
        data: bytes = _model(policy).SerializeToString(deterministic=True)
    except ModuleNotFoundError as error:
        message = f"an ONNX file needs {error.name}: pip install 'lrpilot[export]'"
        raise ModuleNotFoundError(message, name=error.name) from error
    return data


def metadata(policy: SchedulePolicy) -> dict[str, str]:
    """Return what a stranger must know to feed the network and to use its action: the file's `metadata_props`.

    Args:
        policy: The policy.

    Returns:
        `lrpilot`: the card, JSON. `fingerprint`: of the policy. `learning_rate`: how the action becomes an LR.
        `signals`: JSON, for each column of the input its name, meaning, unit and range. `conventions`: of those.

    Example:
        >>> from lrpilot import load_policy
        >>> metadata(load_policy("nmf"))["learning_rate"]
        'stability bound × exp(m), m = -6 + 3 · (a + 1), where a in [-1, 1] is the action; clipped to the bound'
    """
    shown = ("name", "meaning", "unit", "low", "high")
    known = {signal.name: {key: getattr(signal, key) for key in shown} for signal in SIGNALS}
    return {
        CARD_KEY: json.dumps(policy.card, allow_nan=False),
        "fingerprint": policy.fingerprint,
        "learning_rate": lr_formula(policy.control),
        "conventions": CONVENTIONS,
        "signals": json.dumps([known[name] for name in policy.card["signals"]], allow_nan=False),
    }


def _model(policy: SchedulePolicy) -> Any:  # onnx.ModelProto
    from onnx import TensorProto, helper, numpy_helper

    nodes, hidden = [], INPUT
    weights = [numpy_helper.from_array(np.array(limit, np.float32), name) for name, limit in (("low", -1), ("high", 1))]
    for index, layer in enumerate(policy.layers):
        names = [f"{index}.weight", f"{index}.bias"]
        weights += [numpy_helper.from_array(array, name) for array, name in zip(layer, names, strict=True)]
        nodes.append(helper.make_node("Gemm", [hidden, *names], [f"{index}.sum"], transB=1))
        hidden = f"{index}.sum"
        if index < len(policy.layers) - 1:
            nodes.append(helper.make_node("Tanh", [hidden], [f"{index}.tanh"]))
            hidden = f"{index}.tanh"
    nodes.append(helper.make_node("Clip", [hidden, "low", "high"], [OUTPUT]))
    observation = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", len(policy.card["signals"])])
    action = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "policy", [observation], [action], weights)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="lrpilot")
    helper.set_model_props(model, metadata(policy))
    return model
