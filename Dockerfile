# With torch for a GPU (docker run --gpus all) and for a CPU. For a CPU alone, gigabytes smaller: --build-arg TORCH=ADDRESS,
# the package index of CPU builds that PyTorch's "get started" page names.
FROM python:3.12-slim
ARG TORCH=""
RUN useradd --create-home --uid 1000 writer && install -d -o writer /work
COPY pyproject.toml README.md LICENSE CHANGELOG.md /src/
COPY src /src/src
RUN pip install --no-cache-dir ${TORCH:+--index-url "$TORCH"} "torch>=2.9" && pip install --no-cache-dir /src
USER 1000
WORKDIR /work
ENTRYPOINT ["tiny-diffusion"]
