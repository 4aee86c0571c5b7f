"""Sessions and batches. Knows arrays and time; knows no HTTP, no metrics and no releases."""
