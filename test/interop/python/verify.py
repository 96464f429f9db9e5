"""Follows a repository with python-tuf's client: verify.py URL ROOT WORKDIR TARGET..."""

import os
import sys

from tuf.ngclient import Updater

url, root, work, *names = sys.argv[1:]
metadata, targets = os.path.join(work, "metadata"), os.path.join(work, "targets")
os.makedirs(metadata, exist_ok=True)
os.makedirs(targets, exist_ok=True)
with open(root, "rb") as file:
    bootstrap = file.read()
updater = Updater(
    metadata_dir=metadata,
    metadata_base_url=f"{url}/metadata/",
    target_dir=targets,
    target_base_url=f"{url}/targets/",
    bootstrap=bootstrap,
)
updater.refresh()
for name in names:
    info = updater.get_targetinfo(name)
    if info is None:
        sys.exit(f"no trusted role lists {name}")
    print(updater.download_target(info))
