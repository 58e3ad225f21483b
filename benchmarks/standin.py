"""A stand-in for HMA, as small as it can be: Flask and threatexchange, one index in memory, no keys, no database."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from flask import Flask, Response, jsonify, request
from threatexchange.signal_type.pdq.pdq_index import PDQIndex
from threatexchange.signal_type.pdq.signal import PdqSignal

app = Flask(__name__)
hashes = np.load(os.environ["STANDIN_HASHES"])
index = PDQIndex([(value.tobytes().hex(), row + 1) for row, value in enumerate(hashes)])


def found(signal: str) -> dict[str, Any]:
    """The answer to one hash."""
    hits = index.query(signal)
    rows = [{"bank_content_id": hit.metadata, "distance": hit.similarity_info.pretty_str()} for hit in hits]
    return {"BENCH": rows} if rows else {}


@app.get("/hma/m/lookup")
def lookup() -> Response:
    """One hash."""
    return jsonify(found(PdqSignal.validate_signal_str(request.args["signal"])))


@app.post("/hma/m/lookup")
def upload() -> Response:
    """One picture."""
    signal = PdqSignal.hash_from_bytes(request.files["photo"].read())
    return jsonify({"pdq": found(signal) if signal else {}})
