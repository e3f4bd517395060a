"""What a model was built with: for people who wonder why two builds differ."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = ("onnx", "openvino", "onnxruntime", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and the packages at hand, and the machine's architecture."""
    found = {name: version for name in _PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), "machine": platform.machine(), **found}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
