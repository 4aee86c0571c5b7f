"""What tests share: tiny models, a real gateway, raw connections."""
