"""The instrument: measures of a rendered talking head; see docs/metrics.md."""

from talkhead_cli.evaluation.evaluate import EvaluationRequest, evaluate_video
from talkhead_cli.evaluation.result import Evaluation

__all__ = ["Evaluation", "EvaluationRequest", "evaluate_video"]
