FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive the layer, so a changed line does not build every crate again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --profile dist && cp target/dist/prommgr /usr/local/bin/

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /nonexistent prommgr
COPY --from=build /usr/local/bin/prommgr /usr/local/bin/
# An empty volume that is mounted here begins with these files and this owner.
COPY --chown=prommgr:prommgr prom /prom
RUN mkdir -p /prom/targets /prom/rules && chown prommgr:prommgr /prom /prom/targets /prom/rules
USER 10001
ENV PROMMGR_LISTEN=0.0.0.0:8080 PROMMGR_PROM_DIR=/prom
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["prommgr", "health"]
ENTRYPOINT ["prommgr"]
CMD ["serve"]
