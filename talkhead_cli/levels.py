"""How loud a recording is, where it is silent or clipped: measured block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkhead_cli.mel import Array


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is like, from decoding all of it.

    Attributes:
        duration_seconds: decoded length of the first audio stream.
        sample_rate: Hz.
        channels: their number.
        codec: ffmpeg's name of it.
        loudness_dbfs: RMS of the parts that are not silence, in dB of full scale; -120 where all is silence.
        peak_dbfs: largest sample.
        silence_share: share of 20 ms steps more than 35 dB under the loud ones, or below -60 dBFS.
        clipped_share: share of samples at full scale.
        noise_dbfs: level of the quietest twentieth of the recording.
    """

    duration_seconds: float
    sample_rate: int
    channels: int
    codec: str
    loudness_dbfs: float = -120.0
    peak_dbfs: float = -120.0
    silence_share: float = 1.0
    clipped_share: float = 0.0
    noise_dbfs: float = -120.0

    @property
    def warnings(self) -> list[str]:
        """What a person should know before rendering, one sentence each."""
        found = []
        if self.silence_share > 0.999:
            found.append("the recording is silent: the lips will rest")
        elif self.silence_share > 0.7:
            found.append(f"{self.silence_share:.0%} of the recording is silence")
        if self.clipped_share > 0.001:
            found.append(f"{self.clipped_share:.1%} of the samples are clipped")
        if -120 < self.loudness_dbfs < -45:
            found.append(f"the speech is very quiet ({self.loudness_dbfs:.0f} dBFS)")
        if self.silence_share < 0.999 and self.loudness_dbfs - self.noise_dbfs < 10:
            found.append("speech hardly stands out from the background: lip movements may be wrong")
        if self.sample_rate < 16_000:
            found.append(f"the sample rate of {self.sample_rate} Hz cuts off consonants")
        return found


class LevelMeter:
    """Measures a recording as it is decoded.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.num_samples = 0
        self._step = max(1, sample_rate // 50)
        self._powers: list[Array] = []
        self._rest = np.zeros(0, np.float32)
        self._clipped = 0
        self._peak = 0.0

    def push(self, block: Array) -> None:
        """Take the next block, (n,) float32."""
        self.num_samples += len(block)
        magnitude = np.abs(block)
        self._peak = max(self._peak, float(magnitude.max(initial=0)))
        self._clipped += int((magnitude >= 0.999).sum())
        joined = np.concatenate([self._rest, block])
        whole = len(joined) // self._step * self._step
        self._powers.append(np.mean(joined[:whole].reshape(-1, self._step) ** 2, axis=1))
        self._rest = joined[whole:]

    def info(self, channels: int, codec: str) -> AudioInfo:
        """What was measured; of at least 20 ms."""
        levels = 10 * np.log10(np.maximum(np.concatenate(self._powers), 1e-12))
        threshold = max(-60.0, float(np.percentile(levels, 95)) - 35.0)
        loud = levels > threshold
        speech = float(10 * np.log10(np.mean(10 ** (levels[loud] / 10)))) if loud.any() else -120.0
        return AudioInfo(
            duration_seconds=self.num_samples / self.sample_rate,
            sample_rate=self.sample_rate,
            channels=channels,
            codec=codec,
            loudness_dbfs=round(speech, 1),
            peak_dbfs=round(20 * float(np.log10(max(self._peak, 1e-6))), 1),
            silence_share=round(float(1 - loud.mean()), 3),
            clipped_share=round(self._clipped / max(self.num_samples, 1), 5),
            noise_dbfs=round(float(np.percentile(levels, 5)), 1),
        )
