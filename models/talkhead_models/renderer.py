"""FaceRenderer: full frames of one portrait under a FaceMotion.

Per frame: place the mesh, warp the portrait backward (exact triangles in the face, a coarse map on the rings around),
put the warped person over a still background plate, refine mouth and eyes in canonical patches, paste back. Pixels
outside the moving region are the portrait's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from talkhead_models.basis import FaceBasis, Pose
from talkhead_models.body import Body, Placed
from talkhead_models.motion import FaceMotion
from talkhead_models.patches import (
    EYES,
    MOUTH,
    PIXELS_PER_UNIT,
    Patch,
    PatchSource,
    PatchSpec,
    crop_patch,
    dark_of,
    patch_frame,
    show_through,
    warp_patch,
)
from talkhead_models.refiner import Refiner
from talkhead_models.rig import FaceRig
from talkhead_models.warp import box_of, coverage, invert_affine, transform

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class PatchState(NamedTuple):
    """What a patch of one portrait needs: spec, source, source crop and hole as tensors, its network."""

    spec: PatchSpec
    source: PatchSource
    crop: torch.Tensor
    hole: torch.Tensor
    refiner: Refiner


class Painted(NamedTuple):
    """Residuals of one patch of one frame, (h, w, 3) float32 pixels, and the frame's patch frame (2, 3)."""

    skin: Array
    inside: Array
    frame: Array


@dataclass
class FaceRenderer:
    """Renders one portrait. Make it with `create`."""

    body: Body
    refiners: Sequence[PatchState]
    threads: int
    device: torch.device

    def __post_init__(self) -> None:
        self.image, self.rig = self.body.image, self.body.rig
        self.dark = dark_of(self.image, self.rig.mesh)
        # At full resolution; patches have sources of their own at theirs.
        whole = np.eye(2, 3, dtype=np.float32)
        self.source = PatchSource(self.image, self.rig.mesh, whole, self.dark)

    @classmethod
    def create(
        cls,
        image: Bytes,
        mesh: Array,
        person_mask: Array,
        basis: FaceBasis,
        refiners: Mapping[str, Refiner],
        threads: int = 2,
        device: torch.device | str = "cpu",
    ) -> FaceRenderer:
        """Prepare a portrait.

        Args:
            image: (H, W, 3) uint8 RGB.
            mesh: (478, 3) float32 pixels.
            person_mask: (H, W) float32 in [0, 1].
            basis: the face model.
            refiners: networks by patch name ("mouth", "eyes"); a missing one leaves its patch as warped.
            threads: frames composed at once.
            device: where the refiners lie and run.
        """
        body = Body.create(image, FaceRig.fit(mesh, basis), person_mask)
        renderer = cls(body, [], threads, torch.device(device))
        specs = [spec for spec in (MOUTH, EYES) if spec.name in refiners]
        renderer.refiners = [renderer._patch_state(spec, refiners[spec.name]) for spec in specs]
        return renderer

    def _patch_state(self, spec: PatchSpec, refiner: Refiner) -> PatchState:
        zoom = min(1.0, PIXELS_PER_UNIT / self.rig.unit)
        image = self.image
        if zoom < 1:
            image = np.asarray(
                cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
            )
        # Pixel centres at integers: shrinking moves them by half a pixel.
        mesh = self.body.source_mesh.copy()
        mesh[:, :2] = (mesh[:, :2] + 0.5) * zoom - 0.5
        pose = self.rig.pose
        pose = Pose(pose.scale * zoom, pose.rotation, pose.offset * zoom)
        frame = patch_frame(spec, self.rig.neutral, pose)
        source = PatchSource(image, mesh, frame, self.dark)
        points = transform(mesh[:, :2], frame)
        size = (spec.width, spec.height)
        hole = np.max([coverage(points[list(outline)], size) for outline in spec.holes], 0)
        crop = (
            torch.from_numpy(crop_patch(spec, image, frame)).permute(2, 0, 1)[None].float() / 127.5
            - 1
        )
        return PatchState(
            spec,
            source,
            crop.to(self.device),
            torch.from_numpy(hole)[None, None].to(self.device),
            refiner,
        )

    # --- Refinement --------------------------------------------------------------------------------------------------

    def paint(self, placed: Sequence[Placed]) -> list[list[Painted]]:
        """Residuals of every patch of every frame, networks run on the whole chunk at once."""
        painted: list[list[Painted]] = [[] for _ in placed]
        for state in self.refiners:
            frames = [patch_frame(state.spec, self.rig.neutral, frame.pose) for frame in placed]

            def warp(index: int, state: PatchState = state, frames: list[Array] = frames) -> Patch:
                frame = placed[index]
                triangles = self.rig.basis.triangles
                return warp_patch(
                    state.spec, state.source, frame.mesh, frames[index], triangles, frame.gaze
                )

            with ThreadPoolExecutor(self.threads) as pool:
                patches = list(pool.map(warp, range(len(placed))))
            skin, inside = (
                torch.from_numpy(np.stack([getattr(p, name) for p in patches]))
                .to(self.device)
                .permute(0, 3, 1, 2)
                / 127.5
                - 1
                for name in ("skin", "inside")
            )
            hole = torch.from_numpy(np.stack([p.hole for p in patches]))[:, None].to(self.device)
            size = len(patches)
            with torch.inference_mode():
                residuals = state.refiner(
                    skin,
                    inside,
                    hole,
                    state.crop.expand(size, -1, -1, -1),
                    state.hole.expand(size, -1, -1, -1),
                )
            arrays = [(r * 127.5).permute(0, 2, 3, 1).contiguous().cpu().numpy() for r in residuals]
            for i in range(size):
                painted[i].append(Painted(arrays[0][i], arrays[1][i], frames[i]))
        return painted

    # --- Composition -------------------------------------------------------------------------------------------------

    def _paste_patch(
        self, out: Bytes, frame: Placed, spec: PatchSpec, painted: Painted | None
    ) -> None:
        """Compose holes and residuals of one patch into a frame, in place."""
        height, width = out.shape[:2]
        matrix = painted.frame if painted else patch_frame(spec, self.rig.neutral, frame.pose)
        corners = np.array(
            [[0, 0], [spec.width - 1, 0], [0, spec.height - 1], [spec.width - 1, spec.height - 1]]
        )
        box = box_of(
            transform(corners.astype(np.float32), invert_affine(matrix)), 1, (width, height)
        )
        x0, y0, x1, y1 = box
        region = out[y0:y1, x0:x1]
        size = (x1 - x0, y1 - y0)
        points = frame.mesh[:, :2] - np.array([x0, y0], np.float32)
        inside, hole = show_through(spec, points, size, self.source, frame.gaze)
        blend = hole[..., None]
        skin_value, inside_value = region.astype(np.float32), inside.astype(np.float32)
        if painted:
            local = matrix.copy()
            local[:, 2] += matrix[:, :2] @ np.array([x0, y0], np.float32)
            for value, residual in ((skin_value, painted.skin), (inside_value, painted.inside)):
                value += cv2.warpAffine(
                    residual,
                    local,
                    size,
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                )
        skin_value += (inside_value - skin_value) * blend
        out[y0:y1, x0:x1] = np.clip(skin_value + 0.5, 0, 255).astype(np.uint8)

    def _compose(self, frame: Placed, painted: Sequence[Painted], out: Bytes) -> None:
        self.body.compose(frame, out)
        by_name = {
            state.spec.name: paint for state, paint in zip(self.refiners, painted, strict=True)
        }
        for spec in (MOUTH, EYES):
            self._paste_patch(out, frame, spec, by_name.get(spec.name))

    def render(self, motion: FaceMotion) -> Bytes:
        """Frames (T, H, W, 3) uint8 RGB of a motion."""
        placed = self.body.place(motion)
        painted = self.paint(placed)
        frames = np.empty((len(placed), *self.image.shape), np.uint8)

        def compose(index: int) -> None:
            frames[index] = self.image
            self._compose(placed[index], painted[index], frames[index])

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(compose, range(len(placed))))
        return frames
