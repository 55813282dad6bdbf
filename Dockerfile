# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
# A C compiler for SQLite and ring.
# hadolint ignore=DL3008 # bookworm decides the versions
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The cache is no part of the image: the binary must leave it in the same step.
# Locked, because builds for several platforms share one target folder.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked -p chroma-compactor --no-default-features --features aws \
    && cp target/release/chroma-compactor /usr/local/bin/

FROM debian:bookworm-slim
# For TLS to AWS.
# hadolint ignore=DL3008 # always the newest certificates
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
# Numbers, so that an orchestrator can see that it is not root.
RUN groupadd --gid 10001 compactor \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home \
        --home-dir /var/lib/chroma-compactor --shell /usr/sbin/nologin compactor \
    && install --directory --owner=10001 --group=10001 /var/lib/chroma-compactor
COPY --from=build /usr/local/bin/chroma-compactor /usr/local/bin/
USER 10001:10001
WORKDIR /var/lib/chroma-compactor
VOLUME /var/lib/chroma-compactor
# The daemon is process 1 and ends in order on SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["chroma-compactor"]
CMD ["run"]
