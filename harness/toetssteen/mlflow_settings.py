"""How MLflow is set up before it is first imported: silent, without telemetry, soon tired.

What the user has chosen in the environment stays as it is.
"""

import os
from urllib.parse import urlsplit

# Telemetry: DO_NOT_TRACK=1 does not switch it off. Retries: by default an unreachable server is
# noticed after four minutes.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def set_up() -> None:
    """Set what MLflow reads when it is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def without_password(address: str, text: str) -> str:
    """Return a text in which the user and password of an address are left out."""
    user, at, _ = urlsplit(address).netloc.rpartition("@")
    return text.replace(user + at, "") if at else text
