FROM python:3.13-slim AS build
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN python -m venv /opt/gliascope \
    && /opt/gliascope/bin/pip install --no-cache-dir '/source[serve]'

FROM python:3.13-slim
COPY --from=build /opt/gliascope /opt/gliascope
# A number, so that an orchestrator can verify that the user is not root.
USER 10001:10001
# Only /tmp must be writable, for uploads and jobs.
ENV GLIASCOPE_HOST=0.0.0.0 \
    GLIASCOPE_KEYS=/run/secrets/keys.json \
    GLIASCOPE_TEMPORARY=/tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s --timeout=5s \
    CMD ["/opt/gliascope/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["/opt/gliascope/bin/gliascope"]
CMD ["serve", "/models/tumours"]
