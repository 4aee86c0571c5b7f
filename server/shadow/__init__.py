"""The shadow process: candidates run on copies of live batches, and are compared with them."""
