# talkhead in a container; docs/container.md has the lines to build and to run it.
#   docker build -t talkhead .                                   CPU
#   docker build -t talkhead:cuda --target cuda .                NVIDIA GPUs
#   --build-arg PIP_EXTRA_INDEX_URL=...    an index with torch's CPU builds, which are several GB smaller
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
# What changes seldom first: the libraries make a layer of their own, which a change of talkhead's code leaves alone.
COPY pyproject.toml constraints.txt ./
RUN python -m venv /usr/local/lib/talkhead \
    && python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['heif'], *project['optional-dependencies']['c2pa'], sep='\n')" \
    > requirements.txt \
    && /usr/local/lib/talkhead/bin/pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE CHANGELOG.md ./
COPY presets presets
COPY models/talkhead_models models/talkhead_models
COPY talkhead talkhead
COPY talkhead_cli talkhead_cli
RUN pip wheel --no-deps --wheel-dir /wheel . && pip install --prefix /package --no-deps /wheel/*.whl

# What both kinds have: OpenCV's two libraries, a user who owns nothing, a folder for the work. ffmpeg comes with imageio-ffmpeg.
FROM python:${PYTHON}-slim-bookworm AS runtime
ARG PYTHON
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin talkhead \
    && mkdir /videos && chown talkhead /videos
COPY --from=build /usr/local/lib/talkhead /usr/local/lib/talkhead
COPY --from=build /package/lib/python${PYTHON}/site-packages /usr/local/lib/talkhead/lib/python${PYTHON}/site-packages
# No console script is copied: it would name the Python of the build.
RUN printf '#!/bin/sh\nexec /usr/local/lib/talkhead/bin/python -m talkhead "$@"\n' > /usr/local/bin/talkhead \
    && chmod 0755 /usr/local/bin/talkhead
# Whatever user is given by --user: nothing is written but to /videos, and below /tmp.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /videos
VOLUME ["/videos"]
ENTRYPOINT ["talkhead"]
CMD ["--help"]

# Triton compiles its kernels on first use, for which it wants a C compiler.
FROM runtime AS cuda
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,video,utility TRITON_CACHE_DIR=/tmp/triton
USER talkhead

FROM runtime AS cpu
USER talkhead
