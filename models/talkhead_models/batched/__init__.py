"""The renderer once more, for GPUs: a whole batch of frames at once, in torch operations alone.

`BatchRenderer` makes the frames that `talkhead_models.renderer.FaceRenderer` makes, which stays the reference: what is
written there about why, holds here. The same code runs on torch's CPU device, where it is tested against it.
"""
