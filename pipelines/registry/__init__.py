"""Registered models: candidate, gate, champion, export, and the model that ships with the code."""

import pipelines.tracking  # noqa: F401 - sets what MLflow reads while it is imported
