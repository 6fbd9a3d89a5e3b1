"""MLflow: runs, the registry and the served model. Nothing else imports it."""

import os

# MLflow reads these while it is imported. Nothing is sent anywhere, and what succeeds is not
# commented on, unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

# A server that is away is noticed in seconds: waiting and trying again is up to us, and MLflow's own way of it
# takes minutes. Read at each request.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
