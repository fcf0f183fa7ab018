# One image for every process: `docker run meterfleet serve devices`.
# The first stage has the tools and makes a virtual environment; the second has neither pip nor a
# compiler, and runs it as nobody in particular.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/meterfleet
# Dependencies first: they change less often than the code, and the layer is kept.
COPY requirements/run.lock requirements/run.lock
RUN /opt/meterfleet/bin/pip install --require-hashes --only-binary :all: -r requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY loadtest loadtest
# setuptools comes from the hashed lock, not from an isolated build's download.
RUN /opt/meterfleet/bin/pip install --no-deps --no-build-isolation . \
    && /opt/meterfleet/bin/pip uninstall --yes setuptools pip

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Meterfleet" \
      org.opencontainers.image.description="Open smart-metering cloud platform" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN pip uninstall --yes setuptools wheel pip \
    && groupadd --gid 10001 meterfleet \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin meterfleet
COPY --from=build /opt/meterfleet /opt/meterfleet
COPY LICENSE /usr/share/doc/meterfleet/LICENSE
ENV PATH=/opt/meterfleet/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    METERFLEET_HOST=0.0.0.0 \
    METERFLEET_DATA_DIR=/tmp/meterfleet
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["meterfleet"]
CMD ["--help"]
