# Two stages: one installs from the lock file, the other is what runs, without pip, as nobody's user.
#
#   docker build -t tidegate .
#   docker run --read-only --tmpfs /state:uid=10001 -e TIDEGATE_INSECURE=on \
#     -p 127.0.0.1:8000:8000 -p 127.0.0.1:8001:8001 -v "$PWD/models:/models:ro" tidegate
#
# docs/container.md says more: keys, a state that is kept, Kubernetes.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/tidegate \
    && /opt/tidegate/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements.lock
COPY server ./server
COPY models ./models
RUN /opt/tidegate/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-build-isolation . \
    && /opt/tidegate/bin/python -m pip uninstall --yes --quiet pip

FROM python:3.13-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin tidegate \
    && install --directory --owner tidegate --mode 0700 /state \
    && install --directory /models
COPY --from=build /opt/tidegate /opt/tidegate
ENV PATH=/opt/tidegate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TIDEGATE_REPOSITORY=/models \
    TIDEGATE_STATE_DIR=/state \
    TIDEGATE_HOST=0.0.0.0 \
    TIDEGATE_CONTROL_HOST=0.0.0.0
USER 10001
WORKDIR /state
VOLUME ["/state"]
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["tidegate", "health"]
ENTRYPOINT ["tidegate"]
CMD ["serve"]
