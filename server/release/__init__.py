"""Which version answers, who decided so, and what the evidence for a candidate says."""
