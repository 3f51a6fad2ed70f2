"""What people and programs may ask for: checked here, carried out through the ports; no web framework, no SQL."""
