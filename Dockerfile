# The engine as an image: docker build -t vaultloop . (docs/docker.md says how to run it).
#
# The base is pinned by its tag, so that a rebuild takes Debian's and Python's security updates. To pin it to
# the byte, write its digest behind the tag, as `docker buildx imagetools inspect python:3.13-slim-trixie`
# prints it: python:3.13-slim-trixie@sha256:...
ARG PYTHON=python:3.13-slim-trixie

# Whether Claude Code is in the image: `--build-arg CLAUDE=without` leaves it out (375 MB less), for agents of
# `runner: command`. It is not free software: build your own image with it, and push that to no public registry.
ARG CLAUDE=with


FROM ${PYTHON} AS build
# pip takes the pins from here, also for what builds the wheel. Older releases know the first one only.
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_BUILD_CONSTRAINT=/src/constraints.txt \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/vaultloop
# What we depend on changes less often than we do: this layer is kept while the two files stay as they are.
COPY constraints.txt pyproject.toml ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["web"], sep="\n")' > requirements.txt \
    && /opt/vaultloop/bin/pip install --quiet --only-binary :all: -r requirements.txt
COPY LICENSE README.md ./
COPY vault-template vault-template
COPY hooks/pre-commit hooks/pre-commit
COPY engine engine
RUN /opt/vaultloop/bin/pip install --quiet --no-deps . \
    && /opt/vaultloop/bin/pip check \
    && /opt/vaultloop/bin/pip uninstall --quiet --yes pip


FROM ${PYTHON} AS claude-with
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
COPY engine/vaultloop/runners/claude/version.py ./
RUN python -c 'from version import TESTED_WHEEL as v; print(f"claude-agent-sdk=={v}")' > requirement.txt \
    && pip download --quiet --no-cache-dir --no-deps --only-binary :all: -r requirement.txt \
    && python -m zipfile -e claude_agent_sdk-*.whl . \
    && python -c 'import platform; from version import SHA256; print(SHA256[platform.machine()], " claude_agent_sdk/_bundled/claude")' \
    | sha256sum --check --strict - \
    && install -D -m 755 claude_agent_sdk/_bundled/claude /opt/claude/claude \
    && rm -r claude_agent_sdk*

FROM ${PYTHON} AS claude-without
RUN mkdir -p /opt/claude

# hadolint ignore=DL3006
FROM claude-${CLAUDE} AS claude


FROM ${PYTHON}
# tini is PID 1: it passes signals on and buries what the agent's programs leave behind. OpenSSH's client
# carries ssh remotes and makes the engine's signatures. Debian drops old versions, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --user-group --create-home --shell /usr/sbin/nologin vaultloop \
    && install -d -o vaultloop -g vaultloop -m 700 /state
# The base image comes without bytecode, and a user that may write nowhere would compile it at every start.
RUN python -m compileall -q -x '/(test|tests|site-packages|dist-packages)/' "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=claude /opt/claude/ /usr/local/bin/
COPY --from=build /opt/vaultloop /opt/vaultloop
COPY --chmod=755 entrypoint.sh /usr/local/bin/entrypoint.sh

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="vaultloop" \
      org.opencontainers.image.description="GitOps for an agent's brain: an always-on agent declared by a vault of markdown" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/vaultloop/vaultloop" \
      org.opencontainers.image.version="${VERSION}"
ENV PATH=/opt/vaultloop/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    VAULTLOOP_STATE=/state VAULTLOOP_WEB=:8080
WORKDIR /home/vaultloop
# By number, so that a cluster can see that it is not root. 1000 is the first user of most machines: a vault
# folder that is mounted from one is theirs.
USER 1000:1000
VOLUME /state
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m --start-interval=2s --retries=3 \
    CMD ["vaultloop", "health"]
# -s: also where something else is PID 1 already (docker run --init).
ENTRYPOINT ["tini", "-s", "--", "entrypoint.sh"]
