"""What MLflow copies beside the weights and runs to make the model; the code itself is the installed package's."""

from mlflow.models import set_model

from pipelines.registry.pyfunc import SGEModel

set_model(SGEModel())
