# Everything installed, for machines that run containers, or as the `docker:` image of a cluster:
#   docker build --build-arg EXTRAS=-gpu -t nucseg-sweeps .     # without the argument: CPU only
#   docker run --rm -v "$PWD/results:/nucseg-sweeps/results" nucseg-sweeps --arch unet
FROM python:3.11-slim-bookworm
ARG EXTRAS=""
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends make openssh-client procps rsync \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /nucseg-sweeps
# What is pinned first: a change of the code does not install TensorFlow again.
COPY pyproject.toml constraints.txt README.md LICENSE Makefile ./
COPY nucseg_models/__init__.py nucseg_models/
RUN make .venv/installed${EXTRAS}
COPY . .
RUN make .venv/installed${EXTRAS}
ENV PATH=/nucseg-sweeps/.venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
ENTRYPOINT ["python", "sweeps/run.py"]
