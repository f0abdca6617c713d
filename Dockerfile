# The gateway alone, for vLLM servers elsewhere (MILIEU_VLLM__URLS). compose.yaml shows both.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/milieu
ENV PATH=/opt/milieu/bin:$PATH
WORKDIR /src
COPY requirements/gateway.lock requirements/gateway.lock
RUN pip install --no-deps -r requirements/gateway.lock
COPY . .
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/milieu --create-home milieu
COPY --from=build /opt/milieu /opt/milieu
COPY LICENSE NOTICE /usr/share/doc/milieu/
# Every cache lies in the one folder that can be written to.
ENV PATH=/opt/milieu/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/milieu \
    HF_HOME=/var/lib/milieu/huggingface \
    MILIEU_CACHE_FOLDER=/var/lib/milieu/cache \
    MILIEU_HOST=0.0.0.0
WORKDIR /var/lib/milieu
USER milieu
VOLUME /var/lib/milieu
EXPOSE 8000
# Liveness, not readiness: a vLLM that is down is no reason to replace the gateway.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
# Listening beyond loopback needs MILIEU_API_KEYS; without it the service says so and exits.
CMD ["milieu", "serve"]
