# Everything installed, for machines that run containers, or as the `docker:` image of a cluster:
#   docker build --build-arg EXTRAS=-gpu -t nucseg-sweeps .     # without the argument: CPU only
#   docker run --rm -v "$PWD/results:/nucseg-sweeps/results" nucseg-sweeps \
#       python sweeps/run.py --arch unet
FROM python:3.11-slim-bookworm
ARG EXTRAS=""
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends git make openssh-client procps rsync tmux \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /nucseg-sweeps
COPY . .
RUN make .venv/installed${EXTRAS}
ENV PATH=/nucseg-sweeps/.venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
CMD ["python", "sweeps/run.py", "--help"]
