"""What the function's environment tells it, read once at start."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``bundle`` is the folder of the model's layer; ``workload`` the one model this function may serve."""

    bundle: str | PathLike[str]
    environment: str
    workload: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read ``LAMBDA_LAYER_ROOT``, ``MILLRACE_ENVIRONMENT`` and ``MILLRACE_WORKLOAD``."""
        return cls(
            bundle=f"{environ.get('LAMBDA_LAYER_ROOT', '/opt')}/bundle",
            environment=environ.get("MILLRACE_ENVIRONMENT", "local"),
            workload=environ.get("MILLRACE_WORKLOAD", ""),
        )
