"""Makes a repository with python-tuf's metadata API: make.py DIR SITE BUNDLE_FILE SITE_FILE.

Root 2 of 2, rotated once; the site's file delegated to a region. Targets lie where consistent snapshots have them.
"""

import os
import shutil
import sys
from datetime import datetime, timedelta, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

directory, site, bundle_file, site_file = sys.argv[1:]
expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
pretty = JSONSerializer(compact=False)


def key():
    return CryptoSigner.generate_ed25519()


def write(metadata, name, signers):
    for signer in signers:
        metadata.sign(signer, append=True)
    os.makedirs(os.path.join(directory, "metadata"), exist_ok=True)
    metadata.to_file(os.path.join(directory, "metadata", name), pretty)


def target(name, path):
    info = TargetFile.from_file(name, path, ["sha256"])
    parent, base = os.path.split(name)
    folder = os.path.join(directory, "targets", parent)
    os.makedirs(folder, exist_ok=True)
    shutil.copyfile(path, os.path.join(folder, f"{info.hashes['sha256']}.{base}"))
    return info


old_root, new_root = [key(), key()], [key(), key()]
signers = {"targets": key(), "snapshot": key(), "timestamp": key()}
north = key()

root = Root(expires=expires, consistent_snapshot=True)
for role, signer in signers.items():
    root.add_key(signer.public_key, role)
for signer in old_root:
    root.add_key(signer.public_key, "root")
root.roles["root"].threshold = 2
write(Metadata(root), "1.root.json", old_root)
root.version = 2
for signer in old_root:
    root.revoke_key(signer.public_key.keyid, "root")
for signer in new_root:
    root.add_key(signer.public_key, "root")
write(Metadata(root), "2.root.json", old_root + new_root)

region = Targets(expires=expires)
region.targets[f"sites/{site}.json"] = target(f"sites/{site}.json", site_file)
write(Metadata(region), "1.north.json", [north])

top = Targets(expires=expires)
top.targets["bundles/base/1.json"] = target("bundles/base/1.json", bundle_file)
role = DelegatedRole("north", [north.public_key.keyid], 1, True, paths=[f"sites/{site}.json"])
top.delegations = Delegations(keys={north.public_key.keyid: north.public_key}, roles={"north": role})
write(Metadata(top), "1.targets.json", [signers["targets"]])

snapshot = Snapshot(expires=expires)
snapshot.meta["targets.json"] = MetaFile(version=1)
snapshot.meta["north.json"] = MetaFile(version=1)
write(Metadata(snapshot), "1.snapshot.json", [signers["snapshot"]])

timestamp = Timestamp(expires=expires)
timestamp.snapshot_meta = MetaFile(version=1)
write(Metadata(timestamp), "timestamp.json", [signers["timestamp"]])
