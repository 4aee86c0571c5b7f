"""How cost grows: with rows, features, models, connections, workers, and with machines."""
