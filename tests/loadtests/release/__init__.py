"""The simulations of gates, small and seeded."""
