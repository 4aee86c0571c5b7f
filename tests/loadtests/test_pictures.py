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


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    """Lines that end at the same height have labels that can be read."""
    moved = pictures._apart([100.0, 100.0, 40.0], least=14.0)

    assert moved == [100.0, 86.0, 40.0]
