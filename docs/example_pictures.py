"""For mkdocs: the pictures that examples made, shown by the site without a second copy of them in `docs`."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURES = ("grace_hopper_overlay.png", "group_overlay.jpg")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the examples' pictures under `pictures/`."""
    for name in PICTURES:
        files.append(File.generated(config, f"pictures/{name}", abs_src_path=str(EXAMPLES / name)))
    return files
