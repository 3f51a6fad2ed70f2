"""The REST API: routes parse, ask an action, and answer."""
