"""Programs that run in the environments of peers: nothing of ours but this folder is imported."""
