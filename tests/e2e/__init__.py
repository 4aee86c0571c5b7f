"""The real thing: whole gateways, started, asked, hurt and stopped."""
