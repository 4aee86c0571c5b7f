"""The messages between processes, as values and bytes. Pure: no sockets, no clock."""
