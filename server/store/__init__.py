"""What must outlive a process: counts by time, alerts, events on their way. One SQLite file."""
