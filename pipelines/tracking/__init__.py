"""MLflow: runs, what is logged to them, and released models. ``pipelines.registry`` uses MLflow too."""

import os

# MLflow reads these while it is imported. Nothing is sent anywhere, and what succeeds is not
# commented on, unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# What a server of MLflow does for language models: ten processes, which import for a minute.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

# A request to a server that is away is retried with backoff for a good minute. Metrics are sent in batches: a server
# that stays away then costs a few retries in parallel, not one for every step.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
os.environ.setdefault("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "10")
