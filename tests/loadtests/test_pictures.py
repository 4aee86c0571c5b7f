"""The pictures in the documents are those that the program draws."""

import xml.etree.ElementTree as ET
from pathlib import Path

from loadtests import pictures


def test_pictures_are_up_to_date(tmp_path: Path) -> None:
    """Drawn anew they are the same, and they can be read."""
    pictures.draw(tmp_path)

    for path in sorted(tmp_path.iterdir()):
        assert path.read_text() == (pictures.FOLDER / path.name).read_text(), path.name
        assert ET.parse(path).getroot().tag.endswith("svg")
