# Two images: `--target stdio` for a host on the same machine, `--target http` for a team behind a proxy that ends TLS.
# Neither holds a key: give it when you run the image, as a file (docs/hosting.md).
FROM python:3.13-slim AS build
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
# Only these: what is not copied is in no layer.
COPY pyproject.toml README.md LICENSE ./
COPY zinc_mcp ./zinc_mcp
RUN python -m venv /program && /program/bin/pip install ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.13-slim AS program
COPY --from=build /program /program
# Home and journal. The numbers are fixed, so that a file with a key can be given to this user alone.
RUN groupadd --gid 10001 zinc && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data zinc \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
ENV PATH=/program/bin:$PATH HOME=/data ZINC_MCP_HOME=/data ZINC_MCP_BROWSER=0 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["zinc-mcp"]

FROM program AS http
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/healthz', timeout=4).close()"]
# Without the name that clients may use, it says what is missing and ends.
CMD ["serve", "--http", "0.0.0.0:8765", "--behind-proxy"]

# The last target is the one that is built without a choice.
FROM program AS stdio
