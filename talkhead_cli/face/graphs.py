"""The mediapipe graphs, one of each per process: face detectors, face mesh, person segmentation.

Each new graph keeps memory for ever, so they are made once, reused under a lock, and closed at exit.
"""

from __future__ import annotations

import atexit
import logging
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

LOWEST_SCORE = 0.1
"""The detectors report from here on; callers set their own, higher, floor."""

# The landmark part of mediapipe's face mesh without its own detector: the caller says where the face is.
MESH_GRAPH = """
input_stream: "image"
input_stream: "roi"
input_side_packet: "with_attention"
output_stream: "landmarks"
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:landmarks"
}
"""


@dataclass(frozen=True)
class Detection:
    """One answer of a face detector.

    Attributes:
        box: (4,) float64, x0 y0 x1 y1 in pixels of the picture given; brows to chin.
        keypoints: (6, 2) float64 pixels: left eye, right eye, nose tip, mouth, left ear, right ear of the picture.
        score: in [0, 1].
    """

    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    score: float


class MediapipeGraphs:
    """Lazily started graphs; every method takes (H, W, 3) uint8 RGB."""

    def __init__(self) -> None:
        self._graphs: dict[str, Any] = {}
        self._lock = threading.RLock()

    def detect(self, image: Pixels, model: str) -> list[Detection]:
        """Faces found by the "short" or the "full" range detector, best first."""
        height, width = image.shape[:2]
        result = self._run(f"detect-{model}", {"image": np.ascontiguousarray(image)})
        found = []
        for detection in result.detections or []:
            data = detection.location_data
            box = data.relative_bounding_box
            corners = [box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height]
            points = [(point.x, point.y) for point in data.relative_keypoints]
            found.append(
                Detection(
                    np.array(corners) * (width, height, width, height) - 0.5,
                    np.array(points) * (width, height) - 0.5,
                    float(detection.score[0]),
                )
            )
        return sorted(found, key=lambda item: -item.score)

    def mesh(self, patch: Pixels) -> NDArray[np.float32] | None:
        """The mesh of the one face that fills a square patch.

        Args:
            patch: (P, P, 3) uint8 RGB, the face upright with a margin as mediapipe uses it (1.5 times the face).

        Returns:
            (478, 3) float32 pixels of the patch, or None where the network sees no face.
        """
        import_mediapipe()
        from mediapipe.framework.formats import rect_pb2

        whole = rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0)
        result = self._run("mesh", {"image": np.ascontiguousarray(patch), "roi": whole})
        if not result.landmarks:
            return None
        points = [(point.x, point.y, point.z) for point in result.landmarks.landmark]
        scaled = np.array(points, np.float32) * patch.shape[1]
        scaled[:, :2] -= 0.5
        return scaled

    def segment(self, image: Pixels) -> NDArray[np.float32]:
        """How much each pixel belongs to a person, (H, W) float32 in [0, 1]."""
        result = self._run("segment", {"image": np.ascontiguousarray(image)})
        return np.clip(np.asarray(result.segmentation_mask, np.float32), 0.0, 1.0)

    def hands(self, image: Pixels) -> list[NDArray[np.float64]]:
        """The hands of a picture, each (21, 2) float64 pixels."""
        height, width = image.shape[:2]
        result = self._run("hands", {"image": np.ascontiguousarray(image)})
        return [
            np.array([(point.x * width, point.y * height) for point in hand.landmark]) - 0.5
            for hand in result.multi_hand_landmarks or []
        ]

    def close(self) -> None:
        """Stop all graphs; using one again starts it anew."""
        with self._lock:
            for graph in self._graphs.values():
                graph.close()
            self._graphs.clear()

    def _run(self, name: str, inputs: dict[str, Any]) -> Any:
        with self._lock:
            graph = self._graphs.get(name)
            if graph is not None:
                return graph.process(inputs)
            # Graphs write log lines to file descriptor 2 when they start and at their first picture.
            with native_stderr_silenced():
                graph = make_graph(name)
                result = graph.process(inputs)
            self._graphs[name] = graph
            return result


def import_mediapipe() -> Any:
    """The library, without the plotting that it brings along."""
    from talkhead_cli.lazy import put_off

    with put_off("matplotlib.pyplot"):
        import mediapipe
    return mediapipe


def make_graph(name: str) -> Any:
    """Start one graph: "detect-short", "detect-full", "mesh", "segment" or "hands"."""
    solutions = import_mediapipe().solutions
    from mediapipe.python.solution_base import SolutionBase

    if name == "mesh":
        from google.protobuf import text_format
        from mediapipe.framework import calculator_pb2

        config = text_format.Parse(MESH_GRAPH, calculator_pb2.CalculatorGraphConfig())
        return SolutionBase(
            graph_config=config, side_inputs={"with_attention": True}, outputs=["landmarks"]
        )

    class Segmentation(solutions.selfie_segmentation.SelfieSegmentation):  # type: ignore[misc,name-defined]
        def process(self, inputs: dict[str, Any]) -> Any:
            return super().process(inputs["image"])

    class Detector(solutions.face_detection.FaceDetection):  # type: ignore[misc,name-defined]
        def process(self, inputs: dict[str, Any]) -> Any:
            return super().process(inputs["image"])

    class Hands(solutions.hands.Hands):  # type: ignore[misc,name-defined]
        def process(self, inputs: dict[str, Any]) -> Any:
            return super().process(inputs["image"])

    if name == "hands":
        return Hands(static_image_mode=True, max_num_hands=4, min_detection_confidence=0.5)
    if name == "segment":
        return Segmentation(model_selection=0)
    model = {"detect-short": 0, "detect-full": 1}[name]
    return Detector(model_selection=model, min_detection_confidence=LOWEST_SCORE)


def native_stderr_silenced() -> AbstractContextManager[None]:
    """The console's guard of file descriptor 2."""
    from talkhead_cli.console import native_stderr_silenced as silenced

    return silenced()


_shared = MediapipeGraphs()
atexit.register(_shared.close)


def shared_graphs() -> MediapipeGraphs:
    """The process's one set of graphs."""
    return _shared
