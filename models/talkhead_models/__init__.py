"""Networks, sampling, streaming, warp and refiner of talkhead; imports torch and nothing of talkhead_cli."""
