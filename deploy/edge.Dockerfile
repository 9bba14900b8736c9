# What `tsf push --onnx` needs, on a machine without torch. Build it from the project's folder:
#   docker build --file deploy/edge.Dockerfile --tag tsf-edge .
# and run it in a folder that holds params.yaml, dvc.yaml and the file that `tsf export` has written, as docs/deployment.md says.
FROM debian:bookworm-slim AS build

RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY . .
RUN python3 -m venv /opt/tsf \
    && /opt/tsf/bin/pip install --constraint constraints.txt --requirement deploy/edge.txt \
    && /opt/tsf/bin/pip install --no-deps . \
    && /opt/tsf/bin/pip uninstall --yes setuptools pip

FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*

COPY --from=build /opt/tsf /opt/tsf
ENV PATH=/opt/tsf/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /project
ENTRYPOINT ["tsf"]
