# For a CPU. For a GPU: --build-arg TORCH=https://download.pytorch.org/whl/cu128, and docker run --gpus all
FROM python:3.12-slim
ARG TORCH=https://download.pytorch.org/whl/cpu
RUN useradd --create-home --uid 1000 writer && install -d -o writer /work
COPY pyproject.toml README.md LICENSE CHANGELOG.md /src/
COPY src /src/src
RUN pip install --no-cache-dir --index-url "$TORCH" "torch>=2.9" && pip install --no-cache-dir /src
USER 1000
WORKDIR /work
ENTRYPOINT ["tiny-diffusion"]
