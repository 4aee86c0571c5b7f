"""How often drift is seen, and how often it is claimed of clean data: ours beside others."""
