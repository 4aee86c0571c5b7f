"""Whether a model answers labels, so that a different answer is another label.

Decides from what the outputs are declared to be; `shadow/comparison.py` compares by the same rules.
Pure.
"""

from server.release.shadow_rules import OutputRule, Scores, ShadowRules
from server.tensors import Signature, TensorSpec

_NO_RULE = OutputRule()


def answers_labels(signature: Signature, rules: ShadowRules) -> bool:
    """Say whether any output that is compared is a label, or scores from which one follows."""
    return any(
        _is_label(spec, rule)
        for spec in signature.outputs
        if not (rule := rules.outputs.get(spec.name, _NO_RULE)).is_ignored
    )


def _is_label(spec: TensorSpec, rule: OutputRule) -> bool:
    if not spec.datatype.is_float:
        return True
    if spec.row_items == 1:
        return rule.threshold is not None
    return len(spec.shape) == 2 and rule.scores is not Scores.VALUES
