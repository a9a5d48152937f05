"""The Open Inference Protocol, version 2: the same model, asked for in tensors.

The protocol stands in KServe's specification (inference_rest.md), the binary extension in Triton's
(extension_binary_data.md). Nothing here is imported before the first such request.
"""

from .protocol import OpenInference

__all__ = ["OpenInference"]
