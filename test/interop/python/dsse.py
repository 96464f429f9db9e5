"""Verifies a DSSE envelope and reads its in-toto statement with other people's code: ENVELOPE KEYID PUBLIC_KEY_HEX."""

import json
import sys

from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
import in_toto_attestation.v1.statement_pb2 as statement_pb2
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

path, keyid, public = sys.argv[1:4]
with open(path, encoding="utf-8") as file:
    envelope = Envelope.from_dict(json.load(file))
key = SSlibKey(keyid, "ed25519", "ed25519", {"public": public})
envelope.verify([key], 1)
assert envelope.payload_type == "application/vnd.in-toto+json", envelope.payload_type
message = json_format.ParseDict(json.loads(envelope.payload), statement_pb2.Statement())
statement = Statement.copy_from_pb(message)
statement.validate()
print(json.dumps({
    "predicateType": message.predicate_type,
    "subjects": {subject.name: subject.digest["sha256"] for subject in message.subject},
}))
