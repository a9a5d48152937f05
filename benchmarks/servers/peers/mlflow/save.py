"""Save the model where `mlflow models serve` will look for it: into the folder that is named."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mlflow.pyfunc

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    code = Path(__file__).with_name("model.py")
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.pyfunc.save_model(folder, python_model=str(code), pip_requirements=[])
