"""What a released version sent decodes for ever, and the published schemas are those of the code.

`v1/*.json` hold a body as hex and the message in it. They are never edited: a change that breaks one breaks hubs in
the field. A new message gets its example with `python -m tests.contracts.freeze`.
"""

import json
from pathlib import Path

import pytest
from tests.contracts.freeze import meaning

from bedside_profiles.wire.batch import decode_batch
from bedside_profiles.wire.messages import MESSAGES, decode
from bedside_profiles.wire.schema import documents

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "docs" / "wire" / "v1"
EXAMPLES = sorted((HERE / "v1").glob("*.json"))
BY_NAME = {kind.__name__: kind for kind in MESSAGES}


def test_every_message_has_an_example() -> None:
    named = {json.loads(path.read_text())["message"] for path in EXAMPLES}
    assert named == {*BY_NAME, "Batch"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_decodes_as_it_did(path: Path) -> None:
    example = json.loads(path.read_text())
    body = bytes.fromhex(example["body_hex"])
    message = decode_batch(body) if example["message"] == "Batch" else decode(BY_NAME[example["message"]], body)
    assert meaning(message) == example["means"]


def test_the_published_schemas_are_those_of_the_code() -> None:
    published = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")}
    assert published == documents(), "run: python -m bedside_profiles.wire.schema docs/wire/v1"
