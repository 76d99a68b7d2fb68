"""Say over a cell that needs special hardware where and when its outputs were recorded, or that they were not."""

from docutils import nodes

from cvprod.book.notebooks import HARDWARE_TAGS

NEEDS = {
    "gpu": "an NVIDIA GPU",
    "tensorrt": "an NVIDIA GPU with TensorRT",
    "jetson": "an NVIDIA Jetson",
    "coral": "a Coral Edge TPU",
    "macos": "a Mac",
    "android": "an Android device",
    "docker": "a Docker engine",
    "cloud": "a cloud account",
}


def sentence(metadata: dict) -> str | None:
    """Return the label for a cell with this notebook metadata, or None for a cell that any CPU runs."""
    tags = HARDWARE_TAGS & set(metadata.get("tags", []))
    if not tags:
        return None
    # TensorRT implies the GPU, so name the longer description alone.
    tags -= {"gpu"} if "tensorrt" in tags else set()
    needed = " and ".join(NEEDS[tag] for tag in sorted(tags))
    recorded = metadata.get("recorded")
    if not recorded:
        return f"Needs {needed}. Not yet run on this hardware."
    versions = ", ".join(f"{name} {version}" for name, version in recorded.get("versions", {}).items())
    return f"Needs {needed}. Recorded on {recorded['machine']}, {recorded['date']}" + (
        f", with {versions}." if versions else "."
    )


def label(app, doctree: nodes.document) -> None:
    """Put the label before every cell that carries a hardware tag."""
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code":
            continue
        if text := sentence(cell.get("cell_metadata", {})):
            cell.parent.insert(cell.parent.index(cell), nodes.paragraph("", text, classes=["cv-hardware"]))
