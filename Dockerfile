# One image for every part; docker-compose.yml says which part a container plays.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/yeban
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY constraints constraints
COPY yeban yeban
COPY worker worker
COPY web web
COPY migrations migrations
RUN /opt/yeban/bin/pip install --no-cache-dir --constraint constraints/py313.txt '.[web,worker]'

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/yeban --create-home yeban
COPY --from=build /opt/yeban /opt/yeban
ENV PATH=/opt/yeban/bin:$PATH YEBAN_DATA_DIR=/var/lib/yeban PYTHONUNBUFFERED=1
USER yeban
VOLUME /var/lib/yeban
ENTRYPOINT ["yeban"]
CMD ["--help"]
