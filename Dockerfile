FROM python:3.13-slim-trixie AS build
WORKDIR /app
COPY requirements.lock ./
COPY webui/__init__.py webui/bootstrap.py webui/
RUN python -m webui.bootstrap

FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --no-create-home teahouse && install --directory --owner=teahouse /data
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY manage.py LICENSE ./
COPY webui webui
COPY chat chat
COPY models_admin models_admin
COPY templates templates
COPY static static
COPY locale locale
RUN .venv/bin/python -m compileall -q manage.py webui chat models_admin

USER teahouse
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data BIND=0.0.0.0:8000
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=30s --timeout=6s CMD ["python", "-m", "webui.probe"]
CMD ["python", "manage.py", "up"]
