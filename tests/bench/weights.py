"""Print the folder with the embedded model as safetensors, fetched and converted where needed."""

import sys

from toetssteen.candidates.gguf import as_safetensors
from toetssteen.candidates.weights import fetch
from toetssteen.catalog import Catalog
from toetssteen.errors import ToetsError

NAME = "smollm2-135m-instruct"

if __name__ == "__main__":
    card = Catalog().candidate(NAME)
    try:
        found = fetch(card.spec.weights, card.file.parent)
        folder = as_safetensors(found.folder, found.gguf, found.digest)
    except ToetsError as error:
        raise SystemExit(f"{NAME}: {error}") from None
    sys.stdout.write(f"{folder}\n")
