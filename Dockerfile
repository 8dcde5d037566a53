# Tidegate as an image: `docker build --tag tidegate .`, and deploy/compose.yaml runs it. docs/howto/deploy.md explains both.

# The first stage has what building takes: uv, and npm for the page's style sheets and scripts. None of it is in the image.
FROM python:3.11-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/tidegate
WORKDIR /src
RUN pip install --no-cache-dir "uv==0.9.*"
# What other people made changes seldom, and is a layer of its own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project
COPY . .
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.11-slim-bookworm
# A number, so that an orchestrator can see that it is not root.
RUN groupadd --system --gid 10001 tidegate \
    && useradd --system --uid 10001 --gid tidegate --home-dir /var/lib/tidegate --create-home tidegate
COPY --from=build /opt/tidegate /opt/tidegate
ENV PATH=/opt/tidegate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TIDEGATE_HOME=/var/lib/tidegate
USER 10001:10001
# The embedded database and its key, where DATABASE_URL and TIDEGATE_SECRET_KEY name no others.
VOLUME /var/lib/tidegate
EXPOSE 8420
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8420/healthz', timeout=4)"]
ENTRYPOINT ["tidegate"]
CMD ["serve", "--host", "0.0.0.0"]
